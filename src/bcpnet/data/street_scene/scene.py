"""What a scene of `streets` is made of: textured parallelograms ("cards") in a street, a camera, light.

World coordinates are metres along a street: x to the right of its centre line, y up, z along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

_NOWHERE = (math.nan, math.nan, math.nan)


class Texture:
    """An RGBA picture with reduced copies, by powers of two along each axis, against aliasing."""

    def __init__(self, image: Image.Image) -> None:
        """Takes a Pillow image of mode RGBA."""
        self.size = image.size
        self._image = image.convert("RGBa")  # premultiplied: transparent texels lend no colour to their neighbours
        self._levels: dict[tuple[int, int], Image.Image] = {}

    def level(self, across: float, down: float) -> Image.Image:
        """The copy for a scale of `across` and `down` texels per pixel, premultiplied ("RGBa").

        It has a transparent border of one texel, which smooths the outline of a card.
        """
        key = _halvings(across, self.size[0]), _halvings(down, self.size[1])
        if key not in self._levels:
            reduced = self._image.reduce((2 ** key[0], 2 ** key[1]))
            bordered = Image.new("RGBa", (reduced.width + 2, reduced.height + 2))
            bordered.paste(reduced, (1, 1))
            self._levels[key] = bordered
        return self._levels[key]


def _halvings(scale: float, size: int) -> int:
    return min(max(0, round(math.log2(max(scale, 1e-6)))), size.bit_length() - 1)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the street.

    Attributes:
        x_m: from the street's centre line.
        z_m: along the street.
        height_m: above the road; CamVid's stands on a dashboard.
        yaw: radians to the right of the street's direction.
        horizon: the horizon's row as a share of the image's height.
    """

    x_m: float
    z_m: float
    height_m: float = 1.4
    yaw: float = 0.0
    horizon: float = 0.47


@dataclass(frozen=True)
class Light:
    """Light, air and sensor.

    Attributes:
        sun: unit vector towards the sun.
        sun_gain: what the sun adds to a surface that faces it.
        sky_gain: what every surface gets.
        haze_colour: RGB of the far distance.
        haze_per_m: extinction.
        exposure: factor on each channel, white balance included.
        noise: standard deviation of the sensor's noise, grey levels.
        sharpness: what the camera's own sharpening adds of each pixel's difference to its neighbours.
    """

    sun: Vector
    sun_gain: float
    sky_gain: float
    haze_colour: Vector
    haze_per_m: float
    exposure: Vector
    noise: float
    sharpness: float


class Cards:
    """The columns of a scene's cards, N rows each: see `Scene.add`."""

    def __init__(self, rows: Array) -> None:
        """Takes N x 22 values in the order `Scene.add` writes them."""
        self.corner, self.across, self.down = rows[:, 0:3], rows[:, 3:6], rows[:, 6:9]
        self.order_x, self.order_z = rows[:, 9], rows[:, 10]
        self.inside, self.tint, self.velocity = rows[:, 11:14], rows[:, 14:17], rows[:, 17:20]
        self.ground, self.fixed = rows[:, 20] > 0, rows[:, 21:22]


class Scene:
    """Cards in a street that may bend."""

    def __init__(self, bend_m: float = 0.0, bend_length_m: float = 100.0) -> None:
        """An empty street whose centre line swings by 2 x bend_m to the right and back every bend_length_m."""
        self.bend_m, self.bend_length_m = bend_m, bend_length_m
        self.textures: list[Sequence[Texture]] = []
        self.labels: list[int | None] = []
        self._rows: list[tuple[float, ...]] = []
        self._cards: Cards | None = None

    def add(
        self,
        corner: Vector,
        across: Vector,
        down: Vector,
        textures: Texture | Sequence[Texture],
        label: int | None,
        *,
        order: tuple[float, float] | None = None,
        ground: bool = False,
        inside: Vector = _NOWHERE,
        tint: Vector = (1.0, 1.0, 1.0),
        velocity: Vector = (0.0, 0.0, 0.0),
        fixed: bool = False,
    ) -> None:
        """Adds one card.

        Args:
            corner: where the texture's top left is, metres.
            across: from there along the texture's top edge.
            down: from there along its left edge.
            textures: the texture, or several that take turns as time passes.
            label: train id of its pixels; None paints the image only (a shadow).
            order: (x, z) that decides what hides what; the card's nearest point if None.
            ground: lies in the ground: painted before all others, in the order added.
            inside: a point inside the solid that the card is a face of: the face is not seen from within.
            tint: factor on the colour.
            velocity: metres per frame.
            fixed: z counts from the camera (the far end of the street).
        """
        x, z = order or (corner[0] + across[0] / 2, min(corner[2], corner[2] + across[2]))
        self._rows.append((*corner, *across, *down, x, z, *inside, *tint, *velocity, float(ground), float(fixed)))
        self.textures.append((textures,) if isinstance(textures, Texture) else textures)
        self.labels.append(label)
        self._cards = None

    def cards(self) -> Cards:
        """All cards, in the order added."""
        if self._cards is None:
            self._cards = Cards(np.array(self._rows, np.float64).reshape(-1, 22))
        return self._cards

    def bend(self, z: Array) -> Array:
        """How far the centre line has swung to the right at z, metres."""
        return self.bend_m * (1 - np.cos(z * (2 * math.pi / self.bend_length_m)))
