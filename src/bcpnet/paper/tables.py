"""The tables of the document, as Markdown, from the results alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bcpnet.paper.published import ABLATION, GPU, PUBLISHED, TABLE_1_SIZES
from bcpnet.paper.results import (
    DEPTHS,
    RATES,
    SAME,
    Results,
    best,
    by_area,
    rate_key,
    same,
    timed_sizes,
    title,
)

_LETTERS = {"native": "n", "onnxruntime": "o", "openvino": "v"}
_NONE = "-"

Cell = dict[str, Any]  # one network in one backend
Fastest = Callable[[dict[str, Any], str], tuple[str, float] | None]


def fastest_table(results: Results) -> str:
    """bcpnet and the next fastest at each size, raced in turns: in the backend that all share, and each in its best."""
    lines = []
    for size in by_area(results["fastest"]):
        cells = [size]
        for backend in (SAME, None):
            pair = duel(results, size, backend)
            if pair is None:
                cells += [_NONE] * 3
                continue
            bcpnet, other = pair
            in_bcpnet, in_other = ("", "") if backend else (f" ({bcpnet['backend']})", f" ({other['backend']})")
            cells.append(_ms(bcpnet["ms"]) + in_bcpnet)
            cells.append(f"{title(other['network'])}, {_ms(other['ms'])}{in_other}")
            cells.append(f"**{other['ms'] / bcpnet['ms']:.2f}**")
        lines.append(cells)
    header = ["frame", f"BCPNet in {SAME}, ms", "next, ms", "times as fast"]
    return _table([*header, "BCPNet in its best, ms", "next, ms", "times as fast"], lines)


def duel(results: Results, size: str, backend: str | None = None) -> tuple[Cell, Cell] | None:
    """bcpnet and the fastest other network in the race at `size`: in one backend, or each in its best."""
    rows = [row for row in results["fastest"][size]["rows"] if "error" not in row and backend in (None, row["backend"])]
    ours = [row for row in rows if row["network"] == "bcpnet"]
    others = [row for row in rows if row["network"] != "bcpnet"]
    if not ours or not others:
        return None
    return min(ours, key=lambda row: float(row["ms"])), min(others, key=lambda row: float(row["ms"]))


def is_fastest(results: Results, size: str) -> bool:
    """Whether bcpnet is ahead at `size` in all that was timed: both races, and the tables of all networks."""
    duels = [duel(results, size, SAME), duel(results, size)]
    networks = results["networks"]
    for fastest in (same, best):
        timed = {key: cell[1] for key, entry in networks.items() if (cell := fastest(entry["times"].get(size, {})))}
        others = [ms for key, ms in timed.items() if networks[key]["network"] != "bcpnet"]
        if others and "bcpnet" in timed and min(others) <= timed["bcpnet"]:
            return False
    return all(bcpnet["ms"] < other["ms"] for bcpnet, other in filter(None, duels))


def costs_table(results: Results) -> str:
    """Table 1, published beside ours: a line for each published count."""
    lines = []
    for key, entry in results["networks"].items():
        published = PUBLISHED.get(key)
        parameters = entry["parameters"] / 1e6
        of_paper = None if published is None else published.parameters_m
        cells = [title(key), _plain(of_paper), _number(parameters), _quotient(parameters, of_paper)]
        difference = entry["difference"]
        last = _NONE if difference is None else f"{difference:.0e}"
        counts = {} if published is None else published.gflops
        for size in counts or (TABLE_1_SIZES[-1],):
            gmacs = entry["macs"][size] / 1e9
            count = counts.get(size)
            lines.append([*cells, size, _plain(count), _number(gmacs), _quotient(gmacs, count), last])
            cells, last = [""] * len(cells), ""
    return _table(
        [
            "network", "parameters published, M", "ours, M", "ratio", "frame", "FLOPs published, G",
            "our multiply-adds, G", "ratio", "ONNX differs by",
        ],
        lines,
    )  # fmt: skip


def macs_table(results: Results) -> str:
    """Our multiply-adds at all sizes of Table 1."""
    lines = [
        [title(key), *(_number(entry["macs"][size] / 1e9) for size in TABLE_1_SIZES)]
        for key, entry in results["networks"].items()
    ]
    return _table(["multiply-adds, G", *TABLE_1_SIZES], lines)


def published_speed_table(results: Results) -> str:
    """Table 2, published beside ours: a line for each published time at a size that was measured."""
    lines = []
    for key, entry in results["networks"].items():
        name = title(key)
        for size, (ms, fps) in PUBLISHED[key].speed.items() if key in PUBLISHED else ():
            times = entry["times"].get(size)
            if times is None:
                continue
            network, fastest = same(times, "network_ms"), best(times)
            cells = [name, size, _plain(ms), _plain(fps)]
            cells += [_NONE if network is None else f"{_ms(network[1])} / {_fps(network[1])}"]
            if fastest is None:
                cells += [_NONE] * 3
            else:
                backend, ours_ms = fastest
                cells += [f"{_ms(ours_ms)} / {_fps(ours_ms)}", backend, _quotient(ours_ms, ms)]
            lines.append(cells)
            name = ""
    if not lines:
        return "The paper prints no time at these sizes."
    return _table(
        [
            "network", "frame", f"published ({GPU}), ms", "frames/s", f"ours, network in {SAME}, ms / frames/s",
            "ours, to the class map, ms / frames/s", "in", "ratio of ms",
        ],
        lines,
    )  # fmt: skip


def speed_table(results: Results, fastest: Fastest, field: str) -> str:
    """All of Table 2 measured here: "ms / frames/s" of `field` ("ms" or "network_ms") by network and size.

    `fastest` is `best`, whose backends are shown by a letter, or `same`.
    """
    sizes = timed_sizes(results)
    lines = []
    for key, entry in results["networks"].items():
        if entry["times"]:
            cells = [_time(entry["times"].get(size), fastest, field) for size in sizes]
            lines.append([title(key), *cells])
    return _table(["ms / frames/s", *sizes], lines)


def failures(results: Results) -> list[str]:
    """Why a cell of the backend that all share has no time: "network, frame: reason"."""
    return [
        f"{title(key)}, {size}: {entry['times'][size][SAME]['error']}"
        for key, entry in results["networks"].items()
        for size in by_area(entry["times"])
        if "error" in entry["times"][size][SAME]
    ]


def accuracy_table(results: Results, split: str) -> str:
    """Table 3 ("cityscapes") or 4 ("camvid"): published on test, measured by us on what the cell says."""
    lines = []
    for key, entry in results["networks"].items():
        published = getattr(PUBLISHED[key], split) if key in PUBLISHED else None
        measured = results["accuracy"].get(key)
        if measured is None or measured["dataset"] != split:
            ours = [_NONE] * 3
        else:
            ours = [f"{100 * measured['miou']:.1f}", measured["split"], measured["trained"]]
        if published is not None or ours[0] != _NONE:
            lines.append([title(key), f"{entry['parameters'] / 1e6:.2f}", _plain(published), *ours])
    header = ["network", "parameters, M", "published, test, %", "ours, %", "ours is of", "ours was trained on"]
    return _table(header, lines)


def ablation_table(results: Results) -> str:
    """Table 5; ours "-" where it was not measured."""
    measured, spread = ((results["ablation"] or {}).get(key, {}) for key in ("miou", "spread"))
    lines = [
        [
            row.crop, row.pooling, "yes" if row.bcp else "no", f"{row.parameters_m:.2f}", f"{row.miou:.3f}",
            f"{100 * measured[row.variant]:.1f}" if row.variant in measured else _NONE,
            f"{100 * spread[row.variant]:.1f}" if spread.get(row.variant) is not None else _NONE,
        ]
        for row in ABLATION
    ]  # fmt: skip
    header = ["crop", "context pooling", "BCP", "parameters, M", "published, Cityscapes val, %", "ours, %", "spread"]
    return _table(header, lines)


def rates_table(results: Results) -> str:
    """Figure 2 in figures."""
    lines = []
    for rate in RATES:
        cells = [f"1/{rate}"]
        for depth in DEPTHS:
            measured = results["rates"].get(rate_key(depth, rate), {})
            ms = measured.get("network_ms")
            cells.append(_number(measured["macs"] / 1e9) if measured else _NONE)
            cells.append(_NONE if ms is None else f"{_ms(ms)} / {_fps(ms)}")
        lines.append(cells)
    columns = [f"ResNet-{depth}, {what}" for depth in DEPTHS for what in ("multiply-adds, G", "ms / frames/s")]
    return _table(["maintaining rate", *columns], lines)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(cells)} |" for cells in (header, *lines)]
    return "\n".join([rows[0], "|---" * len(header) + "|", *rows[1:]])


def _time(times: dict[str, Any] | None, fastest: Fastest, field: str) -> str:
    if times is None:
        return _NONE
    found = fastest(times, field)
    if found is None:
        return "not tried" if times[SAME]["error"].startswith("not tried") else "failed"
    backend, ms = found
    letter = f" {_LETTERS[backend]}" if fastest is best else ""
    return f"{_ms(ms)} / {_fps(ms)}{letter}"


def _ms(ms: float) -> str:
    """Three digits or more: 1.7, 59.2, 637, 4000."""
    return f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def _fps(ms: float) -> str:
    fps = 1000 / ms
    return f"{fps:.0f}" if fps >= 100 else f"{fps:.1f}" if fps >= 10 else f"{fps:.2f}"


def _number(value: float) -> str:
    """Millions or billions: two decimals below ten, one above."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _plain(value: float | None) -> str:
    """As it was printed."""
    return _NONE if value is None else f"{value:g}"


def _quotient(ours: float, published: float | None) -> str:
    return _NONE if published is None else f"{ours / published:.2f}"
