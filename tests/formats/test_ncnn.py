"""NCNN files: the logits of ONNX Runtime in NCNN; both files or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bcpnet.errors import InputError
from bcpnet.weights import path_of

onnx = pytest.importorskip("onnx", reason="the tests' networks are made with onnx")
for package in ("ncnn", "pnnx"):
    pytest.importorskip(package, reason="NCNN files need the packages ncnn and pnnx")

from small_networks import CLASSES, NETWORKS, SmallNetwork, write  # noqa: E402

from bcpnet.formats import ncnn  # noqa: E402
from bcpnet.formats.agreement import onnx_runtime  # noqa: E402
from bcpnet.formats.ncnn import ncnn_runtime, write_ncnn  # noqa: E402


@pytest.mark.parametrize("size_hw", [(64, 96), (45, 63)])
@pytest.mark.parametrize("network", NETWORKS)
def test_logits_are_those_of_onnx_runtime(network: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    source, out = write(NETWORKS[network](), tmp_path / "source.onnx"), tmp_path / "network.param"
    assert write_ncnn(source, size_hw, out) > 0.999
    assert {path.name for path in tmp_path.iterdir()} == {"source.onnx", "network.param", "network.bin"}
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    expected = onnx_runtime(source)(frame)
    found = ncnn_runtime(out, out.with_suffix(".bin"))(frame)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_files_that_disagree_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(NETWORKS["separable"](), tmp_path / "source.onnx")
    right = ncnn.ncnn_runtime

    def wrong(graph: Path, weights: Path) -> object:
        run = right(graph, weights)
        return lambda frame: np.roll(run(frame), 1, axis=0)

    monkeypatch.setattr(ncnn, "ncnn_runtime", wrong)
    with pytest.raises(InputError, match=r"network\.param: not kept"):
        write_ncnn(source, (64, 96), tmp_path / "out" / "network.param")
    assert list((tmp_path / "out").iterdir()) == []


def test_integers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="8-bit integers"):
        write_ncnn(path_of("camvid-int8", ".onnx"), (64, 96), tmp_path / "network.param")
    assert list(tmp_path.iterdir()) == []


def test_what_ncnn_has_not_is_refused(tmp_path: Path) -> None:
    """pnnx writes a layer of no such name in NCNN, which refuses the file."""
    net = SmallNetwork()
    value = net.node("IsNaN", [net.first(4)])
    value = net.node("Cast", [value], to=onnx.TensorProto.FLOAT)
    source = write(net.model(net.pointwise(value, 4, len(CLASSES))), tmp_path / "source.onnx")
    with pytest.raises(InputError):
        write_ncnn(source, (64, 96), tmp_path / "out" / "network.param")
    assert list((tmp_path / "out").iterdir()) == []
