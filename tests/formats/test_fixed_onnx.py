"""ONNX for frames of one size: only numbers as shapes, nothing computed from them, the same logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bcpnet.backends import open_backend
from bcpnet.data.streets import Streets
from bcpnet.errors import InputError
from bcpnet.weights import path_of

onnx = pytest.importorskip("onnx", reason="fixed sizes need onnx-ir, the tests onnx")

from small_networks import NETWORKS, write  # noqa: E402

from bcpnet.formats.agreement import require_agreement  # noqa: E402
from bcpnet.formats.fixed_onnx import write_fixed_onnx  # noqa: E402

OF_SIZES = {"Shape", "Div", "Squeeze", "Unsqueeze", "Gather", "Reshape", "Concat"}
SIZES = [(64, 96), (45, 63)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("name", ["camvid", "camvid-int8"])
def test_every_shape_is_a_number(name: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    out = tmp_path / "fixed.onnx"
    assert write_fixed_onnx(path_of(name, ".onnx"), size_hw, out) > 0.999
    onnx.checker.check_model(out, full_check=True)
    graph = onnx.load(out).graph
    assert not OF_SIZES & {node.op_type for node in graph.node}
    values = [*graph.input, *graph.value_info, *graph.output]
    known = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    assert {output for node in graph.node for output in node.output} <= set(known)
    assert min(side for shape in known.values() for side in shape) > 0
    assert known["frames"] == [1, *size_hw, 3]
    assert known["logits"] == [1, 11, *(-(-side // 4) for side in size_hw)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("network", NETWORKS)
def test_logits_are_those_of_the_source(network: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    source = write(NETWORKS[network](), tmp_path / "source.onnx")
    out = tmp_path / "fixed.onnx"
    write_fixed_onnx(source, size_hw, out)
    frames = np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8)
    np.testing.assert_allclose(open_backend(out)(frames), open_backend(source)(frames), atol=1e-5)


def test_what_cuts_nothing_off_is_left_out(tmp_path: Path) -> None:
    """At multiples of 128 every doubled map has the size that it is cut to."""
    for size_hw, has_slices in (((128, 256), False), ((128, 250), True)):
        out = tmp_path / "fixed.onnx"
        write_fixed_onnx(path_of("camvid", ".onnx"), size_hw, out)
        assert ("Slice" in {node.op_type for node in onnx.load(out).graph.node}) is has_slices


def test_the_metadata_stays(tmp_path: Path) -> None:
    out = tmp_path / "fixed.onnx"
    write_fixed_onnx(path_of("camvid", ".onnx"), (64, 96), out)
    assert open_backend(out).metadata == open_backend("camvid").metadata
    assert "64 x 96" in onnx.load(out).graph.input[0].doc_string


def test_one_size_is_not_made_another(tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    write_fixed_onnx(path_of("camvid", ".onnx"), (64, 96), once)
    with pytest.raises(InputError, match="one size already"):
        write_fixed_onnx(once, (96, 64), twice)
    assert not twice.exists()


def test_agreement_is_a_share_of_pixels(tmp_path: Path) -> None:
    """Of logits at the frame's own size: class 0 above, class 1 below a line."""
    size_hw = (40, 60)

    def split_at(row: int) -> np.ndarray:
        upper = np.zeros(size_hw, np.float32)
        upper[:row] = 1
        return np.stack([upper, 1 - upper])

    out = tmp_path / "file"
    assert require_agreement(lambda _: split_at(20), lambda _: split_at(20), size_hw, 1, out) == 1
    assert require_agreement(lambda _: split_at(20), lambda _: split_at(22), size_hw, 0.9, out) == pytest.approx(0.95)
    with pytest.raises(InputError, match=r"file: not kept: the class of 95\.00% of the pixels"):
        require_agreement(lambda _: split_at(20), lambda _: split_at(22), size_hw, 0.96, out)


def test_the_check_looks_at_streets(tmp_path: Path) -> None:
    seen = []

    def watch(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return np.zeros((2, 8, 12), np.float32)

    require_agreement(watch, watch, (64, 96), 1, tmp_path / "file")
    assert len(seen) == 6
    np.testing.assert_array_equal(seen[0], Streets("val", (64, 96))[0].image)
