"""What a network sees in one image: the class of every pixel, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet.drawing import pictures as draw
from bcpnet.errors import UsageError
from bcpnet.frames.confidence import confidence, softmax
from bcpnet.labels import IGNORE, ClassSet
from bcpnet.media.images import save_class_map

if TYPE_CHECKING:
    import supervision

    from bcpnet.regions.region import Region
    from bcpnet.regions.zones import Zone

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network sees in one image.

    >>> result = bcpnet.load("camvid")("street.jpg")
    >>> result
    <Segmentation: 720x960, 11 classes of camvid, ... ms>
    >>> road = result.mask("road")          # H x W bool
    >>> sure = result.confidence > 200      # H x W bool: probability over 200 / 255
    >>> result.save("class_map.png")

    Attributes:
        image: H x W x 3 uint8, RGB.
        class_map: H x W uint8, the class of every pixel: an index into `classes.names`; 255 = ignore, where
            `with_min_confidence` said so.
        classes: names and colours.
        timings_ms: milliseconds by stage: "pre" (resize), "network", "post" (upsample, argmax; inside
            "network" where the backend returns class maps).
    """

    image: Frame
    class_map: npt.NDArray[np.uint8]
    classes: ClassSet
    timings_ms: dict[str, float]
    _logits: Floats | Callable[[], Floats] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Height x width, the classes, the time it took in all."""
        height, width = self.class_map.shape
        classes = f"{len(self.classes)} classes of {self.classes.name}"
        return f"<Segmentation: {height}x{width}, {classes}, {sum(self.timings_ms.values()):.1f} ms>"

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: arrays only."""
        state = self.__dict__.copy()
        if callable(self._logits):
            state["_logits"] = self.logits
        return state

    @cached_property
    def logits(self) -> Floats:
        """What the network says of every class, K x h x w float32, at its own stride.

        A backend that returns class maps (cuda_fp16) runs the network once more for it.

        Raises:
            UsageError: this result was made without a network.
        """
        if self._logits is None:
            raise UsageError("this result has no logits: it was made without a network")
        return self._logits() if callable(self._logits) else self._logits

    @property
    def probabilities(self) -> Floats:
        """The logits as probabilities, K x h x w float32, which add up to 1 over the classes.

        Raises:
            UsageError: as `logits`.
        """
        return softmax(self.logits)

    @cached_property
    def confidence(self) -> npt.NDArray[np.uint8]:
        """The probability of each pixel's best class, H x W uint8, where 255 is certain.

        Made at the first use. It is exact at the logits and bilinear between them. It is what the network says, which
        can be surer than it is right.

        Raises:
            UsageError: as `logits`.
        """
        return confidence(self.probabilities, self.class_map)

    def with_min_confidence(self, minimum: float) -> Segmentation:
        """The same result, with 255 (ignore) in the class map where the confidence is under `minimum`, 0..1.

        Raises:
            UsageError: `minimum` is not within 0..1, or as `logits`.
        """
        if not 0 <= minimum <= 1:
            raise UsageError(f"minimum confidence {minimum}: need 0 to 1")
        unsure = self.confidence < 255 * minimum
        result = replace(self, class_map=np.where(unsure, np.uint8(IGNORE), self.class_map))
        result.__dict__["confidence"] = self.confidence  # that of the best class, also where it is ignored now
        return result

    def mask(self, *names: str) -> npt.NDArray[np.bool_]:
        """H x W bool: the pixels of one class, or of several.

        Raises:
            UsageError: there is no class of that name.
        """
        mask = np.zeros(self.class_map.shape, np.bool_)
        for label in self._labels(names):
            mask |= self.class_map == label
        return mask

    def shares(self, zone: Zone | Sequence[tuple[float, float]] | None = None) -> dict[str, float]:
        """Share of the pixels, 0..1, by class name; all classes, in order. Pixels to ignore make the sum less than 1.

        Args:
            zone: a zone of `bcpnet.read_zones`, or the corners of a polygon: x and y, in pixels; None = the image.

        Raises:
            UsageError: the zone is no polygon, or no pixel's centre lies in it.
        """
        class_map = self.class_map if zone is None else self.class_map[self._inside(zone)]
        counts = np.bincount(class_map.reshape(-1), minlength=len(self.classes))[: len(self.classes)]
        return dict(zip(self.classes.names, (counts / class_map.size).tolist(), strict=True))

    def regions(self, *names: str, min_area: int = 1) -> list[Region]:
        """The connected regions of some classes, the largest first: pixels that touch, also by a corner.

        >>> result = bcpnet.load("camvid")("street.jpg")
        >>> for car in result.regions("car", min_area=200):
        ...     print(car.area, car.box_xywh, car.confidence, car.polygon.shape)

        Args:
            names: of classes; none = all classes.
            min_area: leave out regions of fewer pixels.

        Raises:
            UsageError: there is no class of that name.
        """
        from bcpnet.regions.region import find_regions

        labels = self._labels(names or self.classes.names)
        return find_regions(self.class_map, self.classes, labels, self._confidence_if_known(), min_area)

    def free_space(self, *names: str) -> npt.NDArray[np.intp]:
        """How far the road reaches from below: of each of the W columns, the number of its pixels in a row from the
        bottom edge upwards.

        Args:
            names: of the classes that one can drive on; none = "road".

        Raises:
            UsageError: there is no class of that name.
        """
        from bcpnet.regions.free_space import free_space

        return free_space(self.mask(*(names or ("road",))))

    def to_coco(self, file_name: str, polygons: bool = False, into: dict[str, Any] | None = None) -> dict[str, Any]:
        """This result as what COCO's JSON files hold.

        >>> coco = bcpnet.load("camvid")("street.jpg").to_coco("street.jpg")
        >>> coco["images"]
        [{'id': 1, 'file_name': 'street.jpg', 'height': 720, 'width': 960}]

        Args:
            file_name: of the image.
            polygons: False = an annotation for each class, its mask as a run-length code (RLE). True = one for each
                connected region, its outline as a polygon along the edges of pixels. Both give back every pixel.
            into: what an earlier call returned, to which this image is added; None = a new one.

        Returns:
            A dict that `json.dump` takes. A "category_id" is an index in `classes.names` + 1. Where logits are known
            each annotation has a "score", its mean confidence.

        Raises:
            UsageError: `into` has other classes.
        """
        from bcpnet.regions import coco

        dataset = coco.new_dataset(self.classes) if into is None else into
        empty = coco.new_dataset(self.classes)
        if dataset.get("categories") != empty["categories"] or dataset.keys() < empty.keys():
            raise UsageError("into: not what `to_coco` returned for results of the same classes")
        annotations = (
            coco.region_annotations(self.regions())
            if polygons
            else coco.class_annotations(self.class_map, self._whole_classes())
        )
        height, width = self.class_map.shape
        coco.add_image(dataset, file_name, (height, width), annotations)
        return dataset

    def to_supervision(self, regions: Sequence[Region] | None = None) -> supervision.Detections:
        """This result as `supervision.Detections`, with masks; needs that package.

        Args:
            regions: one detection for each of these; None = one for each class that is there.

        Raises:
            UsageError: supervision is not installed.
        """
        from bcpnet.regions.detections import detections

        return detections(self._whole_classes() if regions is None else regions)

    def colour_map(self) -> Image.Image:
        """The class map in the classes' colours, RGB."""
        return Image.fromarray(draw.colour_map(self.class_map, self.classes.palette()))

    def overlay(self, opacity: float = 0.5, legend: bool = True, palette: draw.Palette = "clear") -> Image.Image:
        """The image under the colours of its classes at `opacity` (0..1), with lines at their borders, RGB.

        Args:
            opacity: of the colours.
            legend: draw names and colours into a corner.
            palette: "clear" = light colours that are far apart, for colour-blind people too; "dataset" = the classes'
                own.
        """
        names, colours = self.classes.names, draw.palette_colours(palette, self.classes.names, self.classes.colours)
        return Image.fromarray(draw.overlay_with_contours(self.image, self.class_map, names, colours, opacity, legend))

    def save(self, path: str | Path, palette: bool = True) -> None:
        """Writes the class map as a PNG of class ids, in which viewers and Pillow's convert show the classes' colours.

        OpenCV, imageio, scikit-image and matplotlib read the colours of such a file instead of its ids: for them,
        `palette=False` writes plain grey.

        Raises:
            UsageError: `path` does not end in .png.
            InputError: it cannot be written.
        """
        if Path(path).suffix.lower() != ".png":
            raise UsageError(f"{path}: class maps are written as .png, other formats would change the classes")
        save_class_map(path, self.class_map, self.classes.palette() if palette else None)

    def _labels(self, names: Sequence[str]) -> list[int]:
        for name in names:
            if name not in self.classes.names:
                raise UsageError(f"no class {name!r}: these weights have {', '.join(self.classes.names)}")
        return [self.classes.names.index(name) for name in names]

    def _inside(self, zone: Zone | Sequence[tuple[float, float]]) -> npt.NDArray[np.bool_]:
        from bcpnet.regions.zones import Zone

        height, width = self.class_map.shape
        if not isinstance(zone, Zone):
            zone = Zone("of these corners", zone, (height, width))
        inside = zone.mask((height, width))
        if not inside.any():
            raise UsageError(f"zone {zone.name}: no pixel of a {height}x{width} image lies in it")
        return inside

    def _confidence_if_known(self) -> npt.NDArray[np.uint8] | None:
        return None if self._logits is None else self.confidence

    def _whole_classes(self) -> list[Region]:
        from bcpnet.regions.region import whole_classes

        return whole_classes(self.class_map, self.classes, self._confidence_if_known())
