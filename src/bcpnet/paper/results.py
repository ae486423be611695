"""The JSON of a run: saved whole after every row, so that an interrupted run goes on from it, on the same machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

from bcpnet.errors import InputError
from bcpnet.machine import describe_machine
from bcpnet.paper.published import PUBLISHED
from bcpnet.storage.damaged import damage_told
from bcpnet.storage.files import write_bytes

Results = dict[str, Any]

SAME = "onnxruntime"  # the backend that runs every network
BACKENDS = (SAME, "native", "openvino")  # the best is the fastest of these
SHIPPED = "camvid"  # a row of its own: bcpnet as the weights of this name have it

# Figure 2: ResNets whose features are 1/RATE of the image. The paper does not name the image's size.
DEPTHS = (50, 101)
RATES = (32, 16, 8, 4)
RATES_SIZE = "360x640"

# What decides times: of `bcpnet.machine.describe_machine`.
_SAME = ("cpu", "physical_cores", "logical_cores", "usable_cores", "isa", "memory_gib", "os", "python", "packages")
_KIND = "bcpnet paper"


def new_results(settings: dict[str, Any]) -> Results:
    """Nothing measured yet, on this machine.

    Keys: networks (by row: parameters, macs by size, difference of the export, times by size and backend), fastest
    (by size: those that raced once more), rates (Figure 2), accuracy, ablation, figure4, figure5.
    """
    return {
        "kind": _KIND,
        "settings": dict(settings),
        "machine": describe_machine(),
        "networks": {},
        "fastest": {},
        "rates": {},
        "accuracy": {},
        "ablation": None,
        "figure4": None,
        "figure5": None,
    }


def read_results(path: Path) -> Results | None:
    """What an earlier run left; None where there is no such file. Raises InputError where it is something else."""
    if not path.exists():
        return None
    wrong = "not what `bcpnet paper` writes; name another --results file"
    with damage_told(path, "json", wrong):
        results = json.loads(path.read_bytes())
    if not isinstance(results, dict) or results.get("kind") != _KIND:
        raise InputError(f"{path}: {wrong}")
    return results


def require_same(results: Results, settings: dict[str, Any], path: Path) -> None:
    """Raises InputError unless `results` are of this machine, these versions and these settings."""
    here = describe_machine()
    pairs = [(key, results["machine"].get(key), here[key]) for key in _SAME]
    pairs += [(key, results["settings"].get(key), value) for key, value in settings.items()]
    for key, there, now in pairs:
        if there != now:
            raise InputError(
                f"{path}: cannot go on with it: its {key.replace('_', ' ')} was {_differing(there, now)}, now it is "
                f"{_differing(now, there)}; --fresh measures all of it again, another --results file keeps it"
            )


def save_results(path: Path, results: Results) -> None:
    """Writes them whole. Raises InputError where that fails."""
    write_bytes(path, (json.dumps(results, indent=1) + "\n").encode())


def size_hw(size: str) -> tuple[int, int]:
    """ "360x640" -> (360, 640)."""
    height, width = map(int, size.split("x"))
    return height, width


def by_area(sizes: Iterable[str]) -> list[str]:
    """Each once, the smallest first."""
    return sorted(set(sizes), key=lambda size: (prod(size_hw(size)), size))


def best(times: dict[str, Any], field: str = "ms") -> tuple[str, float] | None:
    """The fastest backend of a cell (what a network did at a size) and its milliseconds; None where all failed."""
    done = {backend: measured[field] for backend, measured in times.items() if "error" not in measured}
    return min(done.items(), key=lambda item: item[1]) if done else None


def same(times: dict[str, Any], field: str = "ms") -> tuple[str, float] | None:
    """As `best`, of the backend that all have in common."""
    return best({backend: measured for backend, measured in times.items() if backend == SAME}, field)


def accuracy_points(results: Results, size: str, split: str) -> list[tuple[str, float, float]]:
    """(row, our best milliseconds to the class map, published mIoU in %) of `split`: "camvid" or "cityscapes"."""
    points = []
    for key, entry in results["networks"].items():
        fastest = best(entry["times"].get(size, {}))
        miou = getattr(PUBLISHED[key], split) if key in PUBLISHED else None
        if fastest is not None and miou is not None:
            points.append((key, fastest[1], miou))
    return points


def accuracy_size(results: Results) -> str | None:
    """The size of the accuracy-over-latency plot: the smallest one timed; None where it would be empty."""
    sizes = timed_sizes(results)
    if not sizes or not any(accuracy_points(results, sizes[0], split) for split in ("camvid", "cityscapes")):
        return None
    return sizes[0]


def rate_key(depth: int, rate: int) -> str:
    """Where `rates` keeps a measurement of Figure 2."""
    return f"resnet{depth}, 1/{rate}"


def timed_sizes(results: Results) -> list[str]:
    """Sizes that some row was timed at, the smallest first."""
    return by_area(size for entry in results["networks"].values() for size in entry["times"])


def title(key: str) -> str:
    """What a row is called: the paper's name for it, where it has one."""
    if key == SHIPPED:
        return f"BCPNet, `{SHIPPED}`"
    return PUBLISHED[key].title if key in PUBLISHED else key


def _differing(value: Any, other: Any) -> Any:
    """Of two tables the entries that differ, else the value."""
    if isinstance(value, dict) and isinstance(other, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if other.get(k) != v) or "without others"
    return value
