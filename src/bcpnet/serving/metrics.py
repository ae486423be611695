"""Counts for Prometheus, of all worker processes together: each one writes its own cells of memory they share."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

ROUTES = ("segment", "stream", "models", "infer", "v2", "health", "metrics", "other")
STATUSES = ("200", "400", "401", "403", "404", "405", "406", "413", "415", "422", "499", "500", "503", "other")
STAGES = ("decode", "pre", "network", "post", "encode")
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Family(NamedTuple):
    """A metric: name, type, help, and the labels of each of its cells, as Prometheus writes them."""

    name: str
    kind: str
    text: str
    samples: tuple[str, ...]


def _labelled(label: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(f'{{{label}="{value}"}}' for value in values)


_BUCKETS = _labelled("le", [*map(str, _BUCKETS_S), "+Inf"])
_HISTOGRAM = (*_BUCKETS, "_sum", "_count")

_FAMILIES = (
    _Family(
        "bcpnet_requests_total",
        "counter",
        "Requests answered, by route and HTTP status; 499: the client went.",
        tuple(f'{{route="{route}",status="{status}"}}' for route in ROUTES for status in STATUSES),
    ),
    _Family(
        "bcpnet_images_total",
        "counter",
        "Images of requests and frames of streams.",
        _labelled("result", ("segmented", "refused", "skipped")),
    ),
    _Family("bcpnet_stage_seconds_total", "counter", "Time spent on images, by stage.", _labelled("stage", STAGES)),
    _Family("bcpnet_request_seconds", "histogram", "From a request's headers to the end of its answer.", _HISTOGRAM),
    _Family("bcpnet_requests_waiting", "gauge", "Requests that wait for a thread.", ("",)),
    _Family("bcpnet_requests_running", "gauge", "Requests that a thread works on.", ("",)),
    _Family("bcpnet_connections", "gauge", "Open connections.", ("",)),
    _Family("bcpnet_body_bytes", "gauge", "Bytes of request bodies in memory.", ("",)),
    _Family(
        "bcpnet_worker_starts_total", "counter", "Worker processes started; more than there are: some died.", ("",)
    ),
)
_CELLS = [(family.name, sample) for family in _FAMILIES for sample in family.samples]
_INDEX = {cell: index for index, cell in enumerate(_CELLS)}
_GAUGES = [index for family in _FAMILIES if family.kind == "gauge" for index in [_INDEX[family.name, ""]]]

CELLS = len(_CELLS)  # of each worker


class Metrics:
    """One worker's counts, and the sums of all.

    Every method is called from one thread of a worker: nothing else writes its cells.
    """

    def __init__(self, cells: MutableSequence[float], worker: int = 0) -> None:
        """`cells` are CELLS for each worker, shared; this is that number. Gauges a dead one left are set to 0."""
        self._cells, self._first = cells, worker * CELLS
        for index in _GAUGES:
            cells[self._first + index] = 0.0
        self._add("bcpnet_worker_starts_total", "")

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request that is done. What is in neither ROUTES nor STATUSES counts as other."""
        route = route if route in ROUTES else "other"
        code = str(status) if str(status) in STATUSES else "other"
        self._add("bcpnet_requests_total", f'{{route="{route}",status="{code}"}}')
        if route in ("segment", "infer"):
            for bucket, label in zip((*_BUCKETS_S, float("inf")), _BUCKETS, strict=True):
                if seconds <= bucket:
                    self._add("bcpnet_request_seconds", label)
            self._add("bcpnet_request_seconds", "_sum", seconds)
            self._add("bcpnet_request_seconds", "_count")

    def image(self, result: str, ms: dict[str, float] | None = None) -> None:
        """An image that is segmented (with milliseconds by stage), refused, or, in a stream, skipped."""
        self._add("bcpnet_images_total", f'{{result="{result}"}}')
        for stage, value in (ms or {}).items():
            self._add("bcpnet_stage_seconds_total", f'{{stage="{stage}"}}', value / 1000)

    def now(self, waiting: int, running: int, connections: int, body_bytes: int) -> None:
        """The gauges, as they are."""
        for index, value in zip(_GAUGES, (waiting, running, connections, body_bytes), strict=True):
            self._cells[self._first + index] = float(value)

    def text(self) -> str:
        """All workers' sums, in Prometheus' text format 0.0.4."""
        sums = [sum(self._cells[index::CELLS]) for index in range(CELLS)]
        lines = []
        for family in _FAMILIES:
            lines += [f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}"]
            for sample in family.samples:
                value = sums[_INDEX[family.name, sample]]
                if value or family.name != "bcpnet_requests_total":  # most pairs of route and status never come
                    suffix = "_bucket" if sample.startswith("{le=") else ""
                    lines.append(f"{family.name}{suffix}{sample} {value:.16g}")
        return "\n".join(lines) + "\n"

    def _add(self, name: str, sample: str, value: float = 1.0) -> None:
        self._cells[self._first + _INDEX[name, sample]] += value
