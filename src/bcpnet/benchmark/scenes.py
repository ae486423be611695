"""What is segmented where nothing else is given: synthetic streets, the same on every machine."""

from __future__ import annotations

from itertools import chain, cycle, islice
from pathlib import Path

from bcpnet.benchmark.timing import Frame
from bcpnet.data.streets import Streets, drive
from bcpnet.media.video import VideoWriter

_SCENES = 4
_DRAWN = 25  # frames of a clip; drawing takes long, so they are played to and fro


def draw_scenes(size_hw: tuple[int, int]) -> list[Frame]:
    """Four streets, H x W x 3 uint8 each."""
    streets = Streets("test", size_hw, _SCENES)
    return [streets[index].image for index in range(_SCENES)]


def write_clip(path: Path, size_hw: tuple[int, int] = (1080, 1920), frames: int = 250) -> None:
    """A drive as H.264, at 25 frames a second. Raises InputError where it cannot be written."""
    drawn = [sample.image for sample in drive(min(frames, _DRAWN), size_hw)]
    there_and_back = chain(drawn, reversed(drawn[1:-1]))
    with VideoWriter(path, size_hw, 25) as writer:
        for image in islice(cycle(there_and_back), frames):
            writer.write(image)
