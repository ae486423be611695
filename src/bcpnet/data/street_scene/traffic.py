"""Who is on the street in `streets`: parked and moving cars, people on foot and on bicycles."""

from __future__ import annotations

from bcpnet.data.street_scene import figures
from bcpnet.data.street_scene.cars import add_car
from bcpnet.data.street_scene.street import BICYCLIST, KERB_M, PEDESTRIAN, Street


def park(street: Street, side: int) -> None:
    """Cars along the kerb, in rows with gaps."""
    rng, z = street.rng, float(street.rng.uniform(3, 14))
    while z < street.end_m - 60:
        heading = -side if rng.random() < 0.85 else side
        if not street.crossing(z - 1, 7):
            add_car(street, side * (street.half_m - 1.05), z, heading)
        z += float(rng.uniform(5.4, 7)) if rng.random() < 0.75 else float(rng.uniform(10, 30))


def drive_cars(street: Street) -> None:
    """Cars ahead at the camera's own speed, and oncoming ones."""
    rng, lane, speed = street.rng, street.lane_x_m, street.metres_per_frame
    if rng.random() < 0.55:
        z = float(rng.uniform(9, 30))
        while z < 70:
            add_car(street, lane, z, 1, speed)
            z += float(rng.uniform(9, 30))
    z = float(rng.uniform(8, 40))
    while z < 80 + 1.8 * street.travelled_m:
        add_car(street, -lane + float(rng.uniform(-0.2, 0.2)), z, -1, -0.8 * speed)
        z += float(rng.uniform(8, 45))


def people(street: Street, side: int) -> None:
    """People who walk or wait on a pavement, some in company."""
    rng = street.rng
    kerb, edge = street.side(side)
    for _ in range(int(rng.poisson(4 + street.travelled_m / 12))):
        z = float(rng.uniform(6, 60 + street.travelled_m))
        x = side * float(rng.uniform(kerb + 0.8, edge - 0.4))
        pace = float(rng.choice((-1, 1)) * rng.uniform(0.03, 0.06)) if rng.random() < 0.8 else 0.0
        for companion in range(1 + int(rng.random() < 0.3)):
            _person(street, x - side * 0.6 * companion, z + 0.3 * companion, pace)


def _person(street: Street, x: float, z: float, pace: float) -> None:
    tall = float(street.rng.uniform(0.88, 1.05)) * 1.8
    turns = figures.pedestrian(int(street.rng.integers(24)))
    street.scene.add(
        (x - tall / 3.6, KERB_M + tall, z), (tall / 1.8, 0, 0), (0, -tall, 0), turns if pace else turns[:1],
        PEDESTRIAN, velocity=(0, 0, pace),
    )  # fmt: skip
    street.blot(x, z, 0.7, 0.6, 140, pace)


def riders(street: Street) -> None:
    """Bicyclists near both kerbs, and sometimes one across the road."""
    rng, speed = street.rng, street.metres_per_frame
    for side in (-1, 1):
        for _ in range(int(rng.poisson(1.2 + street.travelled_m / 40))):
            x = side * (abs(street.lane_x_m) + float(rng.uniform(1.35, 1.6)))
            z, pace = float(rng.uniform(6, 45 + street.travelled_m)), -side * 0.4 * speed
            turns = figures.bicyclist(int(rng.integers(16)))
            street.scene.add((x - 0.45, 1.8, z), (0.9, 0, 0), (0, -1.8, 0), turns, BICYCLIST, velocity=(0, 0, pace))
            street.blot(x, z, 0.8, 1.8, 170, pace)
    if rng.random() < 0.25:
        turns = figures.bicyclist_across(int(rng.integers(16)))
        corner = (float(rng.uniform(-4, 3)), 1.8, float(rng.uniform(9, 25)))
        street.scene.add(corner, (1.8, 0, 0), (0, -1.8, 0), turns, BICYCLIST, velocity=(0.12, 0, 0))
