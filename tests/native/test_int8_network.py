"""Quantised networks in the C engine: what ONNX Runtime computes for each layer, and the same class map."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

import bcpnet.backends.native as backend_module
from bcpnet import native
from bcpnet.backends import open_backend
from bcpnet.backends.native import NativeBackend
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.data.streets import Streets
from bcpnet.errors import UsageError
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.native.fusion import Step
from bcpnet.native.int8 import LEVELS as ALL_LEVELS
from bcpnet.native.int8 import int8_kernels
from bcpnet.native.int8.program import Int8Program, PlacedInt8
from bcpnet.native.placing import last_uses
from bcpnet.weights import path_of

onnx = pytest.importorskip("onnx", reason="graphs are taken apart with the package onnx")

from onnx import TensorProto, helper  # noqa: E402

pytestmark = pytest.mark.skipif(int8_kernels() is None, reason="the C library was not compiled here (no C compiler)")
LEVELS = [level for level in ALL_LEVELS if int8_kernels(level) is not None]
SIZES = ((32, 32), (75, 101), (192, 256))


class Parts:
    """The network's graph, cut at the bytes between steps."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self._made = {output: node for node in self.model.graph.node for output in node.output}
        self._named = {node.name: node for node in self.model.graph.node}
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def bytes_of(self, step: Step) -> str:
        """The name of what the step writes."""
        (written,) = self._named[step.node].output
        for node in self.model.graph.node:
            if node.op_type == "QuantizeLinear" and node.input[0] == written:
                return str(node.output[0])
        return str(written)

    def run(self, output: str, inputs: dict[str, npt.NDArray[np.uint8]]) -> npt.NDArray[Any]:
        """What ONNX Runtime makes of the values `inputs`, "frames" among them."""
        wanted, kept, seen = [output], set(), set(inputs) | set(self._constants) | {""}
        while wanted:
            name = wanted.pop()
            if name not in seen:
                seen.add(name)
                kept.add(self._made[name].name)
                wanted += self._made[name].input
        nodes = [node for node in self.model.graph.node if node.name in kept]
        read = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "part",
            [
                helper.make_tensor_value_info(name, TensorProto.UINT8, [f"{name}{axis}" for axis in range(4)])
                for name in inputs
                if name in read
            ],
            [
                helper.make_tensor_value_info(
                    output, TensorProto.FLOAT if output == "logits" else TensorProto.UINT8, None
                )
            ],
            [tensor for name, tensor in self._constants.items() if name in read],
        )
        part = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
        made: npt.NDArray[Any] = session.run(None, {name: inputs[name] for name in inputs if name in read})[0]
        return made


def opened(level: str, monkeypatch: pytest.MonkeyPatch, threads: int = 1) -> NativeBackend:
    monkeypatch.setattr(backend_module, "int8_kernels", lambda: int8_kernels(level))
    return NativeBackend(path_of("camvid-int8", ".onnx"), threads)


def street(height: int, width: int) -> npt.NDArray[np.uint8]:
    return Streets("train", (height, width))[1].image


def maps_of(backend: NativeBackend, frame: npt.NDArray[np.uint8]) -> tuple[list[Step], list[npt.NDArray[np.uint8]]]:
    """The steps, and what each but the last writes: 1 x C x h x w."""
    program = backend._program
    assert isinstance(program, Int8Program)
    steps = program._steps
    program._last_use = [len(steps)] * len(steps)  # no map's memory is used again
    backend(frame[None])
    program._last_use = last_uses(steps)
    placed = backend._placed((frame.shape[0], frame.shape[1]))
    assert isinstance(placed, PlacedInt8)
    maps = []
    for layer, step in zip(placed.layers[:-1], steps, strict=False):
        memory = (ctypes.c_uint8 * layer.out_bytes).from_address(layer.out)
        pixels = np.frombuffer(memory, np.uint8).reshape(layer.out_height, layer.out_width, -1)
        maps.append(pixels[None, :, :, : step.channels].transpose(0, 3, 1, 2).copy())
    return steps, maps


@pytest.mark.parametrize("level", LEVELS)
def test_each_layer_writes_what_onnxruntime_writes(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same bytes: at most one unit apart, and nearly nowhere."""
    parts, frame = Parts(path_of("camvid-int8", ".onnx")), street(75, 101)
    steps, maps = maps_of(opened(level, monkeypatch), frame)
    compared = 0
    for step, made in zip(steps[:-1], maps, strict=True):
        read = {source.step for source in step.sources} | {step.residual}
        inputs = {parts.bytes_of(steps[number]): maps[number] for number in read if number is not None}
        expected = parts.run(parts.bytes_of(step), {**inputs, "frames": frame[None]})
        apart = np.abs(expected.astype(np.int64) - made)
        assert apart.max() <= 1, step.node
        assert (apart > 0).mean() <= 1e-3, step.node
        compared += 1
    assert compared > 30


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("level", LEVELS)
def test_class_maps_are_those_of_onnxruntime(level: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = opened(level, monkeypatch, threads)
    reference = OnnxRuntimeBackend(path_of("camvid-int8", ".onnx"), 1)
    same = []
    for size_hw in SIZES:
        frames = np.stack([street(*size_hw), np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)])
        logits, expected = backend(frames), reference(frames)
        assert (logits.dtype, logits.shape) == (np.float32, expected.shape)
        for ours, theirs in zip(logits, expected, strict=True):
            same.append((upsample_argmax(ours, size_hw) == upsample_argmax(theirs, size_hw)).ravel())
    assert np.concatenate(same).mean() >= 0.999


def test_what_lay_in_memory_does_not_matter() -> None:
    backend = NativeBackend(path_of("camvid-int8", ".onnx"), 1)
    frames = street(75, 101)[None]
    logits = backend(frames)
    backend._placed((75, 101))._memory[:] = 255
    np.testing.assert_array_equal(backend(frames), logits)


def test_it_is_the_default_and_counts_as_the_float_network() -> None:
    backend = open_backend("camvid-int8", threads=1)
    assert isinstance(backend, NativeBackend)
    assert backend.macs((97, 131)) == NativeBackend(path_of("camvid", ".onnx"), 1).macs((97, 131))


def test_a_file_of_ones_own_is_run_beside_onnxruntime_once(tmp_path: Path) -> None:
    """With another zero point in the last sum it would be refused, if the engine misread it."""
    model = onnx.load(path_of("camvid-int8", ".onnx"))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("logits.2.integers"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + 7, tensor.name))
    onnx.save(model, tmp_path / "mine.onnx")
    assert open_backend(tmp_path / "mine.onnx", threads=1).name == "native"


def test_without_the_library_onnxruntime_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "int8_kernels", lambda: None)
    assert open_backend("camvid-int8", threads=1).name == "onnxruntime"
    with pytest.raises(UsageError, match=r"not compiled: install a C compiler"):
        open_backend("camvid-int8", "native")


def test_libraries_of_other_structures_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    other = type("Other", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int)]})
    monkeypatch.setattr("bcpnet.native.int8.CInt8Layer", other)
    int8_kernels.cache_clear()
    assert int8_kernels() is None
    monkeypatch.undo()
    int8_kernels.cache_clear()
    assert int8_kernels() is not None
    assert native.library() is not None
