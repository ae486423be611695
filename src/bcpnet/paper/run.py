"""The steps of a run: those whose results are not there yet. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcpnet.paper.measure import Effort, Exports, Variant, count, missing_sizes, must_race, race, time_network
from bcpnet.paper.rates import count_rate, measure_rate
from bcpnet.paper.results import DEPTHS, RATES, Results, by_area, rate_key, require_same, save_results

Step = tuple[str, Callable[[], None]]  # what it is, and what does it


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        rows: of all that could be.
        networks: names of rows, to be measured.
        sizes: of Table 2, "HxW".
        effort: how long.
        quick: whether this is a quick run, which counts Figure 2 and does not time it.
    """

    rows: dict[str, Variant]
    networks: tuple[str, ...]
    sizes: tuple[str, ...]
    effort: Effort
    quick: bool = False

    def settings(self) -> dict[str, Any]:
        """What all of a results file has in common, beside the machine."""
        return {"quick": self.quick, "threads": self.effort.threads, "limit_s": self.effort.limit_s}


def measure(plan: Plan, results: Results, path: Path, report: Callable[[str], None]) -> None:
    """Takes the steps that are missing in `results`, whose rows are then in the order of the plan's.

    After each step they are saved to `path`.

    Raises:
        InputError: something is missing, and what is there was measured on another machine or with other settings;
            or `path` cannot be written.
    """
    with TemporaryDirectory(prefix="bcpnet-") as folder:
        exports = Exports(Path(folder))
        steps = _first_steps(plan, results, exports)
        if steps or _races(plan, results, exports):
            require_same(results, plan.settings(), path)
        _take(steps, results, path, report)
        results["networks"] = {key: results["networks"][key] for key in plan.rows if key in results["networks"]}
        _take(_races(plan, results, exports), results, path, report)


def _take(steps: list[Step], results: Results, path: Path, report: Callable[[str], None]) -> None:
    for number, (what, work) in enumerate(steps, 1):
        report(f"{number} of {len(steps)}: {what}")
        work()
        save_results(path, results)


def _first_steps(plan: Plan, results: Results, exports: Exports) -> list[Step]:
    """Tables 1 and 2, Figure 2."""
    steps: list[Step] = []
    for key in plan.networks:
        if key not in results["networks"]:
            steps.append((f"{key}, counting", partial(count, key, plan.rows[key], results)))
        for size in missing_sizes(key, plan.sizes, results):
            work = partial(time_network, key, size, plan.rows[key], exports, plan.effort, results)
            steps.append((f"{key}, {size}", work))
    for depth in DEPTHS:
        for rate in RATES:
            if rate_key(depth, rate) not in results["rates"]:
                work = partial(_rate, depth, rate, plan, results)
                steps.append((f"Figure 2, {rate_key(depth, rate)}", work))
    return steps


def _races(plan: Plan, results: Results, exports: Exports) -> list[Step]:
    """The fastest at each size once more: after the first steps, whose results they depend on."""
    return [
        (f"the fastest, {size}", partial(race, size, plan.rows, exports, plan.effort, results))
        for size in by_area(plan.sizes)
        if must_race(size, plan.rows, results)
    ]


def _rate(depth: int, rate: int, plan: Plan, results: Results) -> None:
    measured = count_rate(depth, rate) if plan.quick else measure_rate(depth, rate, plan.effort)
    results["rates"][rate_key(depth, rate)] = measured
