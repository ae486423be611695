"""The contact sheet of `bcpnet predict`: a dozen overlays that stand for all frames."""

from __future__ import annotations

from bcpnet.drawing import pictures as draw
from bcpnet.media.sources import save_image
from bcpnet.prediction.outputs import Outputs
from bcpnet.prediction.predict import Prediction

_TILES = 12


class ContactSheet:
    """Keeps at most a dozen overlays, evenly spread, without knowing how many frames will come."""

    def __init__(self, outputs: Outputs) -> None:
        """`outputs`: where it goes, and what its overlays look like."""
        self.path = outputs.folder / "contact_sheet.jpg"
        self._outputs = outputs
        self._tiles: list[tuple[str, draw.Picture]] = []
        self._frames = 0
        self._every = 1
        self._legend: tuple[tuple[str, ...], list[draw.Colour]] | None = None

    def add(self, done: Prediction) -> None:
        """One frame more, which may become a tile."""
        self._frames += 1
        if (self._frames - 1) % self._every:
            return
        result = done.segmentation
        names = result.classes.names
        colours = draw.palette_colours(self._outputs.palette, names, result.classes.colours)
        self._legend = names, list(colours)
        picture = draw.overlay_with_contours(
            result.image, result.class_map, names, colours, self._outputs.opacity, legend=False
        )
        self._tiles.append((done.frame.stem, picture))
        if len(self._tiles) > _TILES:
            self._tiles = self._tiles[::2]
            self._every *= 2

    def write(self) -> None:
        """Writes it, unless there was no frame. Raises InputError where it cannot be written."""
        if self._legend is None:
            return
        sheet = draw.contact_sheet(self._tiles)
        if self._outputs.legend:
            sheet = draw.with_legend(sheet, *self._legend)
        save_image(self.path, sheet)
