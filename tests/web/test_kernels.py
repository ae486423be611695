"""The arithmetic of the page against Python's: resizing, upsampling, confidence, PNG."""

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from PIL import Image

import bcpnet
from bcpnet.frames.confidence import confidence, softmax
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.frames.upsample import upsample_argmax

WEIGHTS = Path(bcpnet.__file__).parent / "weights"

Task = tuple[str, npt.NDArray[Any], Sequence[int]]  # what, data, height and width
Run = Callable[[list[Task]], list[bytes]]


@pytest.fixture(scope="module")
def run(bundle: Callable[[str], list[str]]) -> Run:
    """Runs tasks of kernels.ts in Node."""
    command = bundle("kernels.ts")

    def run(tasks: list[Task]) -> list[bytes]:
        asked = [
            {"what": what, "data": base64.b64encode(data.tobytes()).decode(), "shape": data.shape, "size": list(size)}
            for what, data, size in tasks
        ]
        done = subprocess.run(command, input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True)
        return [base64.b64decode(result) for result in json.loads(done.stdout)]

    return run


def sizes(seed: int, count: int, largest: int) -> list[tuple[int, int, int, int]]:
    """Heights and widths before and after; among them the same, more and far fewer."""
    pick = random.Random(seed)
    made = [tuple(int(largest ** pick.random()) or 1 for _ in range(4)) for _ in range(count)]
    return [*made, (37, 53, 37, 53), (37, 53, 37, 20), (37, 53, 90, 53), (1, 1, 40, 40), (300, 40, 32, 40)]


def test_resizes_to_the_byte(run: Run) -> None:
    numbers = np.random.default_rng(0)
    cases = [(numbers.integers(0, 256, (h, w, 4), np.uint8), (H, W)) for h, w, H, W in sizes(0, 60, 300)]
    cases += [(numbers.integers(0, 2, (360, 480, 4), np.uint8) * 255, size) for size in ((90, 120), (536, 720))]
    for (frame, size), resized in zip(cases, run([("resize", *case) for case in cases]), strict=True):
        expected = preprocess(np.ascontiguousarray(frame[..., :3]), size)
        assert resized == expected.tobytes(), f"{frame.shape} to {size}"


def test_network_sizes_are_those_of_python(run: Run) -> None:
    frames = [(360, 640), (640, 360), (720, 960), (1080, 1920), (300, 4), (4, 300), (375, 1242), (100, 106)]
    tasks = [("size", np.empty(hw, np.uint8), (lines, 0)) for hw in frames for lines in (270, 360, 540)]
    for (_, frame, (lines, _)), size in zip(tasks, run(tasks), strict=True):
        assert tuple(np.frombuffer(size, np.int32)) == network_size_hw(frame.shape, lines), f"{frame.shape}, {lines}"


def smooth_logits(seed: int) -> list[tuple[npt.NDArray[np.float32], tuple[int, int]]]:
    """Logits of regions, as networks give, and of noise; enlarged, kept and made smaller."""
    numbers = np.random.default_rng(seed)
    cases = []
    for at, (h, w, height, width) in enumerate(sizes(seed, 40, 70)):
        noise = numbers.normal(size=(int(numbers.integers(1, 20)), h, w)).astype(np.float32)
        if at % 2:
            noise = noise.cumsum(1, np.float32).cumsum(2, np.float32)
        cases.append((np.ascontiguousarray(noise), (4 * height, 4 * width) if at % 3 else (height, width)))
    return cases


def lead(logits: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """How far the best class of each pixel is above the second, with full-size logits."""
    if len(logits) == 1:
        return np.full(size, np.inf)
    weights = []
    for n_in, n_out in zip(logits.shape[1:], size, strict=True):
        position = np.clip((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
        weights.append(np.maximum(1 - np.abs(position[:, None] - np.arange(n_in)), 0))
    full = np.einsum("kyx,Yy,Xx->kYX", logits.astype(np.float64), *weights, optimize=True)
    best = np.sort(full, axis=0)
    return best[-1] - best[-2]


def test_upsampling_gives_the_class_map_but_for_ties(run: Run) -> None:
    cases = smooth_logits(1)
    for (logits, size), result in zip(cases, run([("upsample", *case) for case in cases]), strict=True):
        class_map = np.frombuffer(result, np.uint8).reshape(size)
        differs = class_map != upsample_argmax(logits, size)
        assert (lead(logits, size)[differs] < 1e-5 * np.abs(logits).max()).all(), f"{logits.shape} to {size}"


def test_confidence_is_that_of_python(run: Run) -> None:
    cases = smooth_logits(2)
    for (logits, size), result in zip(cases, run([("confidence", *case) for case in cases]), strict=True):
        expected = confidence(softmax(logits), upsample_argmax(logits, size))
        difference = np.abs(np.frombuffer(result, np.uint8).reshape(size) - expected.astype(int))
        assert difference.max() <= 1, f"{logits.shape} to {size}"


def test_png_has_the_ids_as_its_samples(run: Run) -> None:
    numbers = np.random.default_rng(3)
    maps = [numbers.integers(0, 256, size, np.uint8) for size in ((1, 1), (7, 301), (64, 3))]
    for class_map, file in zip(maps, run([("png", class_map, (0, 0)) for class_map in maps]), strict=True):
        with Image.open(io.BytesIO(file)) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), class_map)


@pytest.mark.parametrize("name", ["camvid", "camvid-int8"])
def test_the_page_offers_the_weights_as_they_ship(dist: Path, name: str) -> None:
    listed = {weights["name"]: weights for weights in json.loads((dist / "models.json").read_text())["weights"]}
    model = onnx.load(WEIGHTS / f"{name}.onnx")
    metadata = json.loads({entry.key: entry.value for entry in model.metadata_props}["bcpnet"])
    assert listed[name]["classes"] == metadata["classes"]["names"]
    assert listed[name]["shortSide"] == metadata["short_side"]
    assert (dist / listed[name]["file"]).read_bytes() == (WEIGHTS / f"{name}.onnx").read_bytes()
