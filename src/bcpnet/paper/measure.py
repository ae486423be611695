"""Tables 1 and 2: what every network costs, and how long it takes on this machine. Needs PyTorch.

What `Results` hold already is not measured again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import Any

from bcpnet.benchmark.comparison import Contestant, Row, compete
from bcpnet.benchmark.networks import PreparedNetwork, random_network
from bcpnet.benchmark.process import Worker
from bcpnet.benchmark.scenes import draw_scenes
from bcpnet.errors import InputError
from bcpnet.networks import NETWORKS
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.info import describe
from bcpnet.paper.published import PUBLISHED, TABLE_1_SIZES
from bcpnet.paper.results import BACKENDS, SAME, SHIPPED, Results, best, by_area, same, size_hw
from bcpnet.weights import path_of

CLASSES = 19  # Cityscapes'

_PREPARED_AT_HW = (180, 320)  # the frames that batch norm takes its statistics from
_SMALL = 10_000_000  # parameters: files of larger networks are removed once they are measured
_OPERATIONS_PER_S = 1e11  # what to expect of two cores
_ALL_BACKENDS_S = 5.0  # a network expected to take longer for a frame is timed in SAME alone
_RIVALS = 2  # how many race with bcpnet once more


@dataclass(frozen=True)
class Variant:
    """A row: a name in NETWORKS, and the options to build it with."""

    network: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        frames: timed in a cell, at most.
        budget_s: seconds that they may take together; a slow network has fewer.
        race_s: the same for those that race once more.
        limit_s: seconds for one frame; who takes longer is stopped.
        threads: of each runtime; None = its own choice.
    """

    frames: int = 30
    budget_s: float = 1.0
    race_s: float = 3.0
    limit_s: float = 60.0
    threads: int | None = None


def variants() -> dict[str, Variant]:
    """All rows: the paper's systems in its order, networks that it does not name, and bcpnet as it ships."""
    names = [name for name in PUBLISHED if name in NETWORKS] + [name for name in NETWORKS if name not in PUBLISHED]
    _, metadata = load_checkpoint(path_of(SHIPPED, ".safetensors"))
    return {**{name: Variant(name, {}) for name in names}, SHIPPED: Variant(metadata.network, metadata.options)}


scenes_of = cache(draw_scenes)


class Exports:
    """Networks with random weights as files, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        """`folder` is for the files; the caller removes it."""
        self._folder = folder
        self._made: dict[str, PreparedNetwork] = {}

    def __call__(self, key: str, variant: Variant) -> PreparedNetwork:
        """That row's network. Raises InputError where ONNX Runtime does not compute what it does."""
        if key not in self._made:
            for other in [other for other, made in self._made.items() if made.parameters > _SMALL]:
                del self._made[other]
                shutil.rmtree(self._folder / other)
            scenes, folder = scenes_of(_PREPARED_AT_HW), self._folder / key
            self._made[key] = random_network(variant.network, CLASSES, scenes, folder, **variant.options)
        return self._made[key]


def count(key: str, variant: Variant, results: Results) -> None:
    """Table 1's row: parameters, and multiply-adds at its sizes."""
    info = describe(variant.network, CLASSES, [size_hw(size) for size in TABLE_1_SIZES], **variant.options)
    results["networks"][key] = {
        **asdict(variant),
        "parameters": info.parameters,
        "macs": info.macs,
        "difference": None,
        "times": {},
    }


def missing_sizes(key: str, sizes: Iterable[str], results: Results) -> list[str]:
    """Those that this row was not timed at yet, smallest first."""
    times = results["networks"].get(key, {}).get("times", {})
    return by_area(size for size in sizes if size not in times)


def time_network(key: str, size: str, variant: Variant, exports: Exports, effort: Effort, results: Results) -> None:
    """One cell of Table 2: every backend, in turns. Failures are entries that say why.

    Larger sizes are not tried where a smaller one failed.
    """
    entry = results["networks"][key]
    smaller = [other for other in by_area(entry["times"]) if prod(size_hw(other)) < prod(size_hw(size))]
    failed = {backend: other for other in reversed(smaller) for backend in _failures(entry["times"][other])}
    if SAME in failed:
        entry["times"][size] = {SAME: {"error": f"not tried: it failed at {failed[SAME]}"}}
        return
    at, macs = next(iter(entry["macs"].items()))
    expected_s = 2 * macs * prod(size_hw(size)) / prod(size_hw(at)) / _OPERATIONS_PER_S
    backends = [name for name in BACKENDS if name not in failed] if expected_s < _ALL_BACKENDS_S else [SAME]
    try:
        prepared = exports(key, variant)
        entry["difference"] = prepared.difference
        contestants = [Contestant(key, prepared.weights(name), name) for name in backends]
        rows = timed(contestants, size, effort, effort.budget_s)
    except InputError as error:
        entry["times"][size] = {SAME: {"error": without_folder(str(error))}}
        return
    entry["times"][size] = {row.backend: cell(row) for row in rows}


def timed(contestants: list[Contestant], size: str, effort: Effort, budget_s: float) -> list[Row]:
    """`compete` with the run's settings."""
    return compete(
        contestants, scenes_of(size_hw(size)), threads=effort.threads, frames=effort.frames, budget_s=budget_s,
        macs=False, open_worker=partial(Worker, limit_s=effort.limit_s),
    )  # fmt: skip


def cell(row: Row) -> dict[str, Any]:
    """What the results keep of a row: median milliseconds (network alone, and frame to class map), or the error."""
    if row.timing is None:
        return {"error": without_folder(str(row.error))}
    return {
        "network_ms": row.timing.stages["network"].p50_ms,
        "ms": row.timing.segment.p50_ms,
        "frames": row.timing.frames,
        "peak_mib": None if row.memory is None else row.memory.peak,
    }


def without_folder(error: str) -> str:
    """The text of an error without the folder, a temporary one, of the file that it names."""
    return re.sub(r"\S*[/\\](?=\S+\.onnx)", "", error)


def must_race(size: str, rows: dict[str, Variant], results: Results) -> bool:
    """Whether bcpnet and another network were timed at this size, and some network since the last race."""
    among = _among(size, rows, results)
    others = [key for key in among if rows[key].network != "bcpnet"]
    return "bcpnet" in among and bool(others) and results["fastest"].get(size, {}).get("among") != among


def race(size: str, rows: dict[str, Variant], exports: Exports, effort: Effort, results: Results) -> None:
    """bcpnet and the fastest others once more, all in turns: a ratio is then one of the same minute.

    The fastest in the same backend race, and the fastest in their best one.
    """
    among = _among(size, rows, results)
    racing: list[tuple[str, str]] = []
    for fastest in (same, best):
        found = {key: fastest(results["networks"][key]["times"][size]) for key in among}
        done = {key: measured for key, measured in found.items() if measured is not None}
        others = sorted((key for key in done if rows[key].network != "bcpnet"), key=lambda key: done[key][1])
        racing += [(key, done[key][0]) for key in ("bcpnet", *others[:_RIVALS])]
    contestants = [
        Contestant(key, exports(key, rows[key]).weights(backend), backend) for key, backend in dict.fromkeys(racing)
    ]
    measured = [
        {"network": row.network, "backend": row.backend, **cell(row)}
        for row in timed(contestants, size, effort, effort.race_s)
    ]
    results["fastest"][size] = {"among": among, "rows": measured}


def _among(size: str, rows: dict[str, Variant], results: Results) -> list[str]:
    """Rows that were timed at this size."""
    return [key for key in rows if same(results["networks"].get(key, {}).get("times", {}).get(size, {}))]


def _failures(times: dict[str, Any]) -> list[str]:
    return [backend for backend, measured in times.items() if "error" in measured]
