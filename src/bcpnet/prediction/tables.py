"""Columns in, columns out: the callable that Ray Data, Daft, Spark or a loop of your own hands batches to."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from bcpnet.errors import InputError, UsageError
from bcpnet.media.class_map_png import class_map_png
from bcpnet.media.images import MOST_PIXELS, read_image, read_image_bytes
from bcpnet.media.sources import VIDEO_SUFFIXES
from bcpnet.media.video import Cut, EmptyCutError, video_frames, video_info
from bcpnet.pipeline import ordered_map
from bcpnet.regions.rle import class_rles
from bcpnet.segmenter import Frame, Segmenter, load
from bcpnet.storage.files import write_bytes

Output = Literal["rle", "png", "none"]
Row = dict[str, Any]

COLUMNS = ("path", "frame", "time_s", "height", "width", "shares", "confidence", "ms", "error")  # and the output's

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
_LONGEST_SIDE = 1 << 16
_READ_AT_ONCE = 4  # files of an object store, which answers late


class BatchSegmenter:
    """Segments batches of encoded images and of videos; rows come out, one a frame.

    >>> from bcpnet.prediction.tables import BatchSegmenter
    >>> segment = BatchSegmenter("camvid")
    >>> rows = segment({"path": ["street.jpg", "gone.jpg"]})
    >>> rows["height"], rows["error"]
    ([720, None], [None, 'gone.jpg: cannot read: No such file or directory'])

    Pickled, it is its arguments; unpickled, it opens the weights. It runs in one thread: start as many processes as
    there are cores.

    Attributes:
        class_names: of the weights, in order.
        columns: of the rows.
    """

    def __init__(self, weights: str = "camvid", output: Output = "rle", size_hw: tuple[int, int] | None = None) -> None:
        """Opens the weights.

        Args:
            weights: as `bcpnet.load` takes them.
            output: "rle": a column of that name has, by class name, the mask as the "counts" of a COCO RLE, None for
                a class that is not there. "png": a column of that name has the class map as a grey PNG, of which each
                pixel is an index in `class_names`. "none": neither.
            size_hw: as `bcpnet.load` takes it.

        Raises:
            UsageError, InputError: as `bcpnet.load`, or another output.
        """
        if output not in ("rle", "png", "none"):
            raise UsageError(f"output {output!r}: need 'rle', 'png' or 'none'")
        self._arguments = (weights, output, size_hw)
        self._output = output
        self._segmenter: Segmenter = load(weights, size_hw=size_hw, threads=1)
        self.class_names = self._segmenter.backend.metadata.classes.names
        self.columns = COLUMNS if output == "none" else (*COLUMNS, output)

    def __reduce__(self) -> tuple[type[BatchSegmenter], tuple[Any, ...]]:
        """For pickle."""
        return BatchSegmenter, self._arguments

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Segments a batch.

        Args:
            batch: columns of one length, lists or arrays. "path" is the name of each file. "bytes", where there is
                such a column and it is not None in it, is the file's content; else the file is read, from a disk or
                from an address such as s3://bucket/street.jpg (which needs pyarrow). A path with the suffix of a
                video is one, of which every frame is a row; "start_s" and "end_s" cut it, in seconds.

        Returns:
            The columns, lists of one length:
            "path" and "frame" (its number in a video, 0 of an image), "time_s" (seconds from a video's start),
            "height" and "width" in pixels, "shares" (of the pixels, 0 to 1, by class name), "confidence" (the mean
            over the pixels, 0 to 1), "ms" (milliseconds to decode and segment it), "error", and the output's.
            What cannot be read is a row that has only a path and an error.

        Raises:
            UsageError: there is no column "path".
        """
        rows = list(self.rows(batch))
        return {name: [row.get(name) for row in rows] for name in self.columns}

    def rows(self, batch: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
        """As a call, but row after row, which of a long video takes less memory; an error's has just the two."""
        if "path" not in batch:
            raise UsageError(f"no column 'path' in the batch, only {', '.join(batch) or 'none'}")
        count = len(batch["path"])
        columns = [batch.get(name, [None] * count) for name in ("path", "bytes", "start_s", "end_s")]
        for path, content, start_s, end_s in _with_contents(zip(*columns, strict=True)):
            try:
                if isinstance(content, InputError):
                    raise content
                if _is_video(path):
                    yield from self._of_video(path, content, _cut(start_s, end_s))
                else:
                    yield self._of_image(path, content)
            except InputError as error:
                yield {"path": path, "error": str(error)}
            except MemoryError:
                yield {"path": path, "error": f"{path}: not enough memory"}

    def _of_image(self, path: str, content: bytes | None) -> Row:
        start = time.perf_counter()
        if content is None:
            image = read_image(path)
        else:
            try:
                image = read_image_bytes(content, path, MOST_PIXELS, _LONGEST_SIDE, _FORMATS)
            except InputError as error:  # "s3://a" is no path, which would be s3:/a
                raise InputError(str(error).replace(str(Path(path)), path)) from error
        return self._row(path, image, start)

    def _of_video(self, path: str, content: bytes | None, cut: Cut) -> Iterator[Row]:
        with _on_disk(path, content) as file:
            try:
                fps = video_info(file).fps
                first_s = _first_time_s(file)
                start, frames = time.perf_counter(), video_frames(file, cut)
                for frame in frames:
                    number = round((frame.time_s - first_s) * fps)
                    yield self._row(path, frame.image, start, number, frame.time_s)
                    start = time.perf_counter()
            except EmptyCutError:
                return  # a part of a video may have no frame of its own: it stands still
            except InputError as error:
                raise InputError(str(error).replace(str(file), path)) from error

    def _row(self, path: str, image: Frame, start: float, number: int = 0, time_s: Fraction = Fraction(0)) -> Row:
        try:
            result = self._segmenter(image)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        height, width = result.class_map.shape
        row = {
            "path": path,
            "frame": number,
            "time_s": round(float(time_s), 6),
            "height": height,
            "width": width,
            "shares": result.shares(),
            "confidence": float(result.confidence.mean() / 255),
        }
        if self._output == "rle":
            codes = class_rles(result.class_map)
            row["rle"] = {name: codes.get(label) for label, name in enumerate(self.class_names)}
        elif self._output == "png":
            row["png"] = class_map_png(result.class_map)
        row["ms"] = 1000 * (time.perf_counter() - start)
        return row


def file_name(path: str) -> str:
    """The last part of a path or an address, in small letters, without an address's options (?region=...)."""
    return PurePosixPath(re.sub(r"\?\w+=.*", "", path) if "://" in path else path).name.lower()


def _is_video(path: str) -> bool:
    return PurePosixPath(file_name(path)).suffix in VIDEO_SUFFIXES


def _with_contents(items: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, bytes | InputError | None, Any, Any]]:
    """The items, with the bytes of those that lie in an object store, or why there are none."""
    listed = [(str(path), *rest) for path, *rest in items]
    if not any(content is None and "://" in path for path, content, _, _ in listed):
        yield from ((path, None if content is None else bytes(content), *cut) for path, content, *cut in listed)
        return
    with closing(ordered_map(_content, listed, _READ_AT_ONCE)) as contents:
        yield from contents


def _content(item: tuple[Any, ...]) -> tuple[str, bytes | InputError | None, Any, Any]:
    path, content, start_s, end_s = item
    if content is not None or "://" not in path or _is_video(path):
        return path, None if content is None else bytes(content), start_s, end_s
    from bcpnet.prediction.batch.files import read_bytes  # needs pyarrow

    try:
        return path, read_bytes(path), start_s, end_s
    except InputError as error:
        return path, error, start_s, end_s


@contextmanager
def _on_disk(path: str, content: bytes | None) -> Iterator[Path]:
    """A file that FFmpeg can open."""
    if content is None and "://" not in path:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="bcpnet-") as folder:
        file = Path(folder, f"video{PurePosixPath(file_name(path)).suffix}")
        if content is None:
            from bcpnet.prediction.batch.files import copy_here  # needs pyarrow

            copy_here(path, file)
        else:
            write_bytes(file, content)
        yield file


def _first_time_s(path: Path) -> Fraction:
    with closing(video_frames(path)) as frames:
        return next(frame.time_s for frame in frames)


def _cut(start_s: float | None, end_s: float | None) -> Cut:
    """None and NaN, which tables have for nothing, are the ends of the video."""
    start, end = (None if value is None or np.isnan(value) else value for value in (start_s, end_s))
    return Cut(start or 0, end)
