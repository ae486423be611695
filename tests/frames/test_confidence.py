"""The probability of each pixel's class, in NumPy and in C for every CPU level, against PyTorch's interpolation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcpnet import native
from bcpnet.frames.confidence import _in_c, _in_numpy, confidence, softmax
from bcpnet.frames.upsample import upsample_argmax

Bytes = npt.NDArray[np.uint8]

WAYS: dict[str, Callable[[npt.NDArray[np.uint16], Bytes], Bytes]] = {"numpy": _in_numpy} | {
    level: partial(_in_c, kernels) for level in native.LEVELS if (kernels := native.kernels(level)) is not None
}
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def scene(
    n_classes: int, low_hw: tuple[int, int], size_hw: tuple[int, int], seed: int
) -> tuple[npt.NDArray[np.float32], Bytes]:
    """Probabilities at the logits, and the class map."""
    logits = np.random.default_rng(seed).normal(0, 3, (n_classes, *low_hw)).astype(np.float32)
    return softmax(logits), upsample_argmax(logits, size_hw)


@settings(max_examples=100)
@given(
    n_classes=st.integers(1, 30),
    low_hw=sizes,
    size_hw=st.tuples(st.integers(1, 75), st.integers(1, 75)),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_torch_and_every_way_the_same(
    n_classes: int, low_hw: tuple[int, int], size_hw: tuple[int, int], seed: int
) -> None:
    torch = pytest.importorskip("torch")
    probabilities, class_map = scene(n_classes, low_hw, size_hw, seed)
    full = torch.nn.functional.interpolate(
        torch.from_numpy(probabilities)[None].double(), size=size_hw, mode="bilinear", align_corners=False
    )[0].numpy()
    expected = 255 * np.take_along_axis(full, class_map[None].astype(np.intp), axis=0)[0]
    found = confidence(probabilities, class_map)
    assert found.dtype == np.uint8
    # Half for the result; 255 / 2^15 for the share of each axis; 1 / 512 for the table and for the line.
    assert np.abs(found - expected).max() <= 0.5 + 2 * 255 / 2**15 + 2 / 512
    table = np.random.default_rng(seed).integers(0, 65281, probabilities.shape).astype(np.uint16)
    ways = [way(table, class_map) for way in WAYS.values()]
    for other in ways[1:]:
        np.testing.assert_array_equal(other, ways[0])


def test_exact_at_the_logits() -> None:
    """Five times as large: the centre of every fifth pixel from the third on is a logit's."""
    probabilities, class_map = scene(7, (6, 8), (30, 40), 1)
    at_logits = np.rint(255 * probabilities.max(axis=0))
    np.testing.assert_allclose(confidence(probabilities, class_map)[2::5, 2::5], at_logits, atol=1)
    same_size = softmax(np.random.default_rng(0).normal(0, 3, (7, 6, 8)).astype(np.float32))
    np.testing.assert_allclose(
        confidence(same_size, same_size.argmax(axis=0).astype(np.uint8)), np.rint(255 * same_size.max(axis=0)), atol=1
    )


def test_certain_and_undecided() -> None:
    certain = np.zeros((2, 3, 4), np.float32)
    certain[0] = 1
    class_map = np.zeros((33, 47), np.uint8)
    assert (confidence(certain, class_map) == 255).all()
    assert (confidence(certain, class_map + np.uint8(1)) == 0).all()
    assert (confidence(np.full((4, 3, 4), 0.25, np.float32), class_map) == 64).all()


def test_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 100, (5, 6, 7)).astype(np.float32)
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=0), logits.argmax(axis=0))
    np.testing.assert_allclose(softmax(logits + 5000), probabilities, atol=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_make_unsure(value: float) -> None:
    logits = np.zeros((3, 5, 6), np.float32)
    logits[1] = 50
    logits[:, 2, 2] = value
    found = confidence(softmax(logits), np.ones((50, 60), np.uint8))
    assert found[25, 25] < 30  # the nearest pixel is a twentieth of the way to its neighbours
    assert found[5, 5] == found[45, 55] == 255


@pytest.mark.parametrize("level", list(WAYS))
def test_any_memory_layout(level: str) -> None:
    probabilities, class_map = scene(5, (6, 8), (40, 50), 3)
    table = (probabilities * 65280).astype(np.uint16)
    padded = np.pad(class_map, 2)[2:-2, 2:-2]
    np.testing.assert_array_equal(WAYS[level](table, padded), WAYS[level](table, class_map))


def test_a_class_without_probabilities() -> None:
    with pytest.raises(ValueError, match="class 3 of 3"):
        confidence(np.ones((3, 2, 2), np.float32), np.full((4, 4), 3, np.uint8))
