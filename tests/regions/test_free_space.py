"""How far a mask reaches from below."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bcpnet.regions.free_space import free_space


@settings(max_examples=100)
@given(size_hw=st.tuples(st.integers(1, 12), st.integers(1, 12)), share=st.floats(0, 1), seed=st.integers(0, 999))
def test_up_to_the_first_pixel_that_is_not_free(size_hw: tuple[int, int], share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(size_hw) < share
    for column, reach in zip(mask.T, free_space(mask), strict=True):
        upwards = column[::-1].tolist()
        assert reach == (upwards.index(False) if False in upwards else len(upwards))


def test_what_lies_behind_an_obstacle_does_not_count() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]], np.bool_)
    assert free_space(mask).tolist() == [3, 1, 0]
