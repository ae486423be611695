"""Renderer of `streets`: a pinhole projection of cards and a painter's algorithm.

The image and the label are painted through the same masks, so a label edge is where the image's edge is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from bcpnet.data.street_scene.scene import Array, Camera, Light, Scene

NEAR_M = 0.2  # nothing nearer to the camera plane is drawn
FRAMES_PER_TEXTURE = 3  # how long each of a card's alternating textures stays


class _Projection(NamedTuple):
    """Where N cards are on the screen.

    Attributes:
        box: N x 4 integers, left, top, right, bottom, within the image; empty where right <= left or bottom <= top.
        part: N x 4, the part of the texture in front of the camera: u0, v0, u1, v1 in 0..1.
        side_px: N x 2, mean length of the card's edges on the screen, across and down.
        to_texture: N x 3 x 3, homogeneous pixel -> (u, v, 1).
        depth: N, distance of the card's centre along the view.
        gain: N x 3, factor on the colour.
    """

    box: npt.NDArray[np.int64]
    part: Array
    side_px: Array
    to_texture: Array
    depth: Array
    gain: Array


class Surfaces(NamedTuple):
    """What each pixel of a frame shows.

    Attributes:
        card: H x W, the index of a card; -1 = the sky.
        to_texture: N x 3 x 3, of each card, homogeneous pixel -> (u, v, 1).
    """

    card: npt.NDArray[np.int32]
    to_texture: Array

    def positions_in(self, other: Surfaces) -> npt.NDArray[np.float32]:
        """Where another frame of the scene shows what each pixel shows: H x W x 2 float32, row and column, in pixels.

        NaN where it does not show it. The sky stays where it is.
        """
        height, width = self.card.shape
        y, x = np.mgrid[:height, :width]
        to_pixel = np.linalg.inv(other.to_texture) @ self.to_texture
        matrices = np.concatenate([to_pixel, np.eye(3)[None]])[self.card]  # card -1 is the last one
        there = (matrices @ np.stack([x + 0.5, y + 0.5, np.ones_like(x)], 2)[..., None])[..., 0]
        positions: npt.NDArray[np.float32] = (there[..., 1::-1] / there[..., 2:] - 0.5).astype(np.float32)
        row, column = np.moveaxis(np.rint(np.clip(positions, -1, max(height, width))).astype(np.intp), 2, 0)
        is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        seen = other.card[np.where(is_inside, row, 0), np.where(is_inside, column, 0)]
        positions[~is_inside | (seen != self.card)] = np.nan
        return positions


def render(
    scene: Scene, camera: Camera, light: Light, sky: Image.Image, size_hw: tuple[int, int], frame: int, seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draws the scene at time `frame`, over a sky that is train id 0.

    Returns:
        Image (H x W x 3 uint8 RGB) and label (H x W uint8). `seed` is the sensor noise's.
    """
    image, label, _ = render_surfaces(scene, camera, light, sky, size_hw, frame, seed)
    return image, label


def render_surfaces(
    scene: Scene, camera: Camera, light: Light, sky: Image.Image, size_hw: tuple[int, int], frame: int, seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Surfaces]:
    """What `render` draws, and which card each pixel shows; shadows do not count."""
    height, width = size_hw
    card = Image.new("I", (width, height), -1)
    image = sky.resize((width, height), Image.Resampling.BICUBIC)
    label = Image.new("L", (width, height), 0)
    cards = scene.cards()
    moved = frame * cards.velocity + cards.fixed * (0.0, 0.0, camera.z_m)
    # Along a street the nearer thing is nearer in z, or nearer to the middle, or both.
    far = cards.order_z + moved[:, 2] - camera.z_m + 2 * np.abs(cards.order_x + moved[:, 0] - camera.x_m)
    far = np.where(cards.ground, 1e6 - np.arange(len(far)), far)
    seen = _project(scene, camera, light, size_hw, moved)
    box, part, side_px = seen.box.tolist(), seen.part.tolist(), seen.side_px.tolist()
    air = np.exp(-light.haze_per_m * np.maximum(0.0, seen.depth))[:, None]
    scale = (seen.gain * air).tolist()
    haze = ((1 - air) * light.haze_colour).tolist()
    drawn = (seen.box[:, 2] > seen.box[:, 0]) & (seen.box[:, 3] > seen.box[:, 1])
    for index in np.argsort(-far, kind="stable").tolist():
        if not drawn[index]:
            continue
        turns = scene.textures[index]
        texture = turns[frame // FRAMES_PER_TEXTURE % len(turns)]
        u0, v0, u1, v1 = part[index]
        across, down = side_px[index]
        level = texture.level(texture.size[0] * (u1 - u0) / across, texture.size[1] * (v1 - v0) / down)
        patch = _warp(level, part[index], seen.to_texture[index], box[index])
        mask = patch.getchannel("A")
        (red, green, blue), (r, g, b) = scale[index], haze[index]
        shaded = patch.convert("RGB").convert("RGB", (red, 0, 0, r, 0, green, 0, g, 0, 0, blue, b))
        image.paste(shaded, box[index], mask)
        train_id = scene.labels[index]
        if train_id is not None:
            solid = mask.convert("1", dither=Image.Dither.NONE)
            label.paste(train_id, box[index], solid)
            card.paste(index, box[index], solid)
    return _sensor(image, light, seed), np.array(label), Surfaces(np.array(card, np.int32), seen.to_texture)


def _project(scene: Scene, camera: Camera, light: Light, size_hw: tuple[int, int], moved: Array) -> _Projection:
    """Projects all cards, moved by `moved` metres; cards out of view get an empty box."""
    height, width = size_hw
    focal_px = 1.05 * math.sqrt(4 / 3 * width * height)  # CamVid's view at 4:3, as much of the street at other shapes
    here = np.array([camera.z_m])
    slope = float((scene.bend(here + 0.5) - scene.bend(here - 0.5))[0])
    angle = camera.yaw + math.atan(slope)
    turn = np.array(
        [[math.cos(angle), 0, -math.sin(angle)], [0, -1, 0], [math.sin(angle), 0, math.cos(angle)]]
    )  # right, down, ahead

    def view(points: Array) -> Array:
        x = points[:, 0] + scene.bend(points[:, 2]) - scene.bend(here) - camera.x_m
        result: Array = np.stack([x, points[:, 1] - camera.height_m, points[:, 2] - camera.z_m], 1) @ turn.T
        return result

    cards = scene.cards()
    corner = cards.corner + moved
    origin = view(corner)
    across, down = view(corner + cards.across) - origin, view(corner + cards.down) - origin

    # Light, and which faces of solids look away.
    normal = np.cross(across, down)
    normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]
    centre = origin + (across + down) / 2
    normal *= np.where((normal * centre).sum(1) > 0, -1.0, 1.0)[:, None]  # towards the camera
    away = (normal * (centre - view(cards.inside + moved))).sum(1) < 0  # False where `inside` is NaN
    lit = np.maximum(0.0, normal @ (turn @ np.array(light.sun)))
    gain = (light.sky_gain + light.sun_gain * lit)[:, None] * cards.tint * light.exposure

    # Keep what is in front of the camera, cutting along the edge that runs deeper.
    deeper = (np.abs(down[:, 2]) > np.abs(across[:, 2])).astype(int)
    rows = np.arange(len(origin))
    steps = np.stack([across[:, 2], down[:, 2]], 1)
    step, other = steps[rows, deeper], steps[rows, 1 - deeper]
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)  # a card that faces the camera is kept or dropped as a whole
    cut = (NEAR_M - origin[:, 2] - np.minimum(0.0, other)) / step
    part = np.tile([0.0, 0.0, 1.0, 1.0], (len(origin), 1))
    part[rows, deeper] = np.where(step > 0, np.clip(cut, 0, 1), 0)
    part[rows, deeper + 2] = np.where(step < 0, np.clip(cut, 0, 1), 1)
    behind = (part[:, 2:] - part[:, :2] < 0.02).any(1)

    to_px = np.array([[focal_px, 0, width / 2], [0, focal_px, camera.horizon * height], [0, 0, 1]])
    u, v = part[:, [0, 2, 2, 0]], part[:, [1, 1, 3, 3]]
    points = origin[:, None] + u[..., None] * across[:, None] + v[..., None] * down[:, None]
    screen = points @ to_px.T
    screen = screen[..., :2] / np.maximum(screen[..., 2:], 1e-3)
    edges = np.linalg.norm(screen - np.roll(screen, -1, 1), axis=2)
    side_px = np.stack([edges[:, 0] + edges[:, 2], edges[:, 1] + edges[:, 3]], 1) / 2
    low = np.clip(np.floor(screen.min(1)) - 1, 0, (width, height)).astype(np.int64)
    high = np.clip(np.ceil(screen.max(1)) + 1, 0, (width, height)).astype(np.int64)
    matrix = to_px @ np.stack([across, down, origin], 2)
    edge_on = np.abs(np.linalg.det(matrix)) < 1e-6
    hidden = away | behind | edge_on | (side_px.prod(1) < 0.3)
    matrix[hidden] = np.eye(3)
    high[hidden] = 0
    return _Projection(
        np.concatenate([low, high], 1), part, np.maximum(side_px, 1e-3), np.linalg.inv(matrix), centre[:, 2], gain
    )


def _warp(level: Image.Image, part: list[float], to_texture: Array, box: list[int]) -> Image.Image:
    """The texels of `level` as seen in `box`: RGBA, transparent outside the card."""
    wide, tall = level.width - 2, level.height - 2  # without the border
    u0, v0, u1, v1 = part
    left = math.ceil(u0 * wide) + 1 if u0 > 0 else 0
    top = math.ceil(v0 * tall) + 1 if v0 > 0 else 0
    right = max(left + 1, math.floor(u1 * wide) + 1) if u1 < 1 else level.width
    bottom = max(top + 1, math.floor(v1 * tall) + 1) if v1 < 1 else level.height
    if (left, top, right, bottom) != (0, 0, *level.size):
        level = level.crop((left, top, right, bottom))  # else what is behind the camera would be mirrored into view
    (a, b, c), (d, e, f), (g, h, i) = to_texture.tolist()
    # From patch to image pixels, and from u, v to texels of the crop.
    c, f, i = c + a * box[0] + b * box[1], f + d * box[0] + e * box[1], i + g * box[0] + h * box[1]
    x, y = 1 - left, 1 - top
    a, b, c = wide * a + x * g, wide * b + x * h, wide * c + x * i
    d, e, f = tall * d + y * g, tall * e + y * h, tall * f + y * i
    i = i or 1e-12
    coefficients = (a / i, b / i, c / i, d / i, e / i, f / i, g / i, h / i)
    size = (box[2] - box[0], box[3] - box[1])
    patch = level.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    return patch.convert("RGBA")


# A camera's tone curve: shadows crushed, highlights clipped.
_TONE = [round(255 * min(1.0, (v / 255) ** 1.18 * 1.32)) for v in range(256)]


def _sensor(image: Image.Image, light: Light, seed: int) -> npt.NDArray[np.uint8]:
    """Tone curve, in-camera sharpening, noise."""
    k = light.sharpness
    kernel = ImageFilter.Kernel((3, 3), (0, -k, 0, -k, 1 + 4 * k, -k, 0, -k, 0), 1)
    pixels = np.asarray(image.point(_TONE * 3).filter(kernel), np.int16)
    rng = np.random.default_rng(seed)
    grain = rng.standard_normal((image.height, image.width, 1), np.float32) * np.float32(light.noise)
    return np.clip(pixels + grain.astype(np.int16), 0, 255).astype(np.uint8)
