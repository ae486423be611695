"""One street of `streets`: its measures, its light, and the marks that things leave on its ground."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from bcpnet.data.street_scene import surfaces
from bcpnet.data.street_scene.scene import Light, Scene, Texture, Vector
from bcpnet.labels import CAMVID

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CAMVID))

KERB_M = 0.11
BEHIND_M = 10.0  # the street begins this far behind the first camera
VIEW_M = 150.0  # and goes on this far beyond the last


@dataclass
class Street:
    """A street being filled. Side -1 is the left, where one drives, +1 the right.

    Attributes:
        rng: decides everything.
        travelled_m: how far the camera will go.
        metres_per_frame: how fast, and the traffic with it.
        half_m: from the centre line to the kerb.
        walk_m: width of the left and the right pavement.
        parked: whether cars stand along the left and the right kerb.
        crossings: (near, far) of each side road.
        light: light and air.
        sunny: whether things cast shadows.
        sky: RGB picture.
        scene: what has been put there.
    """

    rng: np.random.Generator
    travelled_m: float
    metres_per_frame: float
    half_m: float
    walk_m: tuple[float, float]
    parked: tuple[bool, bool]
    crossings: list[tuple[float, float]]
    light: Light
    sunny: bool
    sky: Image.Image
    scene: Scene = field(default_factory=Scene)

    @property
    def end_m(self) -> float:
        """Where the street ends."""
        return self.travelled_m + VIEW_M

    @property
    def lane_x_m(self) -> float:
        """Where the left lane's cars drive."""
        return -self.half_m / 2 + (0.9 if self.parked[0] else 0.0)

    def side(self, side: int) -> tuple[float, float]:
        """Distance from the centre line to the kerb and to the far edge of the pavement."""
        return self.half_m, self.half_m + self.walk_m[(side + 1) // 2]

    def crossing(self, z: float, run: float = 0.1) -> tuple[float, float] | None:
        """The side road that something from z to z + run would block."""
        return next((c for c in self.crossings if c[0] < z + run and z < c[1]), None)

    def lay(
        self, x: float, z: float, width: float, depth: float, y: float, texture: Texture, label: int | None,
        tint: float = 1.0,
    ) -> None:  # fmt: skip
        """A rectangle on the ground at height y, its near left corner at (x, z)."""
        self.scene.add(
            (x, y, z + depth), (width, 0, 0), (0, 0, -depth), texture, label, ground=True, tint=(tint, tint, tint)
        )

    def wall_shadow(self, x: float, z: float, run: float, height: float) -> None:
        """What a wall from (x, z) to (x, z + run) keeps the sun off."""
        sun = self.light.sun
        if not self.sunny or x * sun[0] < 0.15 * abs(x):  # no sun, or beyond the wall
            return
        reach = height / sun[1]
        dark = surfaces.plain((10, 12, 20), 125)
        away: Vector = (-sun[0] * reach, 0.0, -sun[2] * reach)
        self.scene.add((x, KERB_M, z), (0, 0, run), away, dark, None, ground=True)

    def blot(self, x: float, z: float, width: float, depth: float, strength: int, pace: float = 0.0) -> None:
        """The soft shadow under a thing centred on (x, z) that moves at `pace` metres per frame."""
        y = 0 if abs(x) < self.half_m else KERB_M
        self.scene.add(
            (x - width / 2, y, z + depth / 2), (width, 0, 0), (0, 0, -depth), surfaces.shade(strength), None,
            ground=True, velocity=(0, 0, pace),
        )  # fmt: skip


def open_street(rng: np.random.Generator, travelled_m: float, metres_per_frame: float) -> Street:
    """An empty street of random measures, in random light."""
    parked = bool(rng.random() < 0.6), bool(rng.random() < 0.6)
    dusk, sunny = bool(rng.random() < 0.2), bool(rng.random() < 0.7)
    sunny = sunny and not dusk
    first, pitch = float(rng.uniform(15, 60)), float(rng.uniform(45, 90))
    return Street(
        rng=rng,
        travelled_m=travelled_m,
        metres_per_frame=metres_per_frame,
        half_m=float(rng.uniform(3.2, 4.4)) + 0.8 * sum(parked),
        walk_m=(float(rng.uniform(2, 4)), float(rng.uniform(2, 4))),
        parked=parked,
        crossings=[(float(z), float(z + rng.uniform(6, 9))) for z in np.arange(first, travelled_m + VIEW_M, pitch)],
        light=_light(rng, dusk, sunny),
        sunny=sunny,
        sky=surfaces.sky(rng, float(rng.uniform(0, 0.9)), 0.62 if dusk else float(rng.uniform(0.84, 1.0))),
        scene=Scene(float(rng.normal(0, 1.5)), float(rng.uniform(150, 300))),
    )


def _light(rng: np.random.Generator, dusk: bool, sunny: bool) -> Light:
    """A low winter sun, or a grey day, or dusk."""
    azimuth, height = float(rng.uniform(0, 2 * math.pi)), math.radians(float(rng.uniform(16, 38)))
    brightness = float(rng.uniform(0.35, 0.55)) if dusk else float(rng.uniform(0.78, 1.15))
    warmth = float(rng.normal(0, 0.03))
    return Light(
        sun=(math.sin(azimuth) * math.cos(height), math.sin(height), math.cos(azimuth) * math.cos(height)),
        sun_gain=float(rng.uniform(0.7, 1.3)) if sunny else 0.12,
        sky_gain=float(rng.uniform(0.4, 0.62)) if sunny else 0.75,
        haze_colour=(96.0, 100.0, 106.0) if dusk else (205.0, 210.0, 214.0),
        haze_per_m=float(rng.uniform(0.0008, 0.004)),
        exposure=(brightness * (1 + warmth), brightness, brightness * (1.03 - warmth)),
        noise=float(rng.uniform(0.8, 3)),
        sharpness=float(rng.uniform(-0.05, 0.2)),
    )
