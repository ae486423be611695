"""Temporal smoothing: steady where nothing moves, along with what moves, and anew at a cut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.frames.blocks import Blocks
from bcpnet.frames.confidence import softmax
from bcpnet.frames.smoothing import Smoother, StepInNumPy

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def texture(height: int, width: int, seed: int = 0) -> Bytes:
    small = np.random.default_rng(seed).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3)).astype(np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def random_logits(classes: int, height: int, width: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0, 3, (classes, height, width)).astype(np.float32)


def test_the_past_is_interpolated_as_by_torch() -> None:
    """Between logits, bicubic: moved by whole blocks of grey pixels and a part, against PyTorch's grid_sample."""
    torch = pytest.importorskip("torch")
    before = softmax(random_logits(5, 20, 30, 1))
    for shift_y, shift_x in ((0, 0), (16, -32), (5, 11), (-27, 40)):
        step = StepInNumPy(Blocks((160, 240), (5, 20, 30)))
        step.shifts[:], step.keep[:], step.present[:] = (shift_y, shift_x), 1, True
        step.probabilities = before
        y, x = np.meshgrid(np.arange(20) + shift_y / 64, np.arange(30) + shift_x / 64, indexing="ij")
        grid = np.stack([(2 * x + 1) / 30 - 1, (2 * y + 1) / 20 - 1], 2)[None]
        sampled = torch.nn.functional.grid_sample(
            torch.from_numpy(before)[None].double(), torch.from_numpy(grid), "bicubic", "border", False
        )[0].numpy()
        np.testing.assert_allclose(step.blend(before), np.clip(sampled, 0, 1), atol=1e-5)


def test_the_first_is_softmax_and_a_still_picture_averages() -> None:
    frame, smoother = texture(96, 128), Smoother()
    logits = [0.2 * random_logits(4, 12, 16, seed) for seed in range(12)]  # no class is nearly absent
    expected = softmax(logits[0])
    np.testing.assert_allclose(smoother(frame, logits[0].copy()), expected, atol=1e-6)
    for each in logits[1:]:
        expected = 0.85 * expected + 0.15 * softmax(each)
        np.testing.assert_allclose(smoother(frame, each.copy()), expected, atol=1e-5)


def test_a_class_that_is_left_out_is_wrong_by_less_than_one_percent() -> None:
    frame, smoother = texture(96, 128), Smoother()
    logits = [random_logits(9, 12, 16, seed) for seed in range(12)]
    expected = softmax(logits[0])
    for each in logits:
        expected = expected if each is logits[0] else 0.85 * expected + 0.15 * softmax(each)
        np.testing.assert_allclose(smoother(frame, each.copy()), expected, atol=0.01)


def test_frames_that_repeat_change_nothing() -> None:
    """Nothing creeps, however the picture's edges lie."""
    rng, frame, smoother = np.random.default_rng(0), np.zeros((96, 128, 3), np.uint8), Smoother()
    for y, x, height, width in rng.integers(0, 60, (40, 4)):
        frame[y : y + height, 2 * x : 2 * x + width] = rng.integers(0, 256, 3)
    logits = random_logits(5, 24, 32, 0)
    for _ in range(20):
        np.testing.assert_allclose(smoother(frame, logits.copy()), softmax(logits), atol=1e-5)


def test_one_frame_alone_changes_nothing_and_a_lasting_change_wins() -> None:
    frame, smoother = texture(96, 128), Smoother()
    one, other = np.zeros((2, 2, 12, 16), np.float32)
    one[0], other[1] = 6, 6
    winners = [int(smoother(frame, each.copy())[:, 5, 5].argmax()) for each in (one, one, one, other, one, one)]
    assert winners == [0] * 6
    assert [int(smoother(frame, other.copy())[:, 5, 5].argmax()) for _ in range(6)][-1] == 1


def test_a_pan_does_not_smear() -> None:
    """Two classes that the network is right about, with a border that moves by 12 pixels a frame, stay right."""
    scene = texture(96, 500)
    scene[:, 250:] //= 3
    smoother = Smoother()
    for start in range(0, 240, 12):
        logits = np.zeros((2, 12, 24), np.float32)
        is_right = start + 8 * np.arange(24) + 4 > 250
        logits[1] = np.where(is_right, 3, -3)
        found = smoother(np.ascontiguousarray(scene[:, start : start + 192]), logits).argmax(0)
        assert (found == is_right).mean() > 0.97


def test_a_cut_another_size_and_a_reset_start_anew() -> None:
    smoother = Smoother()
    logits = [random_logits(4, 12, 16, seed) for seed in range(2)]
    alone = Smoother()(texture(96, 128), logits[1].copy())  # to the bit: nothing of the past is in it
    np.testing.assert_allclose(alone, softmax(logits[1]), atol=1e-6)
    smoother(texture(96, 128), logits[0].copy())
    np.testing.assert_array_equal(smoother(texture(96, 128, seed=1), logits[1].copy()), alone)
    smoother(texture(96, 128), logits[0].copy())
    np.testing.assert_array_equal(smoother(texture(90, 128), logits[1].copy()), alone)
    smoother(texture(96, 128), random_logits(4, 24, 32, 0))
    np.testing.assert_array_equal(smoother(texture(96, 128), logits[1].copy()), alone)
    smoother.reset()
    np.testing.assert_array_equal(smoother(texture(96, 128), logits[1].copy()), alone)


def test_what_is_not_finite_does_not_stay() -> None:
    frame, smoother = texture(96, 128), Smoother()
    bad = random_logits(4, 12, 16, 0)
    bad[:, 3, 4] = np.nan
    smoother(frame, bad)
    assert np.isfinite(smoother(frame, random_logits(4, 12, 16, 1))).all()
