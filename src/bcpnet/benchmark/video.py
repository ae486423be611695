"""What `bcpnet predict` makes of a video: with its stages overlapping, as it works, and one after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from bcpnet.benchmark.auto_backend import chosen_backend
from bcpnet.benchmark.memory import Memory, peak_mib, resident_mib
from bcpnet.benchmark.process import Worker
from bcpnet.benchmark.timing import FrameTimes, Timing, time_frames
from bcpnet.errors import InputError, UsageError
from bcpnet.media.sources import BadFrame, find_media, save_class_map, save_image
from bcpnet.media.video import VideoWriter, read_video, video_info
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.frame_files import draw_pictures
from bcpnet.prediction.predict import Kind, Outputs, predict
from bcpnet.segmenter import Segmentation, load

Picture = npt.NDArray[np.uint8]

_WARMUP = 3  # frames of the one-after-the-other run that are not counted


@dataclass(frozen=True)
class Overlapped:
    """A run of `bcpnet.prediction.predict.predict` from the first frame asked for to the last result written.

    Attributes:
        frames: how many.
        wall_s: how long, in seconds.
        core_s: time on all cores together, in seconds.
        workers: frames worked on at once.
        threads: that each of these ran the network with.
        stage_ms: mean milliseconds a frame by stage, each in the thread that it ran in; they overlap.
    """

    frames: int
    wall_s: float
    core_s: float
    workers: int
    threads: int
    stage_ms: dict[str, float]

    @property
    def fps(self) -> float:
        """Frames per second, everything included."""
        return self.frames / self.wall_s


@dataclass(frozen=True)
class VideoRow:
    """One backend on one video.

    Attributes:
        network: the weights as asked for.
        backend: as asked for; where none was, the one that ran.
        ran: the one that ran: for "auto" the one it chose.
        size_hw: of the network's input; None = the short side that the weights were trained for.
        frame_hw: of the video.
        save: what was written; nothing written means class maps in memory only.
        overlapped: the faster of two runs.
        one_by_one: stages decode, pre, network, post, draw, encode, other; the network with all threads.
        memory: of the process, the first overlapped run; None where the system does not tell.
    """

    network: str
    backend: str
    ran: str
    size_hw: tuple[int, int] | None
    frame_hw: tuple[int, int]
    save: tuple[Kind, ...]
    overlapped: Overlapped
    one_by_one: Timing
    memory: Memory | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every field, and frames per second."""
        return {**asdict(self), "fps": self.overlapped.fps}


def time_video(
    video: Path,
    weights: str,
    backend: str | None = None,
    *,
    size_hw: tuple[int, int] | None = None,
    threads: int | None = None,
    save: Sequence[Kind] = (),
) -> VideoRow:
    """Times one backend on a video, in a process of its own.

    Args:
        video: the file.
        weights, backend, size_hw: as for `bcpnet.load`.
        threads: in all, as `bcpnet predict` takes them; None = one for each core.
        save: what to write, into a folder that is then removed.

    Raises:
        UsageError: as `bcpnet.load`, or something unknown to save.
        InputError: the weights or the video cannot be read, or it has too few frames.
    """
    for kind in save:
        if kind not in get_args(Kind):
            raise UsageError(f"cannot save {kind!r} of a video here: choose from {', '.join(get_args(Kind))}")
    _, threads_each = divide_threads(threads, None)
    arguments = {
        "video": str(video),
        "weights": weights,
        "backend": chosen_backend(backend, weights, size_hw, threads_each),
        "size_hw": size_hw,
        "threads": threads,
        "save": list(save),
    }
    with Worker("video", arguments, limit_s=None) as worker:
        opened = worker.opened
        runs = [Overlapped(**worker.ask("overlapped"))]
        peak = worker.ask("peak")
        samples = [FrameTimes(**sample) for sample in worker.ask("one by one")]
        if len(samples) <= _WARMUP:
            raise InputError(f"{video}: too short to time: {len(samples)} frames, need more than {_WARMUP}")
        runs.append(Overlapped(**worker.ask("overlapped")))
    height, width = opened["frame_hw"]
    return VideoRow(
        network=weights,
        backend=backend or opened["backend"],
        ran=opened["backend"],
        size_hw=size_hw,
        frame_hw=(height, width),
        save=tuple(save),
        overlapped=max(runs, key=lambda run: run.fps),
        one_by_one=Timing.of(samples[_WARMUP:]),
        memory=None if peak is None else Memory(opened["ready"], peak),
    )


def open_task(
    *,
    video: str,
    weights: str,
    backend: str | None,
    size_hw: tuple[int, int] | None,
    threads: int | None,
    save: list[Kind],
) -> tuple[dict[str, Any], Callable[[str], Any]]:
    """For `bcpnet.benchmark.worker`: answers "overlapped", "one by one" and "peak"."""
    items = find_media([video])
    if len(items) != 1 or not items[0].is_video:
        raise InputError(f"{video}: need one video file")
    path = items[0].path
    info = video_info(path)
    workers, threads_each = divide_threads(threads, None)
    segmenter = load(weights, backend=backend, size_hw=size_hw, threads=threads_each)

    def overlapped(folder: Path) -> dict[str, Any]:
        stage_ms: Counter[str] = Counter()
        frames = 0
        start_s, start_core_s = time.perf_counter(), time.process_time()
        with closing(predict(items, segmenter, Outputs(folder, save), workers)) as results:
            for result in results:
                if isinstance(result, BadFrame):
                    raise InputError(str(result.error))
                stage_ms.update(result.timings_ms)
                frames += 1
        wall_s, core_s = time.perf_counter() - start_s, time.process_time() - start_core_s
        mean_ms = {stage: ms / frames for stage, ms in stage_ms.items()}
        return asdict(Overlapped(frames, wall_s, core_s, workers, threads_each, mean_ms))

    def one_by_one(folder: Path) -> list[dict[str, Any]]:
        alone = load(weights, backend=segmenter.backend.name, size_hw=size_hw, threads=threads)
        with ExitStack() as stack:
            results = _Results(folder, save, info.fps, stack)
            then: list[tuple[str, Callable[[Any], Any]]] = [("draw", results.draw), ("encode", results.encode)]
            return [
                asdict(times) for times in time_frames(alone, read_video(path), decode=True, then=then if save else [])
            ]

    def answer(request: str) -> Any:
        if request == "peak":
            return peak_mib()
        with TemporaryDirectory(prefix="bcpnet-") as folder:
            return overlapped(Path(folder)) if request == "overlapped" else one_by_one(Path(folder))

    opened = {"backend": segmenter.backend.name, "frame_hw": info.size_hw, "ready": resident_mib()}
    return opened, answer


@dataclass
class _Results:
    """Draws and writes what `predict` does, in two stages."""

    folder: Path
    save: Sequence[Kind]
    fps: Fraction
    stack: ExitStack
    encoders: dict[Kind, VideoWriter] = field(default_factory=dict)

    def draw(self, result: Segmentation) -> tuple[Segmentation, dict[Kind, Picture]]:
        return result, draw_pictures(Outputs(self.folder), self.save, result)

    def encode(self, drawn: tuple[Segmentation, dict[Kind, Picture]]) -> None:
        result, pictures = drawn
        for kind, picture in pictures.items():
            if kind not in self.encoders:
                height, width, _ = picture.shape
                writer = VideoWriter(self.folder / f"{kind}.mp4", (height, width), self.fps)
                self.encoders[kind] = self.stack.enter_context(writer)
            self.encoders[kind].write(picture)
        if "ids" in self.save:
            save_class_map(self.folder / "ids.png", result.class_map)
        if "classmap" in self.save:
            save_class_map(self.folder / "class_map.png", result.class_map, result.classes.palette())
        if "confidence" in self.save:
            save_image(self.folder / "confidence.png", result.confidence)
