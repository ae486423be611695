"""Sample pictures of an evaluation: image, label and prediction side by side."""

from __future__ import annotations

from pathlib import Path

from bcpnet.drawing.overlay import Picture, colour_map
from bcpnet.drawing.pictures import contact_sheet
from bcpnet.labels import ClassSet
from bcpnet.training.validate import Seen

FOLDER = "samples"
_TILE_WIDTH = 320  # pixels


def draw_samples(samples: list[Seen], classes: ClassSet) -> Picture:
    """One sheet, a row for each sample: its image under its name, its label, the prediction."""
    palette = classes.palette()
    tiles = []
    for sample, class_map in samples:
        assert sample.label is not None
        tiles += [
            (sample.name, sample.image),
            ("label", colour_map(sample.label, palette)),
            ("prediction", colour_map(class_map, palette)),
        ]
    return contact_sheet(tiles, columns=3, tile_width=_TILE_WIDTH)


def samples_path(run: Path, epoch: int) -> Path:
    """Where the sheet of an evaluation lies."""
    return run / FOLDER / f"epoch_{epoch:04}.jpg"


def clear_samples(run: Path, resume: bool) -> None:
    """Removes what a killed run left: temporary files, and unless it is resumed all of its sheets."""
    for path in (run / FOLDER).glob(".epoch_*.jpg" if resume else "*epoch_*.jpg"):
        path.unlink(missing_ok=True)
