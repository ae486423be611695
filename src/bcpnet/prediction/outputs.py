"""What `bcpnet predict` writes of every frame, and where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError
from bcpnet.media.sources import MediaItem, is_own_result
from bcpnet.prediction.coco_file import is_own_coco_file

Kind = Literal["overlay", "classmap", "ids", "colour", "confidence"]
PNG_A_FRAME: tuple[Kind, ...] = ("classmap", "ids", "confidence")  # of a video, too; the others are videos then


@dataclass(frozen=True)
class Outputs:
    """What is written of every frame, and where.

    Attributes:
        folder: made when the first result is written.
        kinds: overlay = STEM_overlay.jpg, or .mp4 for a video; colour = STEM_colour.png or .mp4; classmap = index
            PNG STEM.png, ids = grey PNG STEM_ids.png, confidence = grey PNG STEM_confidence.png, at the frame's own
            size.
        opacity: of the colours in overlays, 0 to 1.
        cityscapes: whether to write label-id PNGs, too, as `bcpnet.media.cityscapes_submission.write_cityscapes` does.
        video_kinds: what is written of videos; None = `kinds`.
        palette: of overlays: clear = `bcpnet.drawing.clear_colours`, dataset = the colours of the weights' classes.
        legend: whether overlays have one, in a corner.
        min_confidence: 0 to 1; class maps are 255 where the confidence is below it.
        overwrite: whether results take the place of files that bcpnet did not write.
        overlay_path: of the overlay, where it is one video; by default STEM_overlay.mp4 in the folder.
    """

    folder: Path
    kinds: Sequence[Kind] = ()
    opacity: float = 0.5
    cityscapes: bool = False
    video_kinds: Sequence[Kind] | None = None
    palette: draw.Palette = "clear"
    legend: bool = True
    overwrite: bool = False
    min_confidence: float = 0.0
    overlay_path: Path | None = None

    def kinds_of(self, item: MediaItem) -> Sequence[Kind]:
        """What is written of a file."""
        return self.kinds if self.video_kinds is None or not item.is_video else self.video_kinds

    def path(self, kind: Kind, stem: str, is_video: bool) -> Path:
        """Where a result goes."""
        if kind == "overlay" and self.overlay_path is not None:
            return self.overlay_path
        if kind == "classmap":
            return self.folder / f"{stem}.png"
        suffix = ".mp4" if is_video and kind not in PNG_A_FRAME else ".jpg" if kind == "overlay" else ".png"
        return self.folder / f"{stem}_{kind}{suffix}"

    def check_folder(self) -> None:
        """Raises InputError where nothing could be written, so that it is told before hours of work and not after."""
        there = next(path for path in (self.folder.absolute(), *self.folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise InputError(f"{self.folder}: cannot write: {there} is not a folder")
        if not os.access(there, os.W_OK):
            raise InputError(f"{self.folder}: cannot write: no permission to write in {there}")

    def keep_foreign(self, path: Path) -> None:
        """Raises InputError where `path` is a file that bcpnet did not write; with `overwrite` never."""
        is_own = is_own_coco_file if path.suffix == ".json" else is_own_result
        if not self.overwrite and os.path.lexists(path) and not is_own(path):
            raise InputError(f"{path}: is there, and not a result of bcpnet's: kept; --overwrite replaces it")
