"""What `bcpnet predict` says, and the files that it writes of all frames together."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bcpnet.cli.common import Status
from bcpnet.cli.complain import complain
from bcpnet.cli.contact_sheet import ContactSheet
from bcpnet.cli.lines import Lines
from bcpnet.cli.progress import Progress
from bcpnet.errors import InputError
from bcpnet.media.sources import MediaItem, find_media
from bcpnet.media.video import lost_sound
from bcpnet.prediction.coco_file import CocoFile
from bcpnet.prediction.json_lines import error_line, frame_line
from bcpnet.prediction.live import Ages
from bcpnet.prediction.outputs import PNG_A_FRAME, Outputs
from bcpnet.prediction.predict import Prediction

_TOLD_OF_ONE_FILE = 3


@dataclass
class Report:
    """Says what becomes of each frame, and writes what is one file for all of them.

    Attributes:
        outputs: what is written of every frame.
        status: the line that says how far things are.
        is_out_taken: whether standard output is for results.
        lines: of JSON, one for every frame; None = not wanted.
        frames: how many are done.
        bad: how often something could not be read or written, in all; `bad_of` each file.
        total_ms: of all frames, by stage.
        names: how many of the files have a name.
        sheet, coco: what is one file for all frames; None = not wanted.
        progress: of how many frames.
        ages: of the results of a live source; None = of files.
        dropped: frames of it that came while others were worked on.
    """

    outputs: Outputs
    status: Status
    is_out_taken: bool
    lines: Lines | None = None
    frames: int = 0
    bad: int = 0
    bad_of: Counter[str] = field(default_factory=Counter)
    total_ms: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    sheet: ContactSheet | None = None
    coco: CocoFile | None = None
    progress: Progress = field(default_factory=lambda: Progress(None))
    ages: Ages | None = None
    dropped: int = 0

    def find(self, sources: Sequence[str]) -> list[MediaItem]:
        """The files of all sources; those that do not exist are reported."""
        items = find_media(sources, self.bad_file)
        self.names.update(item.path.name for item in items)
        return items

    def cityscapes_frames(self, items: list[MediaItem]) -> list[MediaItem]:
        """Those named as the benchmark names its frames; the others are reported."""
        from bcpnet.media.cityscapes_submission import frame_of

        named = []
        for item in items:
            try:
                frame_of(item.stem)
            except InputError as error:
                self.bad_file(item.name, error)
            else:
                named.append(item)
        return named

    def warn_of_lost_sound(self, videos: Sequence[MediaItem]) -> None:
        """A line for each video whose sound does not go into those that will be written."""
        for item in videos:
            if item.source is None and set(self.outputs.kinds_of(item)) - set(PNG_A_FRAME):
                with suppress(InputError):  # said when its frames are read
                    for codec in lost_sound(item.path):
                        complain(f"{item.path}: MP4 does not take its sound ({codec}): the video written has none")

    def frame(self, done: Prediction) -> None:
        """One frame that is done."""
        if self.sheet is not None:
            self.sheet.add(done)
        if self.coco is not None:
            self._add_to_coco(self.coco, done)
        self.frames += 1
        self.total_ms.update(done.timings_ms)
        if self.lines is not None:
            self.lines.write(frame_line(done))
        name = done.item.path.name
        if done.age_ms is not None and done.frame.received is not None:
            self.ages = self.ages or Ages()
            self.ages.add(done.age_ms)
            self.dropped += done.frame.received.dropped
            name = f"{done.item.name}, {done.age_ms:.0f} ms old"
        self.status.show(self.progress.text(self.frames, name))

    def tell(self, text: str) -> None:
        """News of a live source."""
        self.status.close()
        complain(text)

    def bad_file(self, path: str, error: InputError) -> None:
        """One of which something could not be read or written: the first times are said, and all are in the JSON."""
        self.bad += 1
        self.bad_of[path] += 1
        if self.bad_of[path] <= _TOLD_OF_ONE_FILE:
            self.status.close()
            complain(error)
        if self.lines is not None:
            self.lines.write(error_line(path, error))

    def write_coco(self) -> None:
        """The COCO file of the frames that are done."""
        if self.coco is not None:
            path = self.outputs.folder / "coco.json"
            self._write(path, partial(self.coco.write, path))

    def _add_to_coco(self, coco: CocoFile, done: Prediction) -> None:
        height, width = done.segmentation.class_map.shape
        try:
            coco.add(self._coco_name(done), (height, width), done.description.annotations)
        except InputError as error:  # the disk is full: there will be no such file
            self.coco = None
            self.bad_file(done.item.name, error)

    def _coco_name(self, done: Prediction) -> str:
        """The image's own name, with its folders where others have it, too; a frame's of a video is that of its PNG."""
        path = done.item.path
        if done.item.is_video:
            return f"{done.frame.stem}.png"
        return path.name if self.names[path.name] == 1 else path.as_posix()

    def _write(self, path: Path, write: Callable[[], None]) -> None:
        try:
            self.outputs.keep_foreign(path)
            write()
        except InputError as error:
            self.bad_file(str(path), error)

    def finish(self, backend: str, workers: int, threads: int, wall_s: float, is_written: bool) -> None:
        """What is one file for all frames, and a summary (on standard error if standard output is for results)."""
        for path, bad in self.bad_of.items():
            if bad > _TOLD_OF_ONE_FILE:
                complain(f"{path}: {bad - _TOLD_OF_ONE_FILE} more of its results are missing")
        if self.sheet is not None:
            self._write(self.sheet.path, self.sheet.write)
        self.write_coco()
        if not self.frames:
            return
        stages = ", ".join(f"{stage} {ms / self.frames:.1f}" for stage, ms in self.total_ms.items())
        written = f"\nresults in {self.outputs.overlay_path or self.outputs.folder}" if is_written else ""
        ages = "" if self.ages is None else f"\nage of results: {self.ages}; {self.dropped} frames dropped"
        at_once = f"{workers} at once, {threads} thread{'s' * (threads != 1)} each"
        print(
            f"{self.frames} frame{'s' * (self.frames != 1)} in {wall_s:.2f} s: {self.frames / wall_s:.1f} frames/s "
            f"from file in to results out ({backend}; {at_once})\n"
            f"ms per frame, each stage in its thread: {stages}{ages}{written}",
            file=sys.stderr if self.is_out_taken else sys.stdout,
        )
