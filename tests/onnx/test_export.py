"""Export: one ONNX file with all that is needed, kept only if it computes what the network does."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_networks import random_frames, randomised
from torch import Tensor, nn

from bcpnet.errors import InputError
from bcpnet.labels import CAMVID
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.frames import normalise
from bcpnet.networks.layers import conv_bn
from bcpnet.onnx import export
from bcpnet.onnx.export import export_checkpoint, export_onnx
from bcpnet.weights import path_of, shipped

METADATA = Metadata("bcpnet", {"encoder": "none"}, CAMVID, 360, "made by a test", "none")


class Small(nn.Module):
    """Stride 8 like the real ones, and quick to export."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 8, 3, 4, act=nn.Hardswish), conv_bn(8, 8, 3, 2))
        self.head = nn.Conv2d(8, len(CAMVID), 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x))
        return y


def _small() -> nn.Module:
    return randomised(Small())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    network = _small().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert export_onnx(network, METADATA, path) < 1e-5
    # The network is left as it was.
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    return path


def test_the_file_is_valid_and_whole(exported: Path) -> None:
    onnx.checker.check_model(exported, full_check=True)
    assert [file.name for file in exported.parent.iterdir()] == ["network.onnx"]  # no weights beside it
    model = onnx.load(exported)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    operators = {node.op_type for node in model.graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    assert "Mul" not in [node.op_type for node in model.graph.node][:4]  # the scale is in the first convolution


def _axes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", ["exported", *shipped()])
def test_names_are_for_people(name: str, exported: Path) -> None:
    graph = onnx.load(exported if name == "exported" else path_of(name, ".onnx")).graph
    (frames,), (logits,) = graph.input, graph.output
    assert (frames.name, _axes(frames)) == ("frames", ["batch", "height", "width", 3])
    assert (logits.name, _axes(logits)) == ("logits", ["batch", len(CAMVID), "logits_height", "logits_width"])
    assert f"{METADATA.short_side if name == 'exported' else 540} pixels" in frames.doc_string
    named = {axis for value in graph.value_info for axis in _axes(value) if isinstance(axis, str)}
    assert all(re.fullmatch(r"batch|(height|width)(_stride_\d+)?|size_\d+", axis) for axis in named)


@pytest.mark.parametrize("name", ["exported", *shipped()])
def test_onnx_runtime_loads_it_without_a_word(name: str, exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = exported if name == "exported" else path_of(name, ".onnx")
    onnx.checker.check_model(path, full_check=True)
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert capfd.readouterr() == ("", "")


def test_onnx_runtime_sums_inside_convolutions(tmp_path: Path) -> None:
    """The shortcuts of all ten blocks, for which it must know that both terms have one shape."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path_of("camvid", ".onnx"), options, providers=["CPUExecutionProvider"])
    nodes = [
        node for node in onnx.load(tmp_path / "optimised.onnx").graph.node if node.op_type in ("Conv", "FusedConv")
    ]
    if any(node.domain for node in nodes):  # fused, as on x86
        assert sum(len(node.input) == 4 for node in nodes) == 10


def test_metadata_lies_inside(exported: Path) -> None:
    entries = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert Metadata.from_json(entries[KEY], "it") == METADATA


def test_the_file_tells_nothing_of_the_machine_that_wrote_it(exported: Path) -> None:
    content = exported.read_bytes()
    for place in (Path(export.__file__).parent, Path(torch.__file__).parent, Path(__file__).parent):
        assert str(place).encode() not in content


def test_batch_and_size_are_free(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["frames"]
    assert [value.name for value in session.get_outputs()] == ["logits"]
    network = _small()
    for shape in ((1, 32, 32, 3), (1, 33, 47, 3), (5, 64, 200, 3), (1, 200, 64, 3)):
        frames = random_frames(*shape)
        with torch.inference_mode():
            expected = network(normalise(frames.permute(0, 3, 1, 2))).numpy()
        (logits,) = session.run(None, {"frames": frames.numpy()})
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def _wrong(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        network.head.bias += 0.5
    return network


def _a_little_off(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        network.head.weight *= 1.0005
        network.head.bias *= 1.0005
    return network


def _not_a_number(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        network.head.bias[0] = torch.nan
    return network


@pytest.mark.parametrize(
    ("break_", "older"), [(_wrong, None), (_wrong, b"older"), (_a_little_off, None), (_not_a_number, None)]
)
def test_a_file_that_disagrees_is_not_kept(
    break_: Callable[[nn.Module], nn.Module], older: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network.onnx"
    if older is not None:
        path.write_bytes(older)
    fold = export.fold
    monkeypatch.setattr(export, "fold", lambda network: break_(fold(network)))
    with pytest.raises(InputError, match=r"network\.onnx: not kept: ONNX Runtime's logits differ"):
        export_onnx(_small(), METADATA, path)
    assert (path.read_bytes() if path.exists() else None) == older
    assert [file.name for file in tmp_path.iterdir()] == ([] if older is None else ["network.onnx"])


@pytest.mark.parametrize(
    ("difference", "rounding", "kept"), [(9e-5, 0.0, True), (2e-4, 0.0, False), (9e-4, 1e-4, True), (2e-3, 1e-4, False)]
)
def test_rounding_is_no_disagreement(
    difference: float, rounding: float, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that amplifies rounding does so in ONNX Runtime as in PyTorch."""
    monkeypatch.setattr(export, "_write", lambda _network, _metadata, path: path.write_bytes(b"file"))
    monkeypatch.setattr(export, "_parity", lambda *_: (difference, rounding))
    with nullcontext() if kept else pytest.raises(InputError, match="not kept"):
        assert export_onnx(_small(), METADATA, tmp_path / "network.onnx") == difference
    assert (tmp_path / "network.onnx").exists() == kept


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"network\.onnx: cannot write: "):
        export_onnx(_small(), METADATA, tmp_path / "file" / "network.onnx")


def test_a_bad_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors: no such file"):
        export_checkpoint(tmp_path / "none.safetensors", tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []
