"""Frame sources and sinks: images, folders, globs and videos in; pictures, class maps and videos out."""

from __future__ import annotations

import glob
import itertools
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError
from bcpnet.media.images import is_marked_picture, read_image, save_class_map, save_image
from bcpnet.media.live.source import Source, SourceFrame
from bcpnet.media.video import (
    ALL,
    Cut,
    VideoFrame,
    VideoInfo,
    VideoWriter,
    is_marked_video,
    is_video,
    read_video,
    video_frames,
    video_info,
)
from bcpnet.storage.damaged import reason

__all__ = [
    "BadFrame", "Frame", "MediaItem", "VideoInfo", "VideoWriter",
    "find_media", "frames", "is_own_result", "read_image", "read_picture", "read_video", "save_class_map", "save_image",
    "stream_frames", "video_info",
]  # fmt: skip

# What folders and globs are searched for, beside videos of any name. A file named itself may be called anything.
IMAGE_SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
VIDEO_SUFFIXES = {
    ".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv", ".y4m",
}  # fmt: skip


@dataclass(frozen=True)
class MediaItem:
    """One file to decode, or a live source.

    Attributes:
        path: the file; of a live source its stem.
        stem: what its outputs are called; no two items of a list share one, whatever the case of the letters.
        is_video: frames are called STEM_000000, STEM_000001, ...
        source: the live source; None for a file.
    """

    path: Path
    stem: str
    is_video: bool
    source: Source | None = None

    @property
    def name(self) -> str:
        """As messages and results have it."""
        return str(self.path) if self.source is None else self.source.name


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        image: H x W x 3 uint8, RGB.
        item: the file it came from.
        index: its number in a video, from 0, or from where a cut starts; 0 for an image.
        stem: what its outputs are called ("street"; "clip_000012" for frame 12 of clip.mp4).
        decode_ms: time to read and decode it, in milliseconds.
        time_s: when a video shows it, in seconds from its start; 0 for an image.
        received: what a live source says of it; None for a file.
    """

    image: npt.NDArray[np.uint8]
    item: MediaItem
    index: int
    stem: str
    decode_ms: float
    time_s: Fraction = Fraction(0)
    received: SourceFrame | None = None


@dataclass(frozen=True)
class BadFrame:
    """In the place of a frame that could not be read; the frames of other files go on.

    Attributes:
        item: the file.
        error: why; one line that names the file.
    """

    item: MediaItem
    error: InputError


def find_media(
    sources: Iterable[str | Path], missing: Callable[[str, InputError], object] | None = None
) -> list[MediaItem]:
    """Expands files, folders and globs ("*", "?", "[...]", "**") to files, each once, in the order given.

    A folder gives the images and videos directly in it, a glob those among its matches, both sorted as people
    count (frame2 before frame10). What is in a file makes it a video, whatever its name; a broken one is known by
    its suffix.

    Stems: the file's own where no other file has it. All that share one get the folders in which they differ
    put before ("left_x", "right_x"), and the suffix added where it is a neighbour's too ("x_jpg", "x_png");
    what is still equal is numbered in order ("x", "x_2").

    Args:
        sources: files, folders and globs.
        missing: called with a source that gives nothing, and why, instead of the exception.

    Raises:
        InputError: a missing file, a folder without images or videos, a glob without matches.
    """
    found: dict[str, tuple[Path, bool]] = {}  # by absolute name: the same file given twice is one item
    for source in sources:
        try:
            for path, holds_video in _expand(str(source)):
                found.setdefault(os.path.normpath(path.absolute()), (path, holds_video))
        except InputError as error:
            if missing is None:
                raise
            missing(str(source), error)
    stems = _unique_stems([(Path(name), holds_video) for name, (_, holds_video) in found.items()])
    return [MediaItem(path, stem, holds_video) for (path, holds_video), stem in zip(found.values(), stems, strict=True)]


def frames(items: Iterable[MediaItem], cut: Cut = ALL) -> Generator[Frame | BadFrame, None, None]:
    """Decodes item after item; of videos the frames that `cut` takes, of live sources what they give.

    What cannot be read comes as a BadFrame in its place, and the next item goes on; of a video that breaks
    midway the good frames come first.
    """
    for item in items:
        if item.source is not None:
            yield from _live(item, item.source)
            continue
        decoded = video_frames(item.path, cut) if item.is_video else _picture(item.path)
        while True:
            start = time.perf_counter()
            try:
                frame = next(decoded, None)
            except InputError as error:
                yield BadFrame(item, error)
                break
            if frame is None:
                break
            stem = f"{item.stem}_{frame.index:06d}" if item.is_video else item.stem
            decode_ms = 1000 * (time.perf_counter() - start)
            yield Frame(frame.image, item, frame.index, stem, decode_ms, frame.time_s)


def _live(item: MediaItem, source: Source) -> Iterator[Frame | BadFrame]:
    try:
        for frame in source:
            stem = f"{item.stem}_{frame.index:06d}"
            yield Frame(frame.image, item, frame.index, stem, frame.decode_ms, frame.time_s, frame)
    except InputError as error:
        yield BadFrame(item, error)
    finally:
        source.close()


def _picture(path: Path) -> Iterator[VideoFrame]:
    yield VideoFrame(read_picture(path), 0, Fraction(0))


def read_picture(path: str | Path) -> npt.NDArray[np.uint8]:
    """As `read_image`; of a video the error says that it is one. Raises InputError."""
    try:
        return read_image(path)
    except InputError as error:
        if is_video(Path(path)):
            raise InputError(f"{path}: a video, not an image: Segmenter.stream and `bcpnet predict` take it") from error
        raise


def stream_frames(source: str | Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a video, or the images of a folder or glob, as `find_media` finds them.

    Raises:
        InputError: nothing is there, or a file cannot be read; the frames before it come first.
    """
    for frame in frames(find_media([source])):
        if isinstance(frame, BadFrame):
            raise InputError(str(frame.error))
        yield frame.image


def is_own_result(path: Path) -> bool:
    """Whether bcpnet wrote the picture or video of that name, by the mark that it left in the file."""
    return is_marked_video(path) if path.suffix == ".mp4" else is_marked_picture(path)


def _expand(source: str) -> list[tuple[Path, bool]]:
    """Files, each with whether it is a video."""
    if not source:  # for pathlib it is the folder one is in
        raise InputError("an empty name: name an image, a folder, a glob or a video")
    path = Path(source)
    try:
        if path.is_dir():
            entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            none_found = "no images or videos in this folder"
        elif path.exists() or not glob.has_magic(source):
            path.stat()
            return [(path, _kind_of(path) == "video")]
        else:
            entries = [Path(match) for match in glob.glob(source, recursive=True)]  # noqa: PTH207 (its rules for "**")
            none_found = "matches no image or video"
        # A link to nowhere is kept, to be told of; folders and pipes are not.
        files = [entry for entry in sorted(entries, key=_natural) if entry.is_file() or not entry.exists()]
        kinds = [(entry, _kind_of(entry)) for entry in files]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{source}: cannot read: {reason(error)}") from error
    found = [(entry, kind == "video") for entry, kind in kinds if kind is not None]
    if not found:
        raise InputError(f"{source}: {none_found}")
    return found


def _kind_of(path: Path) -> Literal["image", "video"] | None:
    if path.suffix.lower() in VIDEO_SUFFIXES or is_video(path):
        return "video"
    return "image" if path.suffix.lower() in IMAGE_SUFFIXES else None


def _natural(path: Path) -> list[tuple[list[str | int], str]]:
    # re.split puts text at even and digits at odd places, so that text is never compared with a number.
    return [
        ([int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)], name)
        for name in path.parts
    ]


def _unique_stems(files: Sequence[tuple[Path, bool]]) -> list[str]:
    """One for each file, which comes with whether it is a video."""
    sharers: dict[str, list[Path]] = defaultdict(list)
    for path, _ in files:
        sharers[path.stem.casefold()].append(path)
    stems: list[str] = []
    taken: set[str] = set()
    videos: set[str | None] = set()
    seeming_frames_of: set[str | None] = set()  # "clip" where some stem is "clip_000012"
    for path, holds_video in files:
        wanted = _qualified(path, sharers[path.stem.casefold()])
        for number in itertools.count(1):
            stem = wanted if number == 1 else f"{wanted}_{number}"
            key = stem.casefold()
            if key not in taken and _frame_of(key) not in videos and not (holds_video and key in seeming_frames_of):
                break
        stems.append(stem)
        taken.add(key)
        seeming_frames_of.add(_frame_of(key))
        if holds_video:
            videos.add(key)
    return stems


def _qualified(path: Path, sharers: Sequence[Path]) -> str:
    # The stem after the folders below those that all sharers have in common, and before a disputed suffix.
    if len(sharers) == 1:
        return path.stem
    folders = [other.parent.parts for other in sharers]
    levels = zip(*folders, strict=False)
    common = next((n for n, parts in enumerate(levels) if len(set(parts)) > 1), min(map(len, folders)))
    own = [part for part in path.parent.parts[common:] if part != path.anchor]
    neighbours = sum(other.parent == path.parent for other in sharers)
    return "_".join([*own, path.stem, *([path.suffix[1:]] if neighbours > 1 and path.suffix else [])])


def _frame_of(stem: str) -> str | None:
    match = re.fullmatch(r"(.+)_\d{6,}", stem)
    return match[1] if match else None
