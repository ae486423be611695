"""Triton kernels of the BCP module: pooling, and a whole node at once. Feature maps as in `bcpnet.gpu.kernels`.

A map may be some of the channels of a wider one: `..._stride` is the distance of its pixels, in values.
"""

from __future__ import annotations

import triton
import triton.language as tl

_SIZES = ("height", "width", "out_height", "out_width", "other_height", "other_width")  # as in `bcpnet.gpu.kernels`


@triton.jit
def _max_of_nine(x, y, left, known, height, width, stride, c, C: tl.constexpr):
    """Max over 3x3 pixels whose upper left is (y, left), those outside left out: BLOCK x C float32."""
    best = tl.full((y.shape[0], c.shape[0]), float("-inf"), tl.float32)
    for tap in tl.static_range(9):
        iy, ix = y + tap // 3, left + tap % 3
        here = known & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
        value = tl.load(
            x + (iy * width + ix)[:, None] * stride + c[None, :],
            mask=here[:, None] & (c < C)[None, :],
            other=float("-inf"),
        )
        best = tl.maximum(best, value.to(tl.float32))
    return best


@triton.jit(do_not_specialize=_SIZES)
def pool_kernel(
    x, out, height, width, out_height, out_width, x_stride,
    C: tl.constexpr, C_PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """3x3 max pooling of stride 2. One program: BLOCK pixels of an image."""
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < out_height * out_width
    c = tl.arange(0, C_PADDED)
    best = _max_of_nine(
        x + image * height * width * x_stride, pixel // out_width * 2 - 1, pixel % out_width * 2 - 1, inside,
        height, width, x_stride, c, C,
    )  # fmt: skip
    row = image * out_height * out_width + pixel
    tl.store(
        out + row[:, None] * C + c[None, :], best.to(out.dtype.element_ty), mask=inside[:, None] & (c < C)[None, :]
    )


@triton.jit(do_not_specialize=_SIZES)
def node_kernel(
    level, earlier, other, depthwise, weight, bias, out, factor_level, factor_earlier, factor_other,
    height, width, other_height, other_width, level_stride, earlier_stride, other_stride,
    C: tl.constexpr, C_PADDED: tl.constexpr, OUT: tl.constexpr, OUT_PADDED: tl.constexpr,
    EARLIER: tl.constexpr, DEEPER: tl.constexpr, PLANES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Weighted sum, swish, depthwise 3x3, 1x1 convolution. One program: BLOCK pixels of an image, all channels.

    Summed are `level`, `earlier` (if EARLIER; of the same size) and `other`: with DEEPER half the size, each of its
    pixels repeated 2x2; else twice the size, max-pooled 3x3 with stride 2. The sum is formed anew for each of the nine
    taps: its inputs are in the cache, and a kernel less costs more than the arithmetic.

    With PLANES the result is N x OUT x H x W, else N x H x W x OUT.
    """
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < height * width
    y = pixel // width
    x = pixel % width
    c = tl.arange(0, C_PADDED)
    n = tl.arange(0, OUT_PADDED)
    level += image * height * width * level_stride
    earlier += image * height * width * earlier_stride
    other += image * other_height * other_width * other_stride
    channel = c[None, :] + tl.zeros((BLOCK, 1), tl.int32)  # as in `separable_kernel`
    filtered = tl.zeros((BLOCK, C_PADDED), tl.float32)
    for tap in range(9):
        iy, ix = y + tap // 3 - 1, x + tap % 3 - 1
        known = inside & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
        here = iy * width + ix
        mask = known[:, None] & (c < C)[None, :]
        value = tl.load(level + here[:, None] * level_stride + c[None, :], mask=mask, other=0.0)
        total = factor_level * value.to(tl.float32)
        if EARLIER:
            value = tl.load(earlier + here[:, None] * earlier_stride + c[None, :], mask=mask, other=0.0)
            total += factor_earlier * value.to(tl.float32)
        if DEEPER:
            source = iy // 2 * other_width + ix // 2
            value = tl.load(other + source[:, None] * other_stride + c[None, :], mask=mask, other=0.0)
            total += factor_other * value.to(tl.float32)
        else:
            total += factor_other * _max_of_nine(
                other, iy * 2 - 1, ix * 2 - 1, known, other_height, other_width, other_stride, c, C
            )
        total = tl.where(mask, total, 0.0)  # the padding comes after the swish, whose zero is at zero
        filtered += total * tl.sigmoid(total) * tl.load(depthwise + tap * C_PADDED + channel)
    value = filtered.to(weight.dtype.element_ty)
    total = tl.dot(value, tl.load(weight + c[:, None] * OUT_PADDED + n[None, :]), input_precision="ieee")
    total += tl.load(bias + n)[None, :]
    if PLANES:
        address = (image * OUT + n)[None, :] * height * width + pixel[:, None]
    else:
        address = (image * height * width + pixel)[:, None] * OUT + n[None, :]
    tl.store(out + address, total.to(out.dtype.element_ty), mask=inside[:, None] & (n < OUT)[None, :])
