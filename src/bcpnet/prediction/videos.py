"""The videos that are written of one source, side by side: what stops one of them stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError
from bcpnet.media.sources import Frame, VideoWriter

K = TypeVar("K")


class Videos(Generic[K]):
    """Writes the pictures of a source's frames, one video for each kind of them. Use as a context manager.

    Attributes:
        writers: those open; when the block has ended, those that were.
        errors: what became of videos that could not be finished; there when the block has ended.
    """

    def __init__(self, open_writer: Callable[[K, Frame], VideoWriter]) -> None:
        """`open_writer` makes the writer of a kind, for frames like the one it is given."""
        self.writers: dict[K, VideoWriter] = {}
        self.errors: list[InputError] = []
        self._open_writer = open_writer
        self._given_up: set[K] = set()
        self._told: set[str] = set()

    def __enter__(self) -> Videos[K]:
        """Itself; a video is opened with its first picture."""
        return self

    def write(self, frame: Frame, time_s: Fraction, pictures: Mapping[K, npt.NDArray[np.uint8]]) -> list[InputError]:
        """Appends the pictures drawn of a frame, to be shown from `time_s` on.

        Returns why something is missing from a video, each cause once: a picture that does not fit those before it is
        left out; a video that cannot be written is given up.
        """
        errors = []
        for kind, picture in pictures.items():
            if kind in self._given_up:
                continue
            try:
                if kind not in self.writers:
                    self.writers[kind] = self._open_writer(kind, frame).__enter__()
                misfit = _misfit(frame, time_s, self.writers[kind])
                if misfit is None:
                    self.writers[kind].write(picture, time_s)
                elif misfit[0] not in self._told:
                    self._told.add(misfit[0])
                    errors.append(InputError(f"{frame.item.name}: {misfit[1]}"))
            except InputError as error:
                errors.append(error)
                self._given_up.add(kind)
                if kind in self.writers:
                    self.writers.pop(kind).__exit__(type(error), error, error.__traceback__)
        return errors

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends each video as `VideoWriter` does, whatever becomes of the others."""
        interrupted: KeyboardInterrupt | None = None
        for writer in self.writers.values():
            try:
                writer.__exit__(kind, error, trace)
                if writer.lost_sound is not None:
                    lost = f"sound is missing, the source's is damaged ({writer.lost_sound})"
                    self.errors.append(InputError(f"{writer.path}: {lost}"))
            except InputError as failure:
                self.errors.append(failure)
            except KeyboardInterrupt as stop:
                interrupted = stop
        if interrupted is not None:
            raise interrupted


def _misfit(frame: Frame, time_s: Fraction, writer: VideoWriter) -> tuple[str, str] | None:
    """What keeps a frame out of a video: in a word, and told."""
    height, width, _ = frame.image.shape
    if (height, width) != writer.size_hw:
        return "size", (
            f"its size changes to {height}x{width} at frame {frame.index}: what is of another size than at the start "
            "is left out of the videos"
        )
    if not writer.takes(time_s):
        return "time", (
            f"the frame before frame {frame.index} would be shown until {float(time_s):g} s, longer than MP4 allows: "
            "what follows is left out of the videos"
        )
    return None
