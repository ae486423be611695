"""The ground of `streets`: road, markings, kerbs, pavements, side roads, lawns behind."""

from __future__ import annotations

import numpy as np

from bcpnet.data.street_scene import surfaces
from bcpnet.data.street_scene.street import BEHIND_M, KERB_M, PAVEMENT, ROAD, TREE, Street

_TILE_M = 8.0
_OVERLAP_M = 0.2  # hides the smoothed edge of the next tile


def lay_ground(street: Street) -> None:
    """Lays what lies flat, from below to above."""
    rng, half = street.rng, street.half_m
    lawn, slabs, tar = surfaces.grass(0), surfaces.paving(int(rng.integers(6))), int(rng.integers(4))
    worn, pale = float(rng.uniform(0.85, 1.15)), float(rng.uniform(0.75, 1.0))
    tiles = np.arange(-BEHIND_M, street.end_m, _TILE_M).tolist()
    deep = _TILE_M + _OVERLAP_M
    for z in tiles:
        for side in (-1, 1):
            street.lay(half if side > 0 else -half - 16, z, 16, deep, 0, lawn, TREE)
    for z in tiles:
        for side in (-1, 1):
            walk = street.side(side)[1] - half + 0.4  # reaches under the houses
            street.lay(half if side > 0 else -half - walk, z, walk, deep, KERB_M, slabs, PAVEMENT, pale)
        mended = 4 * int(rng.random() < 0.25)
        street.lay(-half, z, 2 * half, deep, 0, surfaces.asphalt(tar + mended), ROAD, worn)
    kerb = surfaces.plain((150, 147, 140))
    for z in tiles[::2]:
        for side in (-1, 1):
            street.scene.add((side * half, KERB_M, z), (0, 0, 2 * deep), (0, -KERB_M, 0), kerb, PAVEMENT, ground=True)
            street.lay(side * half - (0 if side > 0 else 0.14), z, 0.14, 2 * deep, KERB_M, kerb, PAVEMENT)
    for near, far in street.crossings:
        for reach in (0, 8):
            for x in (half - 0.02 + reach, -half + 0.02 - reach - 8):
                street.lay(x, near, 8.2, far - near, KERB_M / 2, surfaces.asphalt(tar), ROAD, worn)
    _mark(street)


def _mark(street: Street) -> None:
    """Paint on the road, which is road in CamVid's grouping."""
    rng, half = street.rng, street.half_m
    white, yellow = surfaces.plain((200, 200, 196), 215), surfaces.plain((178, 154, 76), 200)
    dash, gap = (2.0, 4.0) if rng.random() < 0.6 else (4.0, 2.0)
    for z in np.arange(-6, street.end_m - 60, dash + gap).tolist():
        street.lay(-0.06, z, 0.12, dash, 0, white, ROAD)
    edge = float(rng.random())
    for side in (-1, 1):
        if edge < 0.5:  # no parking
            for offset in (0.3, 0.5):
                for z in np.arange(-BEHIND_M, street.end_m - 60, 16).tolist():
                    street.lay(side * (half - offset) - 0.05, z, 0.1, 16, 0, yellow, ROAD)
        elif edge < 0.8:  # zigzags before a crossing on foot
            for step, z in enumerate(np.arange(4, 40, 2.0).tolist()):
                swing = 0.35 if step % 2 else -0.35
                corner = (side * (half - 0.9) - swing, 0.0, z + 2)
                street.scene.add(corner, (0.14, 0, 0), (2 * swing, 0, -2), white, ROAD, ground=True)
    for near, far in street.crossings:  # give way
        for side in (-1, 1):
            for z in np.arange(near + 0.4, far - 0.6, 1.0).tolist():
                street.lay(side * (half + 0.5) - 0.12, z, 0.24, 0.6, KERB_M / 2, white, ROAD)
    if rng.random() < 0.4:  # a stop line, and the studs of a crossing on foot
        z = float(rng.uniform(12, 30))
        street.lay(-half + 0.3, z, half - 0.4, 0.3, 0, white, ROAD)
        for x in np.arange(-half + 0.3, half - 0.3, 0.6).tolist():
            street.lay(x, z + 2, 0.12, 0.15, 0, white, ROAD)
            street.lay(x, z + 4.4, 0.12, 0.15, 0, white, ROAD)
