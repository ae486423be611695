"""The renderer of the street scenes against rays cast through every pixel."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bcpnet.data.street_scene.render import render
from bcpnet.data.street_scene.scene import Camera, Light, Scene, Texture

SIZE = HEIGHT, WIDTH = 60, 80
FLAT = Light((0, 1, 0), 0.0, 1.0, (0, 0, 0), 0.0, (1, 1, 1), 0.0, 0.0)
SKY = Image.new("RGB", (8, 8), (255, 255, 255))
BLACK = Texture(Image.new("RGBA", (256, 256), (0, 0, 0, 255)))
CAMERA = Camera(0.0, 0.0, horizon=0.5)


def draw(scene, camera=CAMERA, frame=0):
    return render(scene, camera, FLAT, SKY, SIZE, frame, 0)


def cast(camera, corner, across, down):
    """Depth (H x W, metres) at which each pixel's ray meets the card, infinite where it does not."""
    focal = 1.05 * math.sqrt(4 / 3 * WIDTH * HEIGHT)
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5 - WIDTH / 2) / focal, (np.arange(HEIGHT) + 0.5) / focal)
    y = camera.horizon * HEIGHT / focal - y
    cos, sin = math.cos(camera.yaw), math.sin(camera.yaw)
    ray = np.stack([x * cos + sin, y, cos - x * sin], 2)
    start = np.array(corner) - (camera.x_m, camera.height_m, camera.z_m)
    normal = np.cross(across, down)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (start @ normal) / (ray @ normal)
    at = (ray * depth[..., None] - start) @ np.linalg.pinv(np.stack([across, down], 1)).T
    return np.where((at > 0).all(2) & (at < 1).all(2) & (depth > 0), depth, np.inf)


def grow(mask):
    padded = np.pad(mask, 1)
    return np.max([padded[r : r + HEIGHT, c : c + WIDTH] for r in range(3) for c in range(3)], axis=0)


metre = st.floats(-8, 8)
sides = st.sampled_from(  # walls along, across and askew, ground, roofs: what a street has
    [
        ((0.0, 0.0, -9.0), (0.0, -3.0, 0.0)),
        ((5.0, 0.0, 0.0), (0.0, -3.0, 0.0)),
        ((-4.0, 0.0, 14.0), (0.0, -3.0, 0.0)),
        ((5.0, 0.0, 0.0), (0.5, 0.0, -8.0)),
        ((0.0, 0.0, -9.0), (-4.0, -3.0, 0.0)),
    ]
)


@given(metre, st.floats(-1, 5), st.floats(0, 20), sides, st.floats(-0.2, 0.2))
@settings(max_examples=150)
def test_a_card_is_where_the_rays_meet_it(x, y, z, sides, yaw):
    corner, camera = (x, y, z), Camera(0.3, 0.1, yaw=yaw, horizon=0.45)
    across, down = sides
    scene = Scene()
    scene.add(corner, across, down, BLACK, 1)
    image, label = draw(scene, camera)
    depth = cast(camera, corner, across, down)
    met = np.isfinite(depth)
    at_edge = grow(met) & grow(~met)  # a ray within a pixel of the card's outline may go either way
    too_near = depth < 2  # what the near plane cuts
    wrong = (met != (label == 1)) & ~at_edge & ~grow(too_near)
    assert not wrong.any()
    if 0 < (label == 1).sum() < label.size:  # black on white: the label goes where the card is more than half
        assert image[label == 1].max() < image[label == 0].min()


def test_the_nearer_hides_the_farther_in_either_order():
    near, far = ((-1, 2, 5), 1), ((-4, 4, 15), 2)
    for cards in ((near, far), (far, near)):
        scene = Scene()
        for corner, train_id in cards:
            scene.add(corner, (-2 * corner[0], 0, 0), (0, -2, 0), BLACK, train_id)
        label = draw(scene)[1]
        assert label[28, 40] == 1
        assert (label == 2).any()


def test_a_solid_shows_its_outside_only():
    for inside, seen in (((0, 1, 9), True), ((0, 1, 5), False)):
        scene = Scene()
        scene.add((-1, 2, 7), (2, 0, 0), (0, -2, 0), BLACK, 1, inside=inside)
        assert (draw(scene)[1] == 1).any() == seen


def test_a_shadow_darkens_without_a_label():
    scene = Scene()
    scene.add((-1, 2, 5), (2, 0, 0), (0, -2, 0), BLACK, None)
    image, label = draw(scene)
    assert (image == 0).any()
    assert not label.any()


def test_velocity_is_metres_per_frame():
    moving, moved = Scene(), Scene()
    moving.add((-1, 2, 5), (2, 0, 0), (0, -2, 0), BLACK, 1, velocity=(0.1, 0, 0.5))
    moved.add((-0.4, 2, 8), (2, 0, 0), (0, -2, 0), BLACK, 1)
    np.testing.assert_array_equal(draw(moving, frame=6)[1], draw(moved)[1])


def test_the_far_end_keeps_its_distance():
    scene = Scene()
    scene.add((-9, 9, 50), (18, 0, 0), (0, -9, 0), BLACK, 5, fixed=True)
    np.testing.assert_array_equal(draw(scene)[1], draw(scene, Camera(0.0, 30.0, horizon=0.5))[1])


def test_sun_and_haze():
    """A surface that faces the sun is the brighter one; in the far distance all is haze."""
    grey = Texture(Image.new("RGBA", (16, 16), (90, 90, 90, 255)))
    values = {}
    for sun in ((0, 0, -1), (0, 0, 1)):
        for z in (5, 4000):
            scene = Scene()
            scene.add((-z, z, z), (2 * z, 0, 0), (0, -2 * z, 0), grey, 1)
            light = Light(sun, 1.0, 0.5, (60, 160, 200), 0.01, (1, 1, 1), 0.0, 0.0)
            values[sun[2], z] = render(scene, CAMERA, light, SKY, SIZE, 0, 0)[0][30, 40].astype(int)
    assert (values[-1, 5] > 1.5 * values[1, 5]).all()
    np.testing.assert_allclose(values[-1, 4000], values[1, 4000], atol=1)
    assert values[1, 4000][2] > values[1, 4000][1] > values[1, 4000][0]


def test_reduced_textures_keep_their_mean():
    rng = np.random.default_rng(0)
    pixels = np.full((64, 48, 4), 255, np.uint8)
    pixels[..., :3] = rng.integers(0, 256, (64, 48, 3))
    texture = Texture(Image.fromarray(pixels))
    level = np.asarray(texture.level(4.0, 16.0).convert("RGBA"))
    assert level.shape == (64 // 16 + 2, 48 // 4 + 2, 4)
    np.testing.assert_allclose(level[1:-1, 1:-1, :3].mean((0, 1)), pixels[..., :3].mean((0, 1)), atol=1.5)
    assert level[0].max() == level[:, 0].max() == level[-1].max() == level[:, -1].max() == 0
