"""The plots are drawn from any results, and names do not lie on each other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_results import made_up_results
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from bcpnet.paper import plots
from bcpnet.paper.results import SHIPPED

MOST_BYTES = 300_000


def check_picture(path: Path) -> None:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10  # something is on it
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("networks", [None, ["bcpnet"], ["enet", SHIPPED]])
def test_what_was_measured(networks: list[str] | None, tmp_path: Path) -> None:
    results = made_up_results()
    if networks is not None:
        results["networks"] = {key: results["networks"][key] for key in networks}
    plots.latency_over_size(results, tmp_path / "latency.png")
    plots.accuracy_over_latency(results, "360x640", tmp_path / "accuracy.png")
    for name in ("latency", "accuracy"):
        check_picture(tmp_path / f"{name}.png")


def test_figure_2_has_speed_where_it_was_timed(tmp_path: Path) -> None:
    results = made_up_results()
    plots.rates(results, tmp_path / "both.png")
    for measured in results["rates"].values():
        del measured["network_ms"]
    plots.rates(results, tmp_path / "counts.png")
    for name in ("both", "counts"):
        check_picture(tmp_path / f"{name}.png")
    widths = [Image.open(tmp_path / f"{name}.png").width for name in ("both", "counts")]
    assert widths[0] == 2 * widths[1]


def test_heat_maps(tmp_path: Path) -> None:
    before, after = np.random.default_rng(0).random((2, 45, 60), np.float32)
    plots.heat_maps(before, after, tmp_path / "maps.png")
    check_picture(tmp_path / "maps.png")


@given(st.lists(st.floats(-3, 5), max_size=20), st.floats(0.01, 1))
def test_names_are_spread(heights: list[float], gap: float) -> None:
    """In order, a gap apart, on average where they were; and not moved where they need not be."""
    spread = plots._spread(heights, gap)
    order = np.argsort(heights, kind="stable")
    assert all(spread[high] - spread[low] >= gap - 1e-9 for low, high in pairwise(order))
    assert sum(spread) == pytest.approx(sum(heights), abs=1e-6)
    if all(heights[high] - heights[low] >= gap for low, high in pairwise(order)):
        assert spread == pytest.approx(heights)
