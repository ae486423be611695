"""What stands along the road in `streets`: houses, gardens, trees, lamps, signs, and what closes the view."""

from __future__ import annotations

import numpy as np

from bcpnet.data.street_scene import figures, houses, surfaces
from bcpnet.data.street_scene.scene import Vector
from bcpnet.data.street_scene.street import BEHIND_M, BUILDING, FENCE, KERB_M, POLE, SIGN, TREE, VIEW_M, Street

_HOUSE_DEPTH_M = 8.0


def line(street: Street, side: int) -> None:
    """Lines one side of the street: a terrace, then gardens, then open ground, in random stretches."""
    rng, edge = street.rng, street.side(side)[1]
    z = -BEHIND_M
    while z < street.end_m:
        stretch = z + float(rng.uniform(20, 60))
        kind = float(rng.random())
        back_m = 3.0 if rng.random() < 0.3 else 0.0
        while z < stretch:
            variant = int(rng.integers(40))
            run = houses.front_size(variant)[0]
            blocked = street.crossing(z, run)
            if blocked:
                z = max(z + 0.5, blocked[1] + 0.3)
                continue
            if kind < 0.5:  # a terrace at the pavement, or behind a strip of paved yard
                _house(street, side, z, variant, back_m)
                if back_m:
                    _boundary(street, side, z, run)
            elif kind < 0.78:  # houses in gardens
                run += 2
                _boundary(street, side, z, run)
                if rng.random() < 0.75:
                    _house(street, side, z + 1, variant, float(rng.uniform(4, 7)))
                if rng.random() < 0.6:
                    _tree(street, side * (edge + float(rng.uniform(1.2, 3))), z + float(rng.uniform(0, run)))
            else:  # open ground with trees
                _boundary(street, side, z, run)
                for _ in range(3):
                    _tree(street, side * (edge + float(rng.uniform(1.5, 10))), z + float(rng.uniform(0, run)))
            z += run


def _house(street: Street, side: int, z: float, variant: int, back_m: float) -> None:
    """A house from z on, its front `back_m` behind the pavement's edge."""
    rng, add = street.rng, street.scene.add
    run, storeys = houses.front_size(variant)
    height, x = storeys * houses.STOREY_M + float(rng.uniform(0, 1)), side * (street.side(side)[1] + back_m)
    gabled = bool(rng.random() < 0.65)
    rise = height / 3 if gabled else 0.0  # a quarter of the whole, as `flank` draws it
    far, top, ridge = z + run, KERB_M + height, KERB_M + height + rise
    order = (x, far)
    red, green, blue = (float(t) for t in rng.uniform(0.8, 1.12) * rng.normal(1, 0.03, 3))
    tint: Vector = (red, green, blue)
    depth = side * _HOUSE_DEPTH_M
    add((x, top, far), (0, 0, -run), (0, -height, 0), houses.front(variant), BUILDING, order=order, tint=tint)
    flank = houses.flank(variant, gabled)
    add((x, ridge, z), (depth, 0, 0), (0, -height - rise, 0), flank, BUILDING, order=order, tint=tint)
    if gabled:
        slope: Vector = (-depth / 2 - side * 0.3, -rise - 0.15, 0)
        roof = houses.roof(variant)
        add((x + depth / 2, ridge, far), (0, 0, -run), slope, roof, BUILDING, order=order, tint=tint)
        middle, brick = x + depth / 2, surfaces.plain((122, 96, 78))  # the chimney
        add((middle - 0.5, ridge + 1.1, z + 0.5), (1, 0, 0), (0, -1.6, 0), brick, BUILDING, order=order)
        add((middle - side * 0.5, ridge + 1.1, z + 0.5), (0, 0, 0.8), (0, -1.6, 0), brick, BUILDING, order=order)
    street.wall_shadow(x, z, run, height + rise / 2)
    if back_m == 0 and rng.random() < 0.25:  # a board that hangs over the pavement
        board = surfaces.board(int(rng.integers(24)))
        wide, tall = 0.9, 0.8
        left = x if side < 0 else x - wide
        corner: Vector = (left, float(rng.uniform(3.4, 4.4)), z + run / 2)
        add(corner, (wide, 0, 0), (0, -tall, 0), board, SIGN, order=(x * 0.9, z + run / 2))


def _boundary(street: Street, side: int, z: float, run: float) -> None:
    """Railings, boards, a hedge or a garden wall (building in CamVid's grouping) along the pavement."""
    rng, x = street.rng, side * street.side(side)[1]
    kind, variant, height = float(rng.random()), int(rng.integers(4)), float(rng.uniform(1.0, 1.7))
    if kind < 0.65:
        texture, label = surfaces.fence(variant), FENCE
    elif kind < 0.85:
        texture, label = surfaces.hedge(variant), TREE
    else:
        texture, label = houses.flank(variant, False), BUILDING
    panels = max(1, round(run / 2))
    part = run / panels
    for panel in range(panels):
        far = z + (panel + 1) * part
        street.scene.add(
            (x, KERB_M + height, far), (0, 0, -part - 0.02), (0, -height, 0), texture, label, order=(x, far)
        )
    street.wall_shadow(x, z, run, height)


def _tree(street: Street, x: float, z: float) -> None:
    rng = street.rng
    if street.crossing(z):
        return
    scale = float(rng.uniform(0.7, 1.5))
    variant = int(rng.integers(10))
    if rng.random() < 0.7:
        width, height, texture = 7.0 * scale, 8.0 * scale, figures.bare_tree(variant)
    else:
        width, height, texture = 6.0 * scale, 8.0 * scale, figures.leafy_tree(variant)
    street.scene.add((x - width / 2, height, z), (width, 0, 0), (0, -height, 0), texture, TREE, order=(x, z))
    street.blot(x, z, 2.5, 2.5, 120)


def _post(street: Street, x: float, z: float, height: float, width: float, grey: int) -> None:
    post = surfaces.plain((grey, grey, grey + 4))
    dull: Vector = (0.75, 0.75, 0.75)  # a round post shows the sun one flank only
    street.scene.add((x - width / 2, KERB_M + height, z), (width, 0, 0), (0, -height, 0), post, POLE, tint=dull)


def furnish(street: Street, side: int) -> None:
    """Lamps, signs on posts, traffic lights and bollards along the kerb."""
    rng, kerb = street.rng, side * (street.half_m + 0.45)
    add = street.scene.add
    grey, pitch = int(rng.uniform(50, 130)), float(rng.uniform(22, 35))
    for z in np.arange(rng.uniform(4, 20), street.end_m - 60, pitch).tolist():
        if not street.crossing(z):
            _post(street, kerb, z, 7.5, 0.16, grey)
            head = kerb - side * 1.6
            add((min(kerb, head), 7.75, z), (1.6, 0, 0), (0, -0.12, 0), surfaces.plain((grey, grey, grey)), POLE)
            add((head - 0.35, 7.82, z), (0.7, 0, 0), (0, -0.2, 0), surfaces.plain((150, 150, 150)), POLE)
    z = float(rng.uniform(3, 14))
    while z < street.end_m - 60:
        if not street.crossing(z):
            x = kerb + side * float(rng.uniform(0, 0.5))
            top, kind, variant = float(rng.uniform(2.4, 3.4)), int(rng.integers(4)), int(rng.integers(12))
            draw, wide, tall = (
                (surfaces.disc, 0.65, 0.65), (surfaces.traffic_light, 0.36, 1.0),
                (surfaces.board, 0.9, 0.8), (surfaces.board, 0.6, 0.9),
            )[kind]  # fmt: skip
            _post(street, x, z, top, 0.09, 100)
            add((x - wide / 2, KERB_M + top + 0.1, z - 0.05), (wide, 0, 0), (0, -tall, 0), draw(variant), SIGN)
        z += float(rng.uniform(8, 26))
    if rng.random() < 0.5:
        first = float(rng.uniform(6, 40))
        for z in np.arange(first, first + 14, 1.8).tolist():
            if not street.crossing(z):
                _post(street, kerb, z, 1.0, 0.16, 34)


def close_view(street: Street) -> None:
    """Trees and a hedge at the end of the street, as far away wherever the camera is."""
    rng, add = street.rng, street.scene.add
    for x in np.arange(-150, 150, 9.0).tolist():
        tall = float(rng.uniform(4, 10))
        variant = int(rng.integers(10))
        texture = figures.leafy_tree(variant) if rng.random() < 0.6 else figures.bare_tree(variant)
        corner: Vector = (x, tall, VIEW_M - 4)
        add(corner, (13, 0, 0), (0, -tall - 1, 0), texture, TREE, order=(0, 900), fixed=True)
    add((-200, 3.4, VIEW_M), (400, 0, 0), (0, -4, 0), surfaces.hedge(0), TREE, order=(0, 1000), fixed=True)
