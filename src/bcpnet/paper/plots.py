"""The plots. The only module that needs Matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from bcpnet.paper.results import (
    DEPTHS,
    RATES,
    RATES_SIZE,
    SHIPPED,
    Results,
    accuracy_points,
    best,
    by_area,
    rate_key,
    size_hw,
    timed_sizes,
    title,
)
from bcpnet.storage.files import atomic_path

_OURS, _OTHER, _GREY = "#c8102e", "#27567b", "#6e7278"
_DPI = 110

# Where the name of a point may stand: offset in points, and how it is aligned there.
_PLACES = (
    (6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top"),
    (5, 4, "left", "bottom"), (-5, 4, "right", "bottom"), (5, -4, "left", "top"), (-5, -4, "right", "top"),
    (0, 14, "center", "bottom"), (0, -14, "center", "top"),
)  # fmt: skip


def accuracy_over_latency(results: Results, size: str, path: Path) -> None:
    """Published accuracy over our milliseconds to the class map, for both datasets."""
    figure = Figure((9.2, 4.2), dpi=_DPI, layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("CamVid", "Cityscapes"), strict=True):
        points = accuracy_points(results, size, name.lower())
        axes.set(xscale="log", xlabel=f"ms to the class map at {size}, here", ylabel=f"{name} test mIoU, %, published")
        for key, ms, miou in points:
            axes.plot(ms, miou, "o", color=_colour(key), markersize=7 if key == "bcpnet" else 5)
        axes.margins(0.18, 0.1)
        _style(axes)
        _label_points(figure, axes, points)
    _save(figure, path)


def latency_over_size(results: Results, path: Path) -> None:
    """Milliseconds to the class map over the size of the frame, a line for each network."""
    figure = Figure((9.2, 5.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    ends = []
    for key, entry in results["networks"].items():
        cells = [(_megapixels(size), best(entry["times"][size])) for size in by_area(entry["times"])]
        line = [(pixels, cell[1]) for pixels, cell in cells if cell is not None]
        if line:
            style = "--" if key == SHIPPED else "-"
            width = 2 if key == "bcpnet" else 1
            axes.plot(*zip(*line, strict=True), f"o{style}", color=_colour(key), linewidth=width, markersize=3)
            ends.append((key, line[-1]))
    axes.set(xscale="log", yscale="log", xlabel="megapixels", ylabel="ms to the class map, best backend")
    left, right = (each(map(_megapixels, timed_sizes(results))) for each in (min, max))
    axes.set_xlim(left / 1.08, right * max(1.5, right / left) ** 0.3)
    _style(axes)
    axes.grid(True, axis="y", color="#e4e5e8")
    low, high = map(log10, axes.get_ylim())
    heights = _spread([log10(ms) for _, (_, ms) in ends], (high - low) / 30)
    leader = {"arrowstyle": "-", "color": _GREY, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 2}
    for (key, end), height in zip(ends, heights, strict=True):
        axes.annotate(
            _plain(title(key)), end, (right * 1.08, 10**height), color=_colour(key), fontsize=9, va="center",
            arrowprops=leader,
        )  # fmt: skip
    _save(figure, path)


def rates(results: Results, path: Path) -> None:
    """Figure 2: multiply-adds and, where they were timed, frames a second, by what ResNets keep of the resolution."""
    measured = {depth: [results["rates"][rate_key(depth, rate)] for rate in RATES] for depth in DEPTHS}
    panels: list[tuple[str, str, Callable[[float], float]]]
    panels = [(f"multiply-adds at {RATES_SIZE}, G", "macs", lambda macs: macs / 1e9)]
    if any("network_ms" in each for row in measured.values() for each in row):
        panels.append(("frames/s in ONNX Runtime, here", "network_ms", lambda ms: 1000 / ms))
    figure = Figure((4.6 * len(panels), 3.6), dpi=_DPI, layout="constrained")
    for axes, (what, field, scaled) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for (depth, row), colour in zip(measured.items(), (_OTHER, _OURS), strict=True):
            values = [scaled(each[field]) if field in each else np.nan for each in row]
            axes.plot(range(len(RATES)), values, "o-", color=colour, label=f"ResNet-{depth}", markersize=5)
        axes.set(yscale="log", xlabel="maintaining rate", ylabel=what)
        axes.set_xticks(range(len(RATES)), [f"1/{rate}" for rate in RATES])
        _style(axes)
        axes.legend(frameon=False)
    _save(figure, path)


def heat_maps(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], path: Path) -> None:
    """Figure 4: both responses in colours from blue (low) to red (high), each over its own range."""
    height, width = before.shape
    figure = Figure((9.2, 0.8 + 4.3 * height / width), dpi=_DPI, layout="constrained")
    for axes, response, name in zip(figure.subplots(1, 2), (before, after), ("before", "after"), strict=True):
        low, high = np.percentile(response, (1, 99))
        axes.imshow(response, cmap="turbo", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(f"Layer-3 {name} BCP", fontsize=11)
        axes.set_axis_off()
    _save(figure, path)


def _megapixels(size: str) -> float:
    height, width = size_hw(size)
    return height * width / 1e6


def _colour(key: str) -> str:
    return _OURS if key in ("bcpnet", SHIPPED) else _OTHER


def _plain(text: str) -> str:
    return text.replace("`", "")


def _style(axes: Axes) -> None:
    """Plain numbers, whole on linear axes, and no box around the plot. The limits must be set."""
    axes.spines[["top", "right"]].set_visible(False)
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(integer=True))


def _label_points(figure: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """A name beside each point, inside the plot, where no other name and no point is."""
    figure.draw_without_rendering()  # settles where things lie
    marks = [axes.transData.transform(point[1:]) for point in points]
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in marks]
    for key, ms, miou in points:
        for dx, dy, across, up in _PLACES:
            label = axes.annotate(
                _plain(title(key)), (ms, miou), (dx, dy), textcoords="offset points", ha=across, va=up, fontsize=8.5,
                color=_colour(key), fontweight="bold" if key == "bcpnet" else "normal",
            )  # fmt: skip
            box = label.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if (inside and not any(box.overlaps(other) for other in taken)) or (dx, dy, across, up) == _PLACES[-1]:
                taken.append(box)
                break
            label.remove()


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """The nearest heights (least squares) that keep the order and lie at least `gap` apart, in the order given."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    # Less their share of gaps the heights must not fall: neighbours that do are pooled at their mean.
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([heights[index] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    moved = [fmean(pool) for pool in pools for _ in pool]
    spread = [0.0] * len(heights)
    for rank, index in enumerate(order):
        spread[index] = moved[rank] + rank * gap
    return spread


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
