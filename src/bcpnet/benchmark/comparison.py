"""Several backends, or several networks, on the same frames: measured in turns, each in a process of its own.

In turns, because a machine shared with others can be nearly twice as slow a minute later: the ratio of two rows is
that of the same minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.benchmark.auto_backend import chosen_backend
from bcpnet.benchmark.ceilings import Ceilings
from bcpnet.benchmark.memory import Memory
from bcpnet.benchmark.process import OpenWorker, Worker
from bcpnet.benchmark.timing import Frame, FrameTimes, Timing
from bcpnet.errors import InputError, UsageError
from bcpnet.storage.files import write_bytes

_ROUND = 5  # frames timed before it is the next one's turn
_SETTLE_S = 0.1  # threads of runtimes and of BLAS spin for some 20 ms after their work is done, in the next one's way
_WARMUP = 2  # frames before the first round, beside that of the class map
_AWAKE_S = 0.5  # a frame this long need not be preceded by one that wakes the threads
_LONG_S = 5.0  # with a budget: a first frame this long counts, since what slows first frames down is far shorter


@dataclass(frozen=True)
class Contestant:
    """What runs on the frames.

    Attributes:
        network: what it is called in its row.
        weights: a name that ships, or a path.
        backend: one of `bcpnet.backends.BACKENDS`, "auto", or "baseline" (`bcpnet.benchmark.baseline`); None = what the
            weights call for.
    """

    network: str
    weights: str | Path
    backend: str | None = None


@dataclass(frozen=True)
class Row:
    """What came of one contestant.

    Attributes:
        network: the contestant's.
        backend: the contestant's; where it named none, the one that ran.
        ran: the one that ran: for "auto" the one it chose, for "baseline" ONNX Runtime; None where it failed before.
        frame_hw: height and width of the frames, and of the network's input.
        threads: that it was told to use; None = its own choice.
        classes: how many the network tells apart; None where it failed before.
        macs: multiply-adds of the network, folded; None where no contestant of this name is an ONNX file.
        int8: whether they are of 8-bit integers.
        timing, memory: None where it failed; memory also where the system does not tell.
        same_pixels: share of the first scene's pixels, 0..1, with the same class as in the first row.
        error: why it failed.
    """

    network: str
    backend: str
    ran: str | None
    frame_hw: tuple[int, int]
    threads: int | None
    classes: int | None = None
    macs: int | None = None
    timing: Timing | None = None
    memory: Memory | None = None
    same_pixels: float | None = None
    error: str | None = None
    int8: bool = False

    def share_of_peak(self, ceilings: Ceilings) -> float | None:
        """What the network makes of the machine's multiply-adds of its kind, 0..1; None where its own are not known."""
        if self.timing is None or self.macs is None:
            return None
        return ceilings.share_of_peak(self.macs, self.timing.stages["network"].p50_ms, int8=self.int8)

    def as_dict(self, ceilings: Ceilings) -> dict[str, Any]:
        """For JSON: every field, frames per second, and `share_of_peak`."""
        fps = None if self.timing is None else self.timing.fps
        return {**asdict(self), "fps": fps, "share_of_peak": self.share_of_peak(ceilings)}


def compete(
    contestants: Sequence[Contestant],
    scenes: Sequence[Frame],
    *,
    threads: int | None = None,
    frames: int = 30,
    budget_s: float | None = None,
    macs: bool = True,
    between: Callable[[], None] = lambda: None,
    open_worker: OpenWorker = Worker,
) -> list[Row]:
    """Times all contestants on `scenes`, round after round; a row for each, in order.

    One that cannot be opened, runs out of memory or takes minutes for a frame gets a row that says so.

    Args:
        contestants: all are open at the same time, each with its memory.
        scenes: H x W x 3 uint8 frames of one size, used in turn. Real or realistic: the time that post-processing
            takes depends on how the classes lie.
        threads: for each; None = their own choice.
        frames: how many are timed, beside some for warming up.
        budget_s: seconds that the timed frames of one may take together: who is slow has fewer, but one at least.
        macs: whether to count multiply-adds, for which each network runs once more.
        between: called after each round.
        open_worker: starts the process.

    Raises:
        UsageError, InputError: nobody could be opened, and why the first could not; or no frames to time.
    """
    if frames < 1:
        raise UsageError(f"nothing to time: {frames} frames")
    height, width, _ = scenes[0].shape
    with TemporaryDirectory(prefix="bcpnet-") as folder, ExitStack() as stack:
        file = Path(folder) / "scenes"
        write_bytes(file, b"".join(scene.tobytes() for scene in scenes))
        common = {"size_hw": (height, width), "threads": threads, "scenes": str(file), "n_scenes": len(scenes)}
        runs = [_Run(contestant, common, stack, open_worker) for contestant in contestants]
        if all(run.error is not None for run in runs):
            raise next(run.error for run in runs if run.error is not None)
        for number, run in enumerate(runs):
            run.warm_up(Path(folder) / f"class_map_{number}", frames, budget_s)
        while any(run.left for run in runs):
            for run in runs:
                if run.left:
                    time.sleep(_SETTLE_S)
                    run.time()
            between()
        reference = next((run.class_map for run in runs if run.class_map is not None), None)
        rows = [run.row((height, width), threads, reference) for run in runs]
    if not macs:
        return rows
    counts = {row.network: _macs(row.network, contestants, (height, width), open_worker) for row in rows}
    return [replace(row, macs=counts[row.network][0], int8=counts[row.network][1]) for row in rows]


def _macs(
    network: str, contestants: Sequence[Contestant], size_hw: tuple[int, int], open_worker: OpenWorker
) -> tuple[int | None, bool]:
    """How many, and whether of 8-bit integers."""
    for weights in {str(contestant.weights) for contestant in contestants if contestant.network == network}:
        try:
            with open_worker("macs", {"weights": weights, "size_hw": size_hw}) as worker:
                if worker.opened is not None:
                    macs, int8 = worker.opened
                    return int(macs), bool(int8)
        except InputError:  # as its row says, where it is the weights' fault
            continue
    return None, False


class _Run:
    """One contestant at work. The first error is kept, and nothing more asked."""

    def __init__(
        self, contestant: Contestant, common: dict[str, Any], stack: ExitStack, open_worker: OpenWorker
    ) -> None:
        self._contestant = contestant
        self.error: InputError | None = None
        self.left = 0  # frames still to be timed
        self._wake = 1  # frames before each round that are not counted
        self._samples: list[FrameTimes] = []
        self._opened: dict[str, Any] = {}
        self.class_map: npt.NDArray[np.uint8] | None = None
        try:
            backend = chosen_backend(
                contestant.backend, contestant.weights, common["size_hw"], common["threads"], open_worker
            )
            arguments = {"weights": str(contestant.weights), "backend": backend, **common}
            self._worker = stack.enter_context(open_worker("segment", arguments))
            self._opened = self._worker.opened
        except InputError as error:
            self.error = error

    def warm_up(self, class_map: Path, frames: int, budget_s: float | None) -> None:
        """The first frames, and the class map of the first scene. Settles how many are to be timed."""
        first = self._ask({"class_map": str(class_map)})
        if first is _FAILED:
            return
        self.class_map = np.fromfile(class_map, np.uint8)
        frame_s = first["segment"] / 1000
        if budget_s is not None and frame_s > _LONG_S:
            self._samples = [FrameTimes(**first)]
            return
        if budget_s is None or frame_s < budget_s:
            samples = self._ask({"frames": _WARMUP})
            if samples is _FAILED:
                return
            frame_s = min(sample["segment"] for sample in samples) / 1000
        self._wake = int(frame_s < _AWAKE_S)
        self.left = frames if budget_s is None else max(1, min(frames, int(budget_s / frame_s)))

    def time(self) -> None:
        """A round of frames, after one that wakes the threads."""
        frames = min(_ROUND, self.left)
        self.left -= frames
        samples = self._ask({"frames": self._wake + frames})
        if samples is not _FAILED:
            self._samples += [FrameTimes(**sample) for sample in samples[self._wake :]]

    def row(self, size_hw: tuple[int, int], threads: int | None, reference: npt.NDArray[np.uint8] | None) -> Row:
        """What came of it; `reference` is the class map to compare with."""
        peak = self._ask({"peak": True})
        ran = self._opened.get("backend")
        row = Row(
            self._contestant.network, self._contestant.backend or ran or "default", ran, size_hw, threads,
            self._opened.get("classes"), error=None if self.error is None else str(self.error),
        )  # fmt: skip
        if self.class_map is None or reference is None or self.error is not None:
            return row
        return replace(
            row,
            timing=Timing.of(self._samples),
            memory=None if peak is None else Memory(self._opened["ready"], peak),
            same_pixels=float(np.mean(self.class_map == reference)),
        )

    def _ask(self, request: dict[str, Any]) -> Any:
        if self.error is None:
            try:
                return self._worker.ask(request)
            except InputError as error:
                self.error, self.left = error, 0
        return _FAILED


_FAILED = object()
