"""Runs small networks, and changed ones that the grammar still takes, with each tensor in memory of its own; layers of
8-bit networks; and frames to be smoothed.

    python tests/native/sanitized_run.py LIBRARY LEVEL [--tensors-too-small]

For tests/native/test_sanitizers.py, which loads a sanitizer first. Prints how many ran and how many were refused.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bcpnet import native

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    str(Path(__file__).resolve().parents[1]),
    str(Path(__file__).resolve().parents[1] / "fuzz"),
]
library, level, *options = sys.argv[1:]
native.find_spec = lambda _: SimpleNamespace(origin=library)  # type: ignore[attr-defined]
chosen = native.kernels(level)
assert chosen is not None, "not the sanitized library, or a CPU without that level"
native.kernels = lambda *_: chosen  # type: ignore[assignment]

from changed_networks import CHANGES, REFUSALS  # noqa: E402
from int8_layers import FRONTS, LayerMaker, any_layer  # noqa: E402
from small_networks import NETWORKS  # noqa: E402

from bcpnet.backends.native import NativeBackend  # noqa: E402
from bcpnet.errors import InputError  # noqa: E402
from bcpnet.frames.blocks import Blocks  # noqa: E402
from bcpnet.frames.smoothing_in_c import StepInC  # noqa: E402
from bcpnet.native.int8 import int8_kernels  # noqa: E402
from bcpnet.native.program import Program  # noqa: E402

CHANGED = 60
LAYERS = 200
VIDEOS = 60
SIZES = ((32, 32), (33, 47), (45, 71))
ROUND = 16 if not options else -64  # floats behind a tensor


def apart(placed: Any) -> Any:
    """Every tensor in an allocation of its own, so that a step outside is outside of all memory."""
    lies: dict[int, Any] = {}
    for layer in placed.layers:
        for holder, field in [*((layer.sources[at], "data") for at in range(3)), (layer, "residual"), (layer, "gate")]:
            if getattr(holder, field):
                setattr(holder, field, lies[getattr(holder, field)].ctypes.data)
        made = np.full(max(1, layer.out_floats + ROUND), np.nan, np.float32)
        lies[layer.out], layer.out = made, made.ctypes.data
        placed.__dict__.setdefault("kept", []).append(made)
    return placed


place = Program.place
Program.place = lambda self, *how: apart(place(self, *how))  # type: ignore[method-assign]


def main() -> None:
    """Runs them all."""
    rng, ran, refused = random.Random(0), 0, 0
    models = [make() for make in NETWORKS.values()]
    for number in range(CHANGED):
        model = list(NETWORKS.values())[number % len(NETWORKS)]()
        try:
            rng.choice(CHANGES)(model, rng)
        except REFUSALS:
            continue
        models.append(model)
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        path = Path(folder) / "a.onnx"
        for number, model in enumerate(models):
            path.write_bytes(model.SerializeToString())
            try:
                backend = NativeBackend(path, 1 + number % 2)
            except InputError:
                refused += 1
                continue
            for size_hw in SIZES:
                backend(rng_frames(size_hw))
            ran += 1
    for name in {"avx2": ("avxvnni", "avx2"), "baseline": ("baseline",)}[level]:
        if int8_kernels(name) is not None:
            run_int8_layers(name)
    for number in range(VIDEOS):
        smooth_video(np.random.default_rng(number))
    print(ran, refused)


def run_int8_layers(name: str) -> None:
    """Layers of every kind, whose maps end where what they may read ends."""
    engine, kinds = native.library(), [*FRONTS, "pointwise", "pool"]
    assert engine is not None
    for number in range(LAYERS):
        maker = LayerMaker(np.random.default_rng(number), engine.bcpnet_int8_lanes(int8_kernels(name)))
        how = ("bytes", "residual", "floats")[number // len(kinds) % 3]
        height, width, channels = any_layer(maker, kinds[number % len(kinds)], how).shape
        maker.run(name, (height, width, channels), ((height + 1) // 2, (width + 2) // 3))


def smooth_video(rng: np.random.Generator) -> None:
    """Frames of any size, with shifts that lead anywhere, and logits that may not be finite."""
    height, width, stride = rng.integers(32, 150), rng.integers(32, 150), rng.choice((2, 4, 8, 16, 32))
    shape = int(rng.integers(1, 40)), -(-height // stride), -(-width // stride)
    step = StepInC(chosen, Blocks((int(height), int(width)), shape))
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    for _ in range(4):
        logits = rng.normal(0, 5, shape).astype(np.float32)
        logits.flat[rng.integers(logits.size)] = rng.choice((np.nan, np.inf, -np.inf))
        step.arrays["shifts"][:] = rng.integers(-3000, 3000, step.arrays["shifts"].shape)
        step(frame.copy(), logits)
        frame = np.roll(frame, rng.integers(-9, 10, 2), (0, 1))


def rng_frames(size_hw: tuple[int, int]) -> Any:
    return np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8)


main()
