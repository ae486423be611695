"""The task of a worker that segments frames: frame in, class map out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcpnet.benchmark.memory import peak_mib, resident_mib
from bcpnet.benchmark.timing import Frame, time_frames
from bcpnet.errors import UsageError
from bcpnet.segmenter import Segmentation, Segmenter, load

if TYPE_CHECKING:  # it needs PyTorch
    from bcpnet.benchmark.baseline import Baseline, BaselineResult

# A name that takes the place of a backend's: see `bcpnet.benchmark.baseline`.
BASELINE = "baseline"


def open_task(
    *, weights: str, backend: str | None, size_hw: tuple[int, int], threads: int | None, scenes: str, n_scenes: int
) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]:
    """For `bcpnet.benchmark.worker`.

    Tells the backend's own name, the number of classes and the memory held (MiB). A request {"frames": n} gets the
    `FrameTimes` of n more frames, going round the scenes; {"class_map": path} writes the first scene's there and gets
    its `FrameTimes`, and {"peak": true} gets the peak of the memory (MiB).

    Args:
        weights, backend, threads: as for `bcpnet.load`; the backend may be BASELINE.
        size_hw: of the frames and of the network's input.
        scenes: path of a file with the frames' bytes, one after the other.
        n_scenes: how many there are.
    """
    height, width = size_hw
    segmenter: Segmenter | Baseline
    if backend == BASELINE:
        try:
            from bcpnet.benchmark.baseline import Baseline
        except ModuleNotFoundError as error:
            raise UsageError(
                f'the baseline needs the package {error.name}: in the checkout, pip install ".[train]"'
            ) from error
        segmenter = Baseline(weights, (height, width), threads)
    else:
        segmenter = load(weights, backend=backend, size_hw=size_hw, threads=threads)
    n_bytes = height * width * 3

    def scene(index: int) -> Frame:
        # Read anew each time, so that no more than one is in memory: a frame is not always warm in real life either.
        flat = np.fromfile(Path(scenes), np.uint8, n_bytes, offset=index % n_scenes * n_bytes)
        return flat.reshape(height, width, 3)

    numbers = count()

    def frames(n: int) -> Iterator[Frame]:
        return (scene(next(numbers)) for _ in range(n))

    def answer(request: dict[str, Any]) -> Any:
        if "class_map" in request:
            class_maps = []

            def segment(frame: Frame) -> Segmentation | BaselineResult:
                result = segmenter(frame)
                class_maps.append(result.class_map)
                return result

            (times,) = time_frames(segment, [scene(0)])
            class_maps[0].tofile(request["class_map"])
            return asdict(times)
        if "peak" in request:
            return peak_mib()
        return [asdict(times) for times in time_frames(segmenter, frames(request["frames"]))]

    classes = len(segmenter.backend.metadata.classes)
    return {"backend": segmenter.backend.name, "classes": classes, "ready": resident_mib()}, answer
