"""How far `bcpnet predict` is: frames done of how many, and the time to go."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from fractions import Fraction

from bcpnet.cli.common import duration
from bcpnet.errors import InputError, UsageError
from bcpnet.media.sources import MediaItem, video_info
from bcpnet.media.video import Cut


def parse_seconds(option: str, text: str) -> Fraction:
    """ "90", "90.5", "1:30" and "0:01:30" -> seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{option} {text!r}: need seconds or hours:minutes:seconds, for example 90.5 or 0:01:30")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def count_frames(items: Iterable[MediaItem], cut: Cut) -> int | None:
    """About how many frames the files have; None where a video does not say. Those that cannot be read have none."""
    total = 0
    for item in items:
        try:
            frames = video_info(item.path).frames_in(cut) if item.is_video else 1
        except InputError:
            continue
        if frames is None:
            return None
        total += frames
    return total


class Progress:
    """Says how many frames are done, of how many, and how long the rest will take at the mean speed so far."""

    def __init__(self, total: int | None) -> None:
        """Starts the clock; `total` as `count_frames` says."""
        self._total = total
        self._start_s = time.monotonic()

    def text(self, done: int, name: str) -> str:
        """`name` is of the file that frame `done` (from 1) came from."""
        if self._total is None or done > self._total:
            return f"frame {done}, {name}"
        rest_s = (time.monotonic() - self._start_s) / done * (self._total - done)
        return f"frame {done} of {self._total}, {name}, {duration(rest_s)} to go"
