"""Colours for looking: light over a picture, far apart for colour-blind people, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from bcpnet.errors import UsageError

Colour = tuple[int, int, int]
Palette = Literal["clear", "dataset"]

# Chosen by computation: within a range of hues and lightness for each class, for the greatest least distance (CIE
# L*a*b*) as people see them with all cones, without the green ones (deuteranopia) and without the red ones
# (protanopia), by themselves and at half opacity over grey. The order: each the farthest from all before it.
# tests/drawing/test_clear_colours.py holds the distances.
_NAMED: dict[str, Colour] = {
    "car": (0, 68, 238), "sign": (255, 238, 0), "bicycle": (187, 255, 255), "train": (0, 102, 68),
    "truck": (136, 170, 255), "terrain": (221, 255, 170), "tree": (17, 153, 34), "road": (136, 68, 187),
    "pole": (255, 255, 119), "bus": (68, 153, 187), "building": (221, 153, 119), "motorcycle": (136, 119, 255),
    "wall": (238, 204, 187), "pedestrian": (255, 17, 0), "fence": (255, 170, 102), "sky": (119, 221, 255),
    "traffic light": (255, 170, 34), "bicyclist": (221, 68, 119), "pavement": (221, 170, 187),
}  # fmt: skip
_MORE: tuple[Colour, ...] = (
    (170, 17, 119), (102, 68, 204), (68, 136, 68), (221, 68, 153), (187, 170, 153), (187, 221, 153), (238, 238, 136),
    (51, 102, 255), (85, 187, 68), (255, 204, 85), (85, 221, 221), (153, 68, 34), (170, 17, 153), (221, 255, 204),
    (119, 136, 238), (136, 255, 221), (85, 187, 221), (102, 136, 204), (204, 34, 119), (17, 221, 34), (187, 51, 153),
)  # fmt: skip
_ALL = (*_NAMED.values(), *_MORE)
_SAME = {
    "sidewalk": "pavement", "vegetation": "tree", "traffic sign": "sign", "person": "pedestrian", "rider": "bicyclist",
    "cyclist": "bicyclist", "motorbike": "motorcycle", "bike": "bicycle",
}  # fmt: skip


def clear_colours(names: Sequence[str]) -> tuple[Colour, ...]:
    """A colour for each class, by its name; the same names give the same colours.

    What streets have ("road", "person", "traffic light" ...) has a colour of its own. Other names take, in their
    order, those that are left: each the farthest from all before it. From the 41st class on colours come again.
    """
    known = [_NAMED.get(_SAME.get(name, name)) for name in (name.lower().replace("_", " ") for name in names)]
    spare = [colour for colour in _ALL if colour not in known] or list(_ALL)
    unknown = 0
    chosen = []
    for index, colour in enumerate(known):
        if colour is None or colour in known[:index]:  # two names of one thing
            colour = spare[unknown % len(spare)]
            unknown += 1
        chosen.append(colour)
    return tuple(chosen)


def palette_colours(palette: Palette, names: Sequence[str], colours: Sequence[Colour]) -> Sequence[Colour]:
    """The colours that overlays have: clear = `clear_colours`, dataset = `colours`, the classes' own.

    Raises:
        UsageError: another palette.
    """
    if palette not in get_args(Palette):
        raise UsageError(f"palette {palette!r}: need {' or '.join(map(repr, get_args(Palette)))}")
    return clear_colours(names) if palette == "clear" else colours
