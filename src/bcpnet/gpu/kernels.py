"""Triton kernels of the encoder: each a whole layer, with all that follows it up to the next one.

Feature maps are N x H x W x C, channels last and without gaps; they are stored in the dtype of the weights (float16 or
float32), computed in float32. Weights come packed and zero-padded (`bcpnet.gpu.layers`): C_PADDED, OUT_PADDED and
the like are multiples of the blocks, so that only feature maps need masks.
"""

from __future__ import annotations

import triton
import triton.language as tl

# A kernel compiled for one size of image serves all: compiling takes longer than a thousand images.
_SIZES = ("height", "width", "out_height", "out_width", "pixels", "programs")


@triton.jit
def activate(x, ACT: tl.constexpr):
    """The activation named ACT, of float32."""
    if ACT == "relu":
        x = tl.maximum(x, 0.0)
    elif ACT == "relu6":
        x = tl.minimum(tl.maximum(x, 0.0), 6.0)
    elif ACT == "hardswish":
        x = x * tl.minimum(tl.maximum(x + 3.0, 0.0), 6.0) / 6.0
    return x


@triton.jit(do_not_specialize=_SIZES)
def stem_kernel(
    frames, weight, bias, out, height, width, out_height, out_width,
    MEAN: tl.constexpr, SCALE: tl.constexpr, OUT: tl.constexpr, OUT_PADDED: tl.constexpr, ACT: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """N H W 3 uint8 -> normalised, 3x3 convolution of stride 2, activation. One program: BLOCK pixels of an image."""
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < out_height * out_width
    k = tl.arange(0, 32)  # 3 x 3 x 3 = 27 inputs, then zeros
    y = (pixel // out_width)[:, None] * 2 + (k // 9)[None, :] - 1
    x = (pixel % out_width)[:, None] * 2 + (k // 3 % 3)[None, :] - 1
    known = inside[:, None] & (k < 27)[None, :] & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    address = frames + image * height * width * 3 + (y * width + x) * 3 + (k % 3)[None, :]
    value = (tl.load(address, mask=known, other=0).to(tl.float32) - MEAN) * SCALE
    value = tl.where(known, value, 0.0).to(weight.dtype.element_ty)  # the padding is zero after the normalisation
    n = tl.arange(0, OUT_PADDED)
    total = tl.dot(value, tl.load(weight + k[:, None] * OUT_PADDED + n[None, :]), input_precision="ieee")
    total = activate(total + tl.load(bias + n)[None, :], ACT)
    row = image * out_height * out_width + pixel
    tl.store(
        out + row[:, None] * OUT + n[None, :],
        total.to(out.dtype.element_ty),
        mask=inside[:, None] & (n < OUT)[None, :],
    )


@triton.jit(do_not_specialize=_SIZES)
def pointwise_kernel(
    x, weight, bias, out, pixels,
    C: tl.constexpr, C_PADDED: tl.constexpr, OUT: tl.constexpr, OUT_PADDED: tl.constexpr, ACT: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_OUT: tl.constexpr,
):  # fmt: skip
    """1x1 convolution and activation. One program: BLOCK pixels of the batch, BLOCK_OUT of the channels."""
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    n = tl.program_id(1) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    total = tl.zeros((BLOCK, BLOCK_OUT), tl.float32)
    for start in range(0, C_PADDED, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        value = tl.load(x + pixel[:, None] * C + c[None, :], mask=inside[:, None] & (c < C)[None, :], other=0.0)
        total = tl.dot(value, tl.load(weight + c[:, None] * OUT_PADDED + n[None, :]), total, input_precision="ieee")
    total = activate(total + tl.load(bias + n)[None, :], ACT)
    tl.store(
        out + pixel[:, None] * OUT + n[None, :],
        total.to(out.dtype.element_ty),
        mask=inside[:, None] & (n < OUT)[None, :],
    )


@triton.jit(do_not_specialize=_SIZES)
def separable_kernel(
    x, depthwise, depthwise_bias, weight, bias, shortcut, out, sums, height, width, out_height, out_width,
    C: tl.constexpr, C_PADDED: tl.constexpr, OUT: tl.constexpr, OUT_PADDED: tl.constexpr,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, ACT: tl.constexpr, SHORTCUT: tl.constexpr, SUMS: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_OUT: tl.constexpr,
):  # fmt: skip
    """Depthwise convolution, activation, 1x1 convolution; plus `shortcut`. One program: BLOCK pixels of an image,
    BLOCK_OUT of the channels.

    With SUMS, each program leaves its sum over pixels in `sums`, images x programs x OUT_PADDED: squeeze-excite's mean.
    """
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < out_height * out_width
    top = pixel // out_width * STRIDE - KERNEL // 2
    left = pixel % out_width * STRIDE - KERNEL // 2
    n = tl.program_id(2) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    total = tl.zeros((BLOCK, BLOCK_OUT), tl.float32)
    x += image * height * width * C
    for start in range(0, C_PADDED, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        # Parameters of channels are read as if there were some for each pixel: they come in the right registers so.
        channel = c[None, :] + tl.zeros((BLOCK, 1), tl.int32)
        filtered = tl.load(depthwise_bias + channel)
        # A real loop: unrolled, the compiler moves each tap through shared memory instead of their sum.
        for row in range(KERNEL):
            for column in tl.static_range(KERNEL):
                iy, ix = top + row, left + column
                known = inside & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
                value = tl.load(
                    x + (iy * width + ix)[:, None] * C + c[None, :], mask=known[:, None] & (c < C)[None, :], other=0.0
                )
                tap = tl.load(depthwise + (row * KERNEL + column) * C_PADDED + channel)
                filtered += value.to(tl.float32) * tap
        value = activate(filtered, ACT).to(weight.dtype.element_ty)
        total = tl.dot(value, tl.load(weight + c[:, None] * OUT_PADDED + n[None, :]), total, input_precision="ieee")
    total += tl.load(bias + n)[None, :]
    if SUMS:
        of_program = image * tl.num_programs(0) + tl.program_id(0)
        tl.store(sums + of_program * OUT_PADDED + n, tl.sum(tl.where(inside[:, None], total, 0.0), 0))
    row = image * out_height * out_width + pixel
    address = row[:, None] * OUT + n[None, :]
    mask = inside[:, None] & (n < OUT)[None, :]
    if SHORTCUT:
        total += tl.load(shortcut + address, mask=mask, other=0.0).to(tl.float32)
    tl.store(out + address, total.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=_SIZES)
def gate_kernel(
    sums, squeeze, squeeze_bias, excite, excite_bias, gate, programs, pixels,
    C_PADDED: tl.constexpr, SQUEEZED_PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Squeeze-excite's gate of one image, C_PADDED float32, from the sums that `separable_kernel` left."""
    image = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, C_PADDED)
    s = tl.arange(0, SQUEEZED_PADDED)
    total = tl.zeros((C_PADDED,), tl.float32)
    start = 0
    while start < programs:
        p = start + tl.arange(0, BLOCK)
        address = sums + (image * programs + p)[:, None] * C_PADDED + c[None, :]
        total += tl.sum(tl.load(address, mask=(p < programs)[:, None], other=0.0), 0)
        start += BLOCK
    mean = total / pixels
    weight = tl.load(squeeze + s[:, None] * C_PADDED + c[None, :])
    squeezed = tl.maximum(tl.sum(weight * mean[None, :], 1) + tl.load(squeeze_bias + s), 0.0)
    weight = tl.load(excite + c[:, None] * SQUEEZED_PADDED + s[None, :])
    excited = tl.sum(weight * squeezed[None, :], 1) + tl.load(excite_bias + c)
    tl.store(gate + image * C_PADDED + c, tl.minimum(tl.maximum(excited + 3.0, 0.0), 6.0) / 6.0)


@triton.jit(do_not_specialize=_SIZES)
def scale_kernel(
    x, gate, shortcut, out, values,
    C: tl.constexpr, C_PADDED: tl.constexpr, SHORTCUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x * gate, plus `shortcut`. One program: BLOCK of an image's values."""
    image = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < values
    address = image * values + index
    total = tl.load(x + address, mask=inside, other=0.0).to(tl.float32)
    total *= tl.load(gate + image * C_PADDED + index % C, mask=inside, other=0.0)
    if SHORTCUT:
        total += tl.load(shortcut + address, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + address, total.to(out.dtype.element_ty), mask=inside)
