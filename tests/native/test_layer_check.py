"""The C boundary: a layer that would leave the memory it was given is refused, whatever number in it is wrong."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from small_networks import NETWORKS, write

from bcpnet import native
from bcpnet.backends.native import NativeBackend
from bcpnet.native.program import Placed
from bcpnet.native.structures import DONE, FRONT_EXPAND, FRONT_FRAME, GATE, POINTWISE, POOL, REFUSED, SCALE, SEPARABLE

pytestmark = pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")
SIZE_HW = (45, 71)


def placed_network(name: str, folder: Path) -> tuple[Placed, np.ndarray]:
    backend = NativeBackend(write(NETWORKS[name](), folder / "a.onnx"), 1)
    frame = np.zeros((*SIZE_HW, 3), np.uint8)
    placed = backend._program.place(SIZE_HW, 2)
    for layer in placed.layers:
        layer.frame, layer.frame_bytes = frame.ctypes.data, frame.nbytes
    placed.__dict__["backend"] = backend  # whose weights the layers point at
    return placed, frame


def run(placed: Placed) -> int:
    engine = native.library()
    assert engine is not None
    done: int = engine.bcpnet_run(native.kernels("baseline"), None, placed.layers, len(placed.layers))
    return done


def numbers_of(layer: ctypes.Structure) -> list[tuple[ctypes.Structure, str]]:
    """Whose fields this kind of layer uses: sizes, and numbers of floats behind pointers."""
    product, source = ("weights_floats", "bias_floats", "inputs", "outputs"), ("floats", "height", "width")
    used = [(layer, name) for name in ("out_height", "out_width", "out_floats", "tile_height", "tile_width")]
    reads_frame = layer.kind in (SEPARABLE, POINTWISE) and layer.front == FRONT_FRAME
    if reads_frame:
        used += [(layer, name) for name in ("frame_height", "frame_width", "frame_bytes")]
    else:
        used += [(layer.sources[at], name) for at in range(layer.n_sources) for name in source]
    if layer.kind in (SEPARABLE, GATE):
        used += [(layer, name) for name in ("height", "width")]
    if layer.kind == SEPARABLE:
        used += [(layer, name) for name in ("kernel", "stride", "depthwise_floats", "depthwise_bias_floats")]
    if layer.kind == GATE or (layer.kind == SEPARABLE and layer.front in (FRONT_EXPAND, FRONT_FRAME)):
        used += [(layer.expand, name) for name in product]
    if layer.kind not in (POOL, SCALE):
        used += [(layer.project, name) for name in product]
    if layer.kind != POINTWISE:
        used.append((layer, "channels"))
    if layer.residual:
        used.append((layer, "residual_floats"))
    if layer.kind == SCALE:
        used.append((layer, "gate_floats"))
    return used


@pytest.mark.parametrize("name", NETWORKS)
def test_every_number_counts(name: str, tmp_path: Path) -> None:
    placed, _ = placed_network(name, tmp_path)
    assert run(placed) == DONE
    tried = 0
    for layer in placed.layers:
        for structure, field in numbers_of(layer):
            right = getattr(structure, field)
            wrong = {0, -1, -(2**31), 2**30}
            if field.endswith(("floats", "bytes")):
                wrong = {0, -1, 1}
            elif "tile" in field:
                wrong = {0, -1, right * 1000}
            for number in wrong:
                setattr(structure, field, number)
                assert run(placed) == REFUSED, (field, right, number)
                tried += 1
            setattr(structure, field, right)
    assert tried > 100
    assert run(placed) == DONE


@pytest.mark.parametrize("name", NETWORKS)
def test_one_more_row_is_too_much(name: str, tmp_path: Path) -> None:
    placed, _ = placed_network(name, tmp_path)
    for layer in placed.layers:
        for field in ("out_height", "out_width"):
            right = getattr(layer, field)
            setattr(layer, field, right + 1)
            assert run(placed) == REFUSED
            setattr(layer, field, right)


@pytest.mark.parametrize("name", NETWORKS)
def test_kinds_and_pointers_too(name: str, tmp_path: Path) -> None:
    placed, _ = placed_network(name, tmp_path)
    for layer in placed.layers:
        changes = [(layer, "kind", 5), (layer, "kind", -1), (layer, "out", None)]
        if layer.kind in (SEPARABLE, POINTWISE, GATE):
            changes += [(layer.project, "weights", None), (layer.project, "bias", None)]
            changes.append((layer.project.activation, "kind", 4))
        if layer.kind == SEPARABLE:
            changes += [(layer, "front", 3), (layer, "depthwise", None), (layer, "n_sources", 4)]
        if layer.kind == SEPARABLE and layer.front == FRONT_FRAME:
            changes.remove((layer, "n_sources", 4))
        for structure, field, value in changes:
            right = getattr(structure, field)
            setattr(structure, field, value)
            assert run(placed) == REFUSED, field
            setattr(structure, field, right)


def test_a_library_of_other_structures_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    native.library.cache_clear()
    monkeypatch.setattr(native, "CLayer", type("Other", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int)]}))
    assert native.library() is None
    monkeypatch.undo()
    native.library.cache_clear()
    assert native.library() is not None
