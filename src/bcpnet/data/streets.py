"""Synthetic street scenes with exact labels in CamVid's classes: for tests, a first training and the demo clip."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcpnet.data.base import Sample
from bcpnet.data.street_scene.layout import lay_out
from bcpnet.data.street_scene.render import Surfaces, render, render_surfaces
from bcpnet.data.street_scene.scene import Camera
from bcpnet.errors import UsageError
from bcpnet.labels import CAMVID

_LENGTHS = {"train": 200, "val": 50, "test": 50}
_DRIVE = len(_LENGTHS)  # drives are seeded apart from the splits
_MIN_SIDE = 32


class Streets:
    """Scenes drawn from a seed as they are asked for; a dataset in the sense of `bcpnet.data.base.Dataset`.

    A scene depends on (seed, split, index) and its pixels on the size as well; nothing else.
    """

    classes = CAMVID

    def __init__(
        self,
        split: str = "train",
        size_hw: tuple[int, int] = (360, 480),
        length: int | None = None,
        seed: int = 0,
    ) -> None:
        """The `length` first scenes of a split; by default 200 (train) or 50 (val, test).

        Raises:
            UsageError: no such split, a negative length or seed, or an image side below 32 pixels.
        """
        if split not in _LENGTHS:
            raise UsageError(f"streets: no split '{split}': choose {', '.join(_LENGTHS)}")
        _check(size_hw, seed)
        if length is not None and length < 0:
            raise UsageError(f"streets: length {length}: must be 0 or more")
        self.split = split
        self.size_hw = size_hw
        self.seed = seed
        self._length = _LENGTHS[split] if length is None else length

    def __len__(self) -> int:
        """Number of scenes."""
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Draws scene `index`: image H x W x 3 uint8 RGB, label H x W uint8. Raises IndexError past the end."""
        if not 0 <= index < self._length:
            raise IndexError(f"streets {self.split}: no scene {index} of {self._length}")
        rng = np.random.default_rng([self.seed, list(_LENGTHS).index(self.split), index])
        street = lay_out(rng)
        camera = Camera(
            x_m=street.lane_x_m + float(rng.normal(0, 0.3)),
            z_m=0.0,
            height_m=float(rng.uniform(1.25, 1.6)),
            yaw=float(rng.normal(0, 0.06)),
            horizon=float(rng.uniform(0.4, 0.54)),
        )
        grain = int(rng.integers(2**32))
        image, label = render(street.scene, camera, street.light, street.sky, self.size_hw, 0, grain)
        return Sample(image, label, f"streets_{self.split}_{index:05d}")


def drive(
    frames: int, size_hw: tuple[int, int] = (360, 640), seed: int = 0, metres_per_frame: float = 0.4
) -> Iterator[Sample]:
    """Yields the frames of one drive along one street, as at 25 frames/s; other people move too.

    Raises:
        UsageError: negative frames, seed or speed, or an image side below 32 pixels.
    """
    return (sample for sample, _ in _drive(frames, size_hw, seed, metres_per_frame, 0.0))


class MovingSample(NamedTuple):
    """A frame of a drive.

    Attributes:
        sample: image and label.
        before: H x W x 2 float32, the row and the column, in pixels, where the frame before shows what each pixel
            shows; NaN where it does not show it; None in the first frame.
    """

    sample: Sample
    before: npt.NDArray[np.float32] | None


def drive_with_motion(
    frames: int,
    size_hw: tuple[int, int] = (360, 640),
    seed: int = 0,
    metres_per_frame: float = 0.4,
    pan: float = 0.0,
) -> Iterator[MovingSample]:
    """The drive of `drive`, with the motion of every pixel, which is exact.

    Args:
        frames, size_hw, seed, metres_per_frame: as there.
        pan: the camera also turns to and fro by so many radians, in 2 seconds.

    Raises:
        UsageError: as `drive`.
    """
    before: Surfaces | None = None
    for sample, surfaces in _drive(frames, size_hw, seed, metres_per_frame, pan):
        yield MovingSample(sample, None if before is None else surfaces.positions_in(before))
        before = surfaces


def _drive(
    frames: int, size_hw: tuple[int, int], seed: int, metres_per_frame: float, pan: float
) -> Iterator[tuple[Sample, Surfaces]]:
    _check(size_hw, seed)
    if frames < 0 or metres_per_frame < 0:
        raise UsageError(f"streets: {frames} frames at {metres_per_frame} m each: must be 0 or more")
    street = lay_out(np.random.default_rng([seed, _DRIVE]), frames * metres_per_frame, metres_per_frame)
    for frame in range(frames):
        camera = Camera(
            x_m=street.lane_x_m + 0.12 * math.sin(frame / 40),
            z_m=frame * metres_per_frame,
            yaw=0.006 * math.sin(frame / 27) + pan * math.sin(frame * (2 * math.pi / 50)),
            horizon=0.47 + 0.002 * math.sin(frame / 5),
        )
        image, label, surfaces = render_surfaces(street.scene, camera, street.light, street.sky, size_hw, frame, frame)
        yield Sample(image, label, f"streets_drive_{frame:05d}"), surfaces


def _check(size_hw: tuple[int, int], seed: int) -> None:
    if min(size_hw) < _MIN_SIDE:
        raise UsageError(f"streets: size {size_hw[0]}x{size_hw[1]}: each side must be at least {_MIN_SIDE}")
    if seed < 0:
        raise UsageError(f"streets: seed {seed}: must be 0 or more")
