"""The frames of each video smoothed over time, in their order, whichever thread works on them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from bcpnet.media.sources import BadFrame, Frame
from bcpnet.segmenter import Segmentation, Segmenter, Smoother, Turn, with_turns

R = TypeVar("R")
Taken = tuple[Frame | BadFrame, Turn, Smoother]


def with_smoothers(frames: Generator[Frame | BadFrame, None, None]) -> Generator[Taken, None, None]:
    """Yields each frame with its turn and the smoother of its file."""
    item, smoother = None, Smoother()
    with closing(frames):
        for frame, turn in with_turns(frames):
            if frame.item is not item:
                item, smoother = frame.item, Smoother()
            yield frame, turn, smoother
            del turn  # held by whoever works on it, and by nobody else


def smoothed(
    work: Callable[[Frame | BadFrame, Callable[[Frame], Segmentation]], R], segmenter: Segmenter
) -> Callable[[Taken], R]:
    """`work` on what `with_smoothers` yields: it segments the frames of videos in turn, images as ever."""

    def work_in_turn(taken: Taken) -> R:
        frame, turn, smoother = taken
        try:
            if not frame.item.is_video:
                return work(frame, lambda image: segmenter(image.image))
            return work(frame, lambda image: segmenter.in_turn(image.image, smoother, turn))
        finally:
            if not turn.ended.is_set():
                with turn:
                    pass

    return work_in_turn
