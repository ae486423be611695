"""Layout of `streets`: one English street, drawn by lot."""

from __future__ import annotations

import numpy as np

from bcpnet.data.street_scene.ground import lay_ground
from bcpnet.data.street_scene.roadside import close_view, furnish, line
from bcpnet.data.street_scene.street import Street, open_street
from bcpnet.data.street_scene.traffic import drive_cars, park, people, riders


def lay_out(rng: np.random.Generator, travelled_m: float = 0.0, metres_per_frame: float = 0.4) -> Street:
    """A street for a camera that goes `travelled_m` along it at `metres_per_frame`."""
    street = open_street(rng, travelled_m, metres_per_frame)
    lay_ground(street)
    for side in (-1, 1):
        line(street, side)
        furnish(street, side)
        if street.parked[(side + 1) // 2]:
            park(street, side)
        people(street, side)
    drive_cars(street)
    riders(street)
    close_view(street)
    return street
