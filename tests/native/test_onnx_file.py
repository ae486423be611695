"""The small reader of ONNX files, against the package `onnx`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.errors import InputError
from bcpnet.native.expressions import UnsupportedError
from bcpnet.native.fusion import fuse
from bcpnet.native.onnx_file import read_onnx
from bcpnet.weights import path_of, shipped

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("name", shipped())
def test_reads_what_onnx_reads(name: str) -> None:
    path = path_of(name, ".onnx")
    graph, model = read_onnx(path), onnx.load(path)
    assert graph.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert graph.inputs == ("frames",)
    assert graph.outputs == ("logits",)
    assert len(graph.nodes) == len(model.graph.node)
    for node, expected in zip(graph.nodes, model.graph.node, strict=True):
        assert (node.name, node.operator) == (expected.name, expected.op_type)
        assert node.inputs == tuple(expected.input)
        assert node.outputs == tuple(expected.output)
        for attribute in expected.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if value != b"":  # an empty text is not written, like the number 0
                assert node.attributes[attribute.name] == (value.decode() if isinstance(value, bytes) else value)
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
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [], [tensor]))
    onnx.save(model, tmp_path / "constants.onnx")
    np.testing.assert_array_equal(read_onnx(tmp_path / "constants.onnx").constants["values"], values.astype(dtype))


def fuse_or_refuse(path: Path) -> None:
    graph = read_onnx(path)
    with suppress(UnsupportedError):
        fuse(graph)


@given(data=st.data())
def test_damage_is_an_input_error_or_harmless(data: st.DataObject, onnx_path: Path) -> None:
    content = bytearray(onnx_path.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, min(len(content), 2000) - 1))] = data.draw(st.integers(0, 255))
    damaged = onnx_path.with_suffix(".damaged")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(InputError):
        fuse_or_refuse(damaged)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        read_onnx(tmp_path / "none.onnx")
