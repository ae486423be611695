"""Every 8-bit kernel at every CPU level, on shapes that fit no vector, beside plain integers in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from int8_layers import FRONTS, LayerMaker, any_layer

from bcpnet import native
from bcpnet.native.int8 import LEVELS as ALL_LEVELS
from bcpnet.native.int8 import int8_kernels

pytestmark = pytest.mark.skipif(int8_kernels() is None, reason="the C library was not compiled here (no C compiler)")
LEVELS = [level for level in ALL_LEVELS if int8_kernels(level) is not None]
TRIED = 25


def _maker(level: str, number: int) -> LayerMaker:
    engine = native.library()
    assert engine is not None
    handle = int8_kernels(level)
    lanes, less = engine.bcpnet_int8_lanes(handle), engine.bcpnet_int8_less(handle)
    return LayerMaker(np.random.default_rng(number), lanes, less)


def _mostly_equal(made: np.ndarray, expected: np.ndarray) -> None:
    """Numbers whose rounding hangs on a float's last bit may come out one apart."""
    apart = np.abs(made.astype(np.int64) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() <= 2e-3


def test_the_first_level_that_runs_is_the_best() -> None:
    assert int8_kernels() == int8_kernels(LEVELS[0])
    assert int8_kernels("avx9") is None


@pytest.mark.parametrize("how", ["bytes", "residual", "floats"])
@pytest.mark.parametrize("kind", [*FRONTS, "pointwise", "pool"])
@pytest.mark.parametrize("level", LEVELS)
def test_writes_what_integers_give(level: str, kind: str, how: str) -> None:
    if kind in ("sum", "pool") and how != "bytes":
        pytest.skip("no such layer")
    saturated, count = 0, 0
    for number in range(TRIED):
        maker = _maker(level, number)
        expected = any_layer(maker, kind, how)
        height, width, _ = expected.shape
        tile_hw = int(maker.rng.integers(1, height + 1)), int(maker.rng.integers(1, width + 1))
        made = maker.run(level, expected.shape, tile_hw)
        if how == "residual" or kind == "sum":
            _mostly_equal(made, expected)
        else:
            np.testing.assert_array_equal(made, expected)
        saturated, count = saturated + int(np.isin(expected, (0, 255)).sum()), count + expected.size
    assert how == "floats" or kind in ("sum", "pool") or 0.02 < saturated / count < 0.9
