"""Class sets: names, colours, the ignore value, and the tables between label ids, colours and train ids.

Inside bcpnet a label is always uint8 with train ids 0..K-1 and 255 for pixels that do not count.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE = 255
LONGEST_NAME = 200  # characters, of a class or a set: legends, tables and messages write them out

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """Classes in the order of their train ids.

    Attributes:
        name: what the set is called ("camvid"); at most 200 characters, on one line.
        names: one name per class; the same holds for each.
        colours: one RGB colour per class, 0..255.
    """

    name: str
    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __post_init__(self) -> None:
        """Raises ValueError unless there are 1..255 different names that can be written, each with a colour."""
        _check_name(self.name, "name of the class set")
        if not 1 <= len(self.names) <= IGNORE or len(self.names) != len(self.colours):
            raise ValueError(f"{len(self.names)} class names and {len(self.colours)} colours: need as many, 1 to 255")
        for name in self.names:
            _check_name(name, "class name")
            if self.names.count(name) > 1:
                raise ValueError(f"class name {_quoted(name)} stands there more than once")
        for colour in self.colours:
            if len(colour) != 3 or not all(type(channel) is int and 0 <= channel <= 255 for channel in colour):
                raise ValueError(f"colour {_quoted(list(colour))}: need red, green and blue, 0 to 255 each")

    def __len__(self) -> int:
        """Number of classes K."""
        return len(self.names)

    def palette(self) -> npt.NDArray[np.uint8]:
        """256 x 3 uint8: the colour of each train id, black beyond the last class and for IGNORE."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        return table


def _check_name(name: object, what: str) -> None:
    """Raises ValueError for what cannot be written on one line."""
    if not isinstance(name, str):
        raise ValueError(f"{what} {_quoted(name)}: not a text")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{what} {_quoted(name)}: {len(name)} characters, at most {LONGEST_NAME} can be used")
    for letter in name:
        # Control characters, halves of characters, and what ends a line or a paragraph.
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(f"{what} {_quoted(name)}: {letter!r} cannot be written in a name")


def _quoted(value: object) -> str:
    """As Python writes it, the first 40 characters."""
    text = repr(value[:40] if isinstance(value, str | list | tuple) else value)
    return text if len(text) <= 60 else f"{text[:40]}..."


# SegNet's 11 classes and their colours (Badrinarayanan et al. 2017); 11 is void in its label files.
CAMVID = ClassSet(
    "camvid",
    (
        "sky", "building", "pole", "road", "pavement", "tree",
        "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip
CAMVID_VOID = 11

# The 32 colours of the original CamVid labels (Brostow et al. 2009) and the train id that each joins; None =
# ignored. The published grouping: camvidPixelLabelIDs in MathWorks' example "Semantic Segmentation Using Deep
# Learning", which names SegNet as its source. The pixel counts of SegNet's own 480x360 files fit a slightly
# different one: RoadShoulder is road there, and Archway, Bridge, Tunnel, Animal, CartLuggagePram, Child,
# OtherMoving, TrafficCone and Train are ignored; together about 0.8 % of all pixels.
CAMVID_32: dict[str, tuple[Colour, int | None]] = {
    "Animal": ((64, 128, 64), 9),
    "Archway": ((192, 0, 128), 1),
    "Bicyclist": ((0, 128, 192), 10),
    "Bridge": ((0, 128, 64), 1),
    "Building": ((128, 0, 0), 1),
    "Car": ((64, 0, 128), 8),
    "CartLuggagePram": ((64, 0, 192), 9),
    "Child": ((192, 128, 64), 9),
    "Column_Pole": ((192, 192, 128), 2),
    "Fence": ((64, 64, 128), 7),
    "LaneMkgsDriv": ((128, 0, 192), 3),
    "LaneMkgsNonDriv": ((192, 0, 64), 3),
    "Misc_Text": ((128, 128, 64), 6),
    "MotorcycleScooter": ((192, 0, 192), 10),
    "OtherMoving": ((128, 64, 64), 8),
    "ParkingBlock": ((64, 192, 128), 4),
    "Pedestrian": ((64, 64, 0), 9),
    "Road": ((128, 64, 128), 3),
    "RoadShoulder": ((128, 128, 192), 4),
    "Sidewalk": ((0, 0, 192), 4),
    "SignSymbol": ((192, 128, 128), 6),
    "Sky": ((128, 128, 128), 0),
    "SUVPickupTruck": ((64, 128, 192), 8),
    "TrafficCone": ((0, 0, 64), 2),
    "TrafficLight": ((0, 64, 64), 6),
    "Train": ((192, 64, 128), 8),
    "Tree": ((128, 128, 0), 5),
    "Truck_Bus": ((192, 128, 192), 8),
    "Tunnel": ((64, 0, 64), 1),
    "VegetationMisc": ((192, 192, 0), 5),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), 1),
}

# Cityscapes' 19 evaluation classes (Cordts et al. 2016): name, colour, label id in the files.
_CITYSCAPES: tuple[tuple[str, Colour, int], ...] = (
    ("road", (128, 64, 128), 7),
    ("sidewalk", (244, 35, 232), 8),
    ("building", (70, 70, 70), 11),
    ("wall", (102, 102, 156), 12),
    ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17),
    ("traffic light", (250, 170, 30), 19),
    ("traffic sign", (220, 220, 0), 20),
    ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22),
    ("sky", (70, 130, 180), 23),
    ("person", (220, 20, 60), 24),
    ("rider", (255, 0, 0), 25),
    ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27),
    ("bus", (0, 60, 100), 28),
    ("train", (0, 80, 100), 31),
    ("motorcycle", (0, 0, 230), 32),
    ("bicycle", (119, 11, 32), 33),
)
CITYSCAPES = ClassSet("cityscapes", tuple(row[0] for row in _CITYSCAPES), tuple(row[1] for row in _CITYSCAPES))
CITYSCAPES_LABEL_IDS = tuple(row[2] for row in _CITYSCAPES)  # label id of each train id
CITYSCAPES_MAX_LABEL_ID = 33  # the files hold 0..33

# The class of CamVid that each class of Cityscapes belongs to, by meaning.
_CITYSCAPES_IN_CAMVID = {
    "road": "road", "sidewalk": "pavement", "building": "building", "wall": "building", "fence": "fence",
    "pole": "pole", "traffic light": "sign", "traffic sign": "sign", "vegetation": "tree", "terrain": "tree",
    "sky": "sky", "person": "pedestrian", "rider": "bicyclist", "car": "car", "truck": "car", "bus": "car",
    "train": "car", "motorcycle": "bicyclist", "bicycle": "bicyclist",
}  # fmt: skip


def classes_within(classes: ClassSet, others: ClassSet) -> list[list[int]]:
    """For each class of `classes`, the train ids in `others` that mean it or a part of it; empty where none does.

    A class of the same name means the same. Of Cityscapes' classes it is known which of CamVid's they belong to.

    Example:
        >>> from bcpnet.labels import CAMVID, CITYSCAPES, classes_within
        >>> within = classes_within(CAMVID, CITYSCAPES)
        >>> [CITYSCAPES.names[train_id] for train_id in within[CAMVID.names.index("bicyclist")]]
        ['rider', 'motorcycle', 'bicycle']
    """
    known = _CITYSCAPES_IN_CAMVID if (classes, others) == (CAMVID, CITYSCAPES) else {}
    meaning = [known.get(name, name) for name in others.names]
    return [[index for index, name in enumerate(meaning) if name == own] for own in classes.names]


def lookup_table(train_id_of: dict[int, int]) -> npt.NDArray[np.uint8]:
    """256 uint8 entries: value in a label file -> train id; values not named become IGNORE."""
    table = np.full(256, IGNORE, np.uint8)
    for value, train_id in train_id_of.items():
        table[value] = train_id
    return table
