"""The small reader of ONNX files, against the package `onnx`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.errors import InputError
from bcpnet.native.fusion import fuse
from bcpnet.native.onnx_file import Port, read_onnx
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.weights import path_of, shipped

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("name", shipped())
def test_reads_what_onnx_reads(name: str) -> None:
    path = path_of(name, ".onnx")
    graph, model = read_onnx(path), onnx.load(path)
    assert graph.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert graph.inputs == (Port("frames", 2, ("batch", "height", "width", 3)),)
    assert graph.outputs == (Port("logits", 1, ("batch", 11, "logits_height", "logits_width")),)
    assert len(graph.nodes) == len(model.graph.node)
    for node, expected in zip(graph.nodes, model.graph.node, strict=True):
        assert (node.name, node.operator) == (expected.name, expected.op_type)
        assert node.inputs == tuple(expected.input)
        assert node.outputs == tuple(expected.output)
        for attribute in expected.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            value = value.decode() if isinstance(value, bytes) else tuple(value) if isinstance(value, list) else value
            assert node.attributes[attribute.name] == value
            assert type(node.attributes[attribute.name]) is type(value)
    assert len(graph.constants) == len(model.graph.initializer)
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(graph.constants[tensor.name], onnx.numpy_helper.to_array(tensor))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", ["FLOAT", "INT64", "INT32", "UINT8", "INT8"])
def test_constants_of_every_storage(kind: str, raw: bool, tmp_path: Path) -> None:
    values = np.array([[1, 2, 3], [100, 0, 5]]) - (kind not in ("UINT8",)) * 7
    data_type = getattr(onnx.TensorProto, kind)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(data_type)
    content = values.astype(dtype).tobytes() if raw else values.reshape(-1).astype(dtype)
    tensor = onnx.helper.make_tensor("values", data_type, values.shape, content, raw=raw)
    opset = [onnx.helper.make_opsetid("", 18)]
    graph = onnx.helper.make_graph([], "empty", [], [], [tensor])
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.save(model, tmp_path / "constants.onnx")
    np.testing.assert_array_equal(read_onnx(tmp_path / "constants.onnx").constants["values"], values.astype(dtype))


def fuse_or_refuse(path: Path) -> None:
    with suppress(UnsupportedError):
        fuse(read_onnx(path))


@given(data=st.data())
def test_damage_is_an_input_error_or_harmless(data: st.DataObject, onnx_path: Path) -> None:
    content = bytearray(onnx_path.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, min(len(content), 2000) - 1))] = data.draw(st.integers(0, 255))
    damaged = onnx_path.with_suffix(".damaged")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(InputError):
        fuse_or_refuse(damaged)


@pytest.mark.parametrize(
    "content", [b"\xff" * 2_000_000, b"\x3a" + b"\xff" * 9 + b"\x01", b"\x3a\x80\x80\x80\x80\x08", b"\x0b", b"\x00"]
)
def test_what_is_no_protocol_buffer(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: not an ONNX file, or a damaged one \([a-z]"):
        read_onnx(tmp_path / "a.onnx")


def _empty_model() -> Any:
    opset = [onnx.helper.make_opsetid("", 18)]
    return onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), opset_imports=opset, ir_version=10)


UNUSUAL: dict[str, Callable[[Any], object]] = {
    "another opset": lambda m: setattr(m.opset_import[0], "version", 17),
    "two opsets": lambda m: m.opset_import.append(onnx.helper.make_opsetid("x", 1)),
    "no opset": lambda m: m.ClearField("opset_import"),
    "another format": lambda m: setattr(m, "ir_version", 3),
    "a function": lambda m: m.functions.append(onnx.helper.make_function("", "Relu", ["a"], ["b"], [], [])),
    "a sparse constant": lambda m: m.graph.sparse_initializer.add(dims=[1]),
    "another domain": lambda m: m.graph.node.add(op_type="Relu", domain="x"),
    "an overload": lambda m: m.graph.node.add(op_type="Relu", overload="x"),
    "an attribute twice": lambda m: m.graph.node.add(attribute=[onnx.helper.make_attribute("a", 1)] * 2),
    "metadata twice": lambda m: [m.metadata_props.add(key="a", value=value) for value in "bc"],
    "a constant twice": lambda m: [m.graph.initializer.add(name="a", data_type=1, dims=[0]) for _ in range(2)],
    "a constant elsewhere": lambda m: m.graph.initializer.add(name="a", data_type=1, data_location=1),
    "a negative size": lambda m: m.graph.initializer.add(name="a", data_type=1, dims=[-(2**63), 2**62]),
    "too few numbers": lambda m: m.graph.initializer.add(name="a", data_type=1, dims=[2**40], float_data=[1]),
    "too many sizes": lambda m: m.graph.initializer.add(name="a", data_type=1, dims=[1] * 9, float_data=[1]),
    "a cut number": lambda m: m.graph.initializer.add(name="a", data_type=1, dims=[0], raw_data=b"1"),
    "numbers in the wrong place": lambda m: m.graph.initializer.add(name="a", data_type=6, dims=[1], int64_data=[1]),
    "a number out of range": lambda m: m.graph.initializer.add(name="a", data_type=2, dims=[1], int32_data=[256]),
    "half floats as integers": lambda m: m.graph.initializer.add(name="a", data_type=10, dims=[1], int32_data=[1]),
    "texts": lambda m: m.graph.initializer.add(name="a", data_type=8, dims=[1], string_data=[b"a"]),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_may_be_whole_and_is_not_known_is_left_to_another_backend(what: str, tmp_path: Path) -> None:
    model = _empty_model()
    read_onnx(_saved(model, tmp_path))
    UNUSUAL[what](model)
    with pytest.raises(UnsupportedError):
        read_onnx(_saved(model, tmp_path))


def _saved(model: Any, folder: Path) -> Path:
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    return folder / "a.onnx"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        read_onnx(tmp_path / "none.onnx")
