"""A part of tests/fuzz/weights.py that takes seconds."""

from __future__ import annotations

import pytest
from weights import fuzz

from bcpnet import native


@pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")
def test_damaged_and_changed_weights_are_refused_or_run_right() -> None:
    counts, wrong = fuzz(150, seed=0)
    assert wrong == []
    assert counts["refused"] > 50
    assert counts["same"] > 5
