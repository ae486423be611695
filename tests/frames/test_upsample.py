"""Upsample + argmax, in NumPy and in C for every CPU level, against its plain definition and PyTorch's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bcpnet import native
from bcpnet.frames.upsample import _in_c, _in_numpy, upsample_argmax

Floats = npt.NDArray[np.float64]
Upsample = Callable[[npt.NDArray[np.float32], tuple[int, int]], npt.NDArray[np.uint8]]

UPSAMPLES: dict[str, Upsample] = {"numpy": _in_numpy} | {
    level: partial(_in_c, kernels) for level in native.LEVELS if (kernels := native.kernels(level)) is not None
}
every_way = pytest.mark.parametrize("upsample", UPSAMPLES.values(), ids=UPSAMPLES)


def _weights(n_in: int, n_out: int) -> Floats:
    """n_out x n_in bilinear weights, half-pixel centres, edges repeated: one output pixel after the other."""
    weights = np.zeros((n_out, n_in))
    for pixel in range(n_out):
        position = min(max((pixel + 0.5) * n_in / n_out - 0.5, 0), n_in - 1)
        low = int(position)
        high = min(low + 1, n_in - 1)
        weights[pixel, low] += 1 - (position - low)
        weights[pixel, high] += position - low
    return weights


def _interpolated(logits: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> Floats:
    """The plain definition in float64: K x H x W."""
    by_row, by_column = (_weights(n_in, n_out) for n_in, n_out in zip(logits.shape[1:], size_hw, strict=True))
    return by_row @ logits.astype(np.float64) @ by_column.T


def _logits(kind: str, shape: tuple[int, int, int], seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    if kind == "constant":  # per class: the argmax is one class everywhere
        return np.ascontiguousarray(np.broadcast_to(rng.normal(size=(shape[0], 1, 1)), shape), np.float32)
    if kind == "integers":  # ties at many corners
        return rng.integers(0, 3, shape).astype(np.float32)
    if kind == "regions":  # what a network says: mostly one class, far ahead, with a soft border
        centre = rng.uniform(-1, 1, (2, shape[0], 1, 1))
        y, x = np.linspace(-1, 1, shape[1])[:, None], np.linspace(-1, 1, shape[2])
        return (-9 * np.hypot(centre[0] - y, centre[1] - x)).astype(np.float32)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)


@every_way
@settings(max_examples=100)
@given(
    kind=st.sampled_from(("random", "regions", "integers", "constant")),
    n_classes=st.one_of(st.integers(1, 20), st.integers(2, 150)),
    low_hw=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size_hw=st.tuples(st.integers(1, 75), st.integers(1, 75)),
    seed=st.integers(0, 2**32 - 1),
)
@example("random", 19, (1, 1), (7, 5), 0)  # one logit
@example("random", 19, (1, 9), (1, 72), 0)  # a single row
@example("random", 19, (9, 1), (72, 1), 0)  # a single column
@example("regions", 11, (6, 8), (48, 64), 0)  # whole factor
@example("random", 11, (9, 9), (4, 3), 0)  # down
@example("random", 150, (9, 9), (9, 9), 0)  # same size
@example("random", 255, (3, 3), (20, 20), 0)
def test_equals_plain_definition(
    upsample: Upsample, kind: str, n_classes: int, low_hw: tuple[int, int], size_hw: tuple[int, int], seed: int
) -> None:
    logits = _logits(kind, (n_classes, *low_hw), seed)
    class_map = upsample(logits, size_hw)
    assert class_map.shape == size_hw
    assert class_map.dtype == np.uint8

    full = _interpolated(logits, size_hw)
    chosen = np.take_along_axis(full, class_map[None].astype(np.intp), axis=0)[0]
    # Where the chosen class is not the plain argmax, the two must tie within float32 rounding.
    assert np.all(chosen >= full.max(axis=0) - 1e-5 * np.abs(logits).max())


@every_way
def test_a_class_that_wins_at_no_corner_can_win_inside(upsample: Upsample) -> None:
    corner_winners = np.float32([[[10, 0], [0, 0]], [[0, 10], [0, 0]], [[0, 0], [10, 0]], [[0, 0], [0, 10]]])
    logits = np.concatenate([corner_winners, np.full((1, 2, 2), 9, np.float32)])
    class_map = upsample(logits, (16, 16))
    assert class_map[8, 8] == 4
    assert [class_map[y, x] for y in (0, 15) for x in (0, 15)] == [0, 1, 2, 3]


@every_way
@settings(max_examples=20)
@given(
    low_hw=st.tuples(*[st.integers(1, 6)] * 2), size_hw=st.tuples(*[st.integers(1, 50)] * 2), seed=st.integers(0, 99)
)
def test_of_two_equal_classes_the_first_wins(
    upsample: Upsample, low_hw: tuple[int, int], size_hw: tuple[int, int], seed: int
) -> None:
    logits = _logits("random", (5, *low_hw), seed)
    class_map = upsample(np.concatenate([logits, logits]), size_hw)
    assert class_map.max() < 5


@every_way
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_give_some_class(upsample: Upsample, value: float) -> None:
    logits = _logits("random", (7, 6, 8), seed=1)
    logits[2, 1:3, 1:3] = logits[:, 5, 7] = value
    with np.errstate(invalid="ignore"):
        assert upsample(logits, (33, 44)).max() < 7


@every_way
def test_any_memory_layout(upsample: Upsample) -> None:
    logits = _logits("regions", (11, 9, 14), seed=2)
    expected = upsample(logits, (60, 100))
    channels_last = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    cut_out = np.pad(logits, ((1, 2), (3, 4), (5, 6)))[1:-2, 3:-4, 5:-6]
    upside_down = logits[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    unaligned = np.frombuffer(b"." + logits.tobytes(), np.float32, offset=1).reshape(logits.shape)
    for other in (channels_last, cut_out, upside_down, unaligned, logits.astype(np.float64)):
        np.testing.assert_array_equal(upsample(other, (60, 100)), expected)


@every_way
@pytest.mark.parametrize("size_hw", [(96, 128), (97, 131), (40, 300), (5, 7), (12, 16)])
def test_equals_torch(upsample: Upsample, size_hw: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    for kind in ("random", "regions"):
        logits = _logits(kind, (19, 12, 16), seed=3)
        full = torch.nn.functional.interpolate(
            torch.from_numpy(logits)[None], size=size_hw, mode="bilinear", align_corners=False
        )[0]
        best = full.topk(2, dim=0).values
        clear = (best[0] - best[1] > 1e-4 * np.abs(logits).max()).numpy()
        assert clear.mean() > 0.95
        np.testing.assert_array_equal(upsample(logits, size_hw)[clear], full.argmax(0).numpy()[clear])


@pytest.mark.parametrize("kind", ["random", "regions"])
def test_numpy_never_holds_full_size_logits(kind: str) -> None:
    logits = _logits(kind, (60, 32, 64), seed=0)
    size_hw = (512, 1024)
    tracemalloc.start()
    try:
        _in_numpy(logits, size_hw)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 60 * 512 * 1024 / 10


@pytest.mark.parametrize(
    ("shape", "size_hw"),
    [
        ((3, 4), (8, 8)),
        ((1, 3, 4, 4), (8, 8)),
        ((0, 4, 4), (8, 8)),
        ((256, 4, 4), (8, 8)),
        ((3, 4, 0), (8, 8)),
        ((3, 4, 4), (0, 8)),
    ],
)
def test_wrong_shapes(shape: tuple[int, ...], size_hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="need K x h x w"):
        upsample_argmax(np.zeros(shape, np.float32), size_hw)
