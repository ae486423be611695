"""The C boundary of 8-bit layers: one that would leave the memory it was given is refused, whatever number is wrong."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from int8_layers import FRONTS, LayerMaker, any_layer

from bcpnet import native
from bcpnet.native.int8 import int8_kernels
from bcpnet.native.int8.structures import FRONT_COPY, FRONT_EXPAND, FRONT_FRAME, FRONT_SUM, POINTWISE, POOL, SEPARABLE
from bcpnet.native.structures import DONE, REFUSED

pytestmark = pytest.mark.skipif(int8_kernels() is None, reason="the C library was not compiled here (no C compiler)")
LEVEL = "baseline"


def made(kind: str, how: str = "bytes") -> LayerMaker:
    engine = native.library()
    assert engine is not None
    maker = LayerMaker(np.random.default_rng(3), engine.bcpnet_int8_lanes(int8_kernels(LEVEL)))
    height, width, channels = any_layer(maker, kind, how).shape
    maker.run(LEVEL, (height, width, channels), ((height + 1) // 2, (width + 1) // 2))
    return maker


def run(maker: LayerMaker) -> int:
    engine = native.library()
    assert engine is not None
    done: int = engine.bcpnet_int8_run(int8_kernels(LEVEL), None, ctypes.byref(maker.layer), 1)
    return done


def numbers_of(layer: ctypes.Structure) -> list[tuple[ctypes.Structure, str]]:
    """Whose fields this kind of layer uses: sizes, and numbers of bytes behind pointers."""
    used = [(layer, name) for name in ("out_height", "out_width", "out_bytes", "tile_height", "tile_width")]
    if layer.kind == SEPARABLE and layer.front == FRONT_FRAME:
        used += [(layer, name) for name in ("frame_height", "frame_width", "frame_bytes")]
    else:
        used += [(layer.sources[at], name) for at in range(layer.n_sources) for name in ("height", "width", "bytes")]
    products = [] if layer.kind == POOL else [layer.project]
    if layer.kind == SEPARABLE:
        used += [(layer, name) for name in ("height", "width", "channels", "stride", "depthwise_bytes")]
        used.append((layer.depthwise_requantising, "room"))
        if layer.front in (FRONT_EXPAND, FRONT_FRAME):
            products.append(layer.expand)
    if layer.kind == POOL or (layer.kind == SEPARABLE and layer.front in (FRONT_SUM, FRONT_COPY)):
        used.append((layer, "pitch"))
    for product in products:
        used += [(product, name) for name in ("weights_bytes", "inputs", "outputs")]
        used.append((product.requantising, "room"))
    if layer.residual:
        used.append((layer, "residual_bytes"))
    return used


@pytest.mark.parametrize("how", ["bytes", "residual", "floats"])
@pytest.mark.parametrize("kind", [*FRONTS, "pointwise", "pool"])
def test_every_number_counts(kind: str, how: str) -> None:
    maker = made(kind, how)
    assert run(maker) == DONE
    for structure, name in numbers_of(maker.layer):
        right = getattr(structure, name)
        wrong = {0, -1, -(2**31), 2**30}
        if name.endswith(("bytes", "room")):
            wrong = {0, -1, 1}
        elif "tile" in name:
            wrong = {0, -1, right * 1000}
        for number in wrong:
            setattr(structure, name, number)
            assert run(maker) == REFUSED, (name, right, number)
        setattr(structure, name, right)
    for name in ("out_height", "out_width"):
        right = getattr(maker.layer, name)
        setattr(maker.layer, name, right + 1)
        assert run(maker) == REFUSED
        setattr(maker.layer, name, right)
    assert run(maker) == DONE


@pytest.mark.parametrize("kind", [*FRONTS, "pointwise", "pool"])
def test_kinds_and_pointers_too(kind: str) -> None:
    maker = made(kind)
    layer = maker.layer
    changes = [(layer, "kind", 3), (layer, "kind", -1), (layer, "out", None)]
    if layer.kind != POOL:
        changes += [(layer.project, "weights", None), (layer.project.requantising, "start", None)]
        changes += [(layer.project.requantising, "scale", None), (layer.project.requantising, "float_start", 1)]
        changes += [(layer.project.requantising, "zero_point", wrong) for wrong in (-1, 256)]
    if layer.kind == SEPARABLE:
        changes += [(layer, "front", 4), (layer, "depthwise", None), (layer.depthwise_requantising, "scale", None)]
        changes += [(layer, "front_zero", 256), (layer, "front_zero", -1)]
        if layer.front == FRONT_FRAME:
            changes += [(layer, "frame", None), (layer, "frame_zero", 256)]
        else:
            changes += [(layer, "n_sources", 4), (layer.sources[0], "data", None), (layer.sources[0], "sampling", 3)]
    if layer.kind == POINTWISE:
        changes.append((layer.sources[0], "sampling", 1))
    for structure, name, value in changes:
        right = getattr(structure, name)
        setattr(structure, name, value)
        assert run(maker) == REFUSED, name
        setattr(structure, name, right)
    assert run(maker) == DONE
