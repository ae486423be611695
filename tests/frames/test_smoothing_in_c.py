"""Smoothing in C equals NumPy at every CPU level: motion to the bit, probabilities to rounding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bcpnet import native
from bcpnet.frames.blocks import Blocks
from bcpnet.frames.confidence import softmax
from bcpnet.frames.motion import find_motion, grey_pictures
from bcpnet.frames.smoothing import StepInNumPy
from bcpnet.frames.smoothing_in_c import StepInC

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

KERNELS = [handle for level in native.LEVELS if (handle := native.kernels(level)) is not None]
pytestmark = pytest.mark.skipif(not KERNELS, reason="no compiled library")


def texture(height: int, width: int, seed: int) -> Bytes:
    small = np.random.default_rng(seed).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3)).astype(np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def random_logits(shape: tuple[int, ...], seed: int) -> Floats:
    """In parts even and sure, in parts not: classes that are absent for a while."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 3, shape) + 8 * rng.random((shape[0], 1, 1))).astype(np.float32)


def has(present: npt.NDArray[np.uint32], classes: int) -> npt.NDArray[np.bool_]:
    """Bits as K x rows x columns."""
    return (present >> np.arange(classes, dtype=np.uint32)[:, None, None] & 1).astype(bool)


@settings(max_examples=40)
@given(
    frame_hw=st.tuples(st.integers(32, 150), st.integers(32, 150)),
    shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    noise=st.sampled_from((0, 4, 60)),
    seed=st.integers(0, 2**31),
)
def test_motion(frame_hw: tuple[int, int], shift: tuple[int, int], noise: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = texture(*frame_hw, seed)
    second = np.clip(np.roll(first, shift, (0, 1)) + rng.normal(0, noise, first.shape), 0, 255).astype(np.uint8)
    blocks = Blocks(frame_hw, (3, -(-frame_hw[0] // 8), -(-frame_hw[1] // 8)))
    guess = rng.integers(-150, 150, (*blocks.counts, 2)).astype(np.int32)
    before, now = grey_pictures(first), grey_pictures(second)
    expected = find_motion(now, before, guess)
    misfit = expected.differences / (6 * 64 + expected.contrasts / 2)
    for kernels in KERNELS:
        step = StepInC(kernels, blocks)
        step(first, random_logits(blocks.logits_shape, seed))
        for name, picture in zip(("grey_before", "coarse_before"), before, strict=True):
            np.testing.assert_array_equal(step.arrays[name], picture)
        step.arrays["shifts"][:] = guess
        step(second, random_logits(blocks.logits_shape, seed))
        for name, picture in zip(("grey", "coarse"), now, strict=True):
            np.testing.assert_array_equal(step.arrays[name], picture)
        np.testing.assert_array_equal(step.arrays["differences"], expected.differences)
        np.testing.assert_array_equal(step.arrays["contrasts"], expected.contrasts)
        np.testing.assert_allclose(step.arrays["keep"], 0.85 * np.exp(-(misfit**2)), atol=1e-5)
        is_cut = np.exp(-(misfit**2)).mean() <= 0.5
        np.testing.assert_array_equal(step.arrays["shifts"], 0 if is_cut else expected.shifts)


@settings(max_examples=80)
@given(
    classes=st.integers(1, 21),
    frame_hw=st.tuples(st.integers(32, 130), st.integers(32, 130)),
    stride=st.sampled_from((2, 4, 8, 16, 32)),
    seed=st.integers(0, 2**31),
)
def test_any_shifts(classes: int, frame_hw: tuple[int, int], stride: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = Blocks(frame_hw, (classes, -(-frame_hw[0] // stride), -(-frame_hw[1] // stride)))
    shifts = rng.integers(-300, 300, (*blocks.counts, 2)).astype(np.int32)
    keep = np.where(rng.random(blocks.counts) < 0.2, 0, rng.random(blocks.counts)).astype(np.float32)
    logits, before = random_logits(blocks.logits_shape, seed), softmax(random_logits(blocks.logits_shape, seed + 1))
    before[:, rng.integers(before.shape[1]), rng.integers(before.shape[2])] = np.nan
    present = rng.random((classes, *blocks.counts)) < 0.5
    step = StepInNumPy(blocks)
    step.shifts, step.keep, step.probabilities, step.present = shifts, keep, before, present
    expected = step.blend(logits)
    assert np.isfinite(expected).all()
    for kernels in KERNELS:
        in_c, found = StepInC(kernels, blocks), logits.copy()
        in_c.arrays["shifts"][:], in_c.arrays["keep"][:] = shifts, keep
        in_c.arrays["present_before"][:] = (present * 2 ** np.arange(classes)[:, None, None]).sum(0)
        in_c.structure.before, in_c.structure.logits = before.ctypes.data, found.ctypes.data
        library = native.library()
        assert library is not None
        assert library.bcpnet_smooth_logits(kernels, in_c.address) == 1
        np.testing.assert_allclose(found, expected, atol=2e-5)
        with_logits = np.ix_(*(np.unique(of) for of in blocks.of_logits))
        for class_found, class_expected in zip(has(in_c.arrays["present"], classes), step.present, strict=True):
            np.testing.assert_array_equal(class_found[with_logits], class_expected[with_logits])


@pytest.mark.parametrize("classes", [4, 40])
def test_many_frames(classes: int) -> None:
    """Of a pan and a cut; NumPy knows each class, C has one bit for each 32nd."""
    scene, blocks = texture(96, 300, 0), Blocks((96, 128), (classes, 24, 32))
    frames = [np.ascontiguousarray(scene[:, at : at + 128]) for at in (*range(0, 60, 6), 170, 170)]
    in_numpy = StepInNumPy(blocks)
    expected = [in_numpy(frame, random_logits(blocks.logits_shape, at)) for at, frame in enumerate(frames)]
    for kernels in KERNELS:
        step = StepInC(kernels, blocks)
        for at, frame in enumerate(frames):
            found = step(frame, random_logits(blocks.logits_shape, at))
            np.testing.assert_allclose(found, expected[at], atol=1e-5 if classes <= 32 else 0.01)


def test_any_memory() -> None:
    """Logits with gaps, read-only and unaligned ones, and a frame with gaps, give the same."""
    blocks = Blocks((64, 96), (5, 8, 12))
    frame, logits = texture(64, 96, 0), random_logits((5, 8, 12), 0)
    expected = StepInC(KERNELS[0], blocks)(frame, logits.copy())
    read_only = logits.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + logits.tobytes(), np.float32, offset=1).reshape(logits.shape)
    transposed = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    for other in (read_only, unaligned, transposed):
        np.testing.assert_array_equal(StepInC(KERNELS[0], blocks)(frame, other), expected)
        np.testing.assert_array_equal(other, logits)
    wide = np.repeat(frame, 2, 1)[:, ::2]
    np.testing.assert_array_equal(StepInC(KERNELS[0], blocks)(wide, logits.copy()), expected)
