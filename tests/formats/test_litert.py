"""LiteRT files: the logits of ONNX Runtime in LiteRT's own interpreter, integers that stay integers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bcpnet.data.streets import Streets
from bcpnet.errors import InputError
from bcpnet.metadata import KEY, Metadata
from bcpnet.weights import path_of

onnx = pytest.importorskip("onnx", reason="the tests' networks are made with onnx")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT files need ai-edge-litert")
tflite = pytest.importorskip("tflite", reason="files are read with the package tflite")

from small_networks import CLASSES, METADATA, NETWORKS, SmallNetwork, write  # noqa: E402

from bcpnet.formats import litert  # noqa: E402
from bcpnet.formats.agreement import onnx_runtime  # noqa: E402
from bcpnet.formats.litert import litert_runtime, write_litert  # noqa: E402
from bcpnet.onnx.quantise import quantise_onnx  # noqa: E402

SIZES = [(64, 96), (45, 63)]
OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}


def read(path: Path) -> tflite.Model:
    assert path.read_bytes()[4:8] == b"TFL3"
    return tflite.Model.GetRootAs(path.read_bytes())


def operators(path: Path) -> Counter[tuple[str, str]]:
    """How many there are of each kind and type of output."""
    model = read(path)
    graph = model.Subgraphs(0)
    types = {tflite.TensorType.FLOAT32: "float32", tflite.TensorType.INT8: "int8"}
    found: Counter[tuple[str, str]] = Counter()
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        found[OPERATORS[code], types[graph.Tensors(operator.Outputs(0)).Type()]] += 1
    return found


def frames(size_hw: tuple[int, int], count: int) -> list[np.ndarray]:
    streets = Streets("train", size_hw)
    return [streets[index].image for index in range(count)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("network", NETWORKS)
def test_logits_are_those_of_onnx_runtime(network: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    source, out = write(NETWORKS[network](), tmp_path / "source.onnx"), tmp_path / "network.tflite"
    assert write_litert(source, size_hw, out) > 0.999
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    expected = onnx_runtime(source)(frame)
    np.testing.assert_allclose(litert_runtime(out)(frame), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("network", NETWORKS)
def test_integers_are_near_those_of_onnx_runtime(network: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    """Each runtime rounds a value that lies between two integers to one of them; that is all they differ by."""
    exact, source, out = (tmp_path / name for name in ("exact.onnx", "source.onnx", "network.tflite"))
    quantise_onnx(write(NETWORKS[network](), exact), frames(size_hw, 2), source, "2 streets")
    assert write_litert(source, size_hw, out) > 0.98
    frame = frames(size_hw, 3)[2]
    expected, found = onnx_runtime(source)(frame), litert_runtime(out)(frame)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.02 * expected.std()


def test_the_shipped_weights_in_integers(tmp_path: Path) -> None:
    out = tmp_path / "int8.tflite"
    assert write_litert(path_of("camvid-int8", ".onnx"), (64, 96), out) > 0.98
    found = operators(out)
    convolutions = Counter(
        {kind: sum(found[name, kind] for name in ("CONV_2D", "DEPTHWISE_CONV_2D")) for _, kind in found}
    )
    assert convolutions == {"int8": 83, "float32": 1}  # the logits
    assert found["MAX_POOL_2D", "int8"] == 6
    assert found["RESIZE_NEAREST_NEIGHBOR", "int8"] == 9
    assert out.stat().st_size < 0.5 * path_of("camvid", ".onnx").stat().st_size


def test_what_the_file_says(tmp_path: Path) -> None:
    out = tmp_path / "network.tflite"
    write_litert(write(NETWORKS["separable"](), tmp_path / "source.onnx"), (64, 96), out)
    (name, signature), *others = interpreter.Interpreter(str(out)).get_signature_list().items()
    assert (name, signature, others) == ("serving_default", {"inputs": ["frames"], "outputs": ["logits"]}, [])
    runner = interpreter.Interpreter(str(out)).get_signature_runner()
    takes, gives = runner.get_input_details()["frames"], runner.get_output_details()["logits"]
    assert (takes["shape"].tolist(), takes["dtype"]) == ([1, 64, 96, 3], np.uint8)
    assert (gives["shape"].tolist(), gives["dtype"]) == ([1, 16, 24, len(CLASSES)], np.float32)
    model = read(out)
    (entry,) = [model.Metadata(index) for index in range(model.MetadataLength())]
    assert entry.Name() == KEY.encode()
    assert Metadata.from_json(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode(), "it") == METADATA


def test_constants_lie_at_multiples_of_16_bytes(tmp_path: Path) -> None:
    out = tmp_path / "network.tflite"
    write_litert(write(NETWORKS["pyramid"](), tmp_path / "source.onnx"), (64, 96), out)
    model = read(out)
    file_start = np.frombuffer(model._tab.Bytes, np.uint8).ctypes.data
    constants = [model.Buffers(index).DataAsNumpy() for index in range(1, model.BuffersLength())]
    assert len(constants) > 20
    assert {(array.ctypes.data - file_start) % 16 for array in constants} == {0}


def test_a_file_that_disagrees_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(NETWORKS["separable"](), tmp_path / "source.onnx")
    right = litert.litert_runtime

    def wrong(path: Path) -> object:
        run = right(path)
        return lambda frame: np.roll(run(frame), 1, axis=0)

    monkeypatch.setattr(litert, "litert_runtime", wrong)
    with pytest.raises(InputError, match=r"network\.tflite: not kept"):
        write_litert(source, (64, 96), tmp_path / "out" / "network.tflite")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("node", ["Tanh", "groups", "AveragePool", "cubic"])
def test_other_nodes_are_refused_by_name(node: str, tmp_path: Path) -> None:
    net = SmallNetwork()
    value = net.first(4)
    if node == "groups":
        value = net.conv(value, 4, 2, 1, 1, group=2)
    elif node == "AveragePool":
        value = net.node("AveragePool", [value], kernel_shape=[3, 3], pads=[1] * 4)
    elif node == "cubic":
        value = net.node("Resize", [value, "", net.constant([1, 1, 2, 2])], mode="cubic")
    else:
        value = net.node(node, [value])
    source = write(net.model(net.pointwise(value, 4, len(CLASSES))), tmp_path / "source.onnx")
    name = {"groups": "is a convolution in groups", "cubic": "its node Resize"}.get(node, f"its node {node}")
    with pytest.raises(InputError, match=rf"network\.tflite: not written: .*{name}"):
        write_litert(source, (64, 96), tmp_path / "network.tflite")
    assert not (tmp_path / "network.tflite").exists()
