"""The C engine computes what PyTorch does, at every CPU level, size and number of threads."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from random_networks import random_frames, random_network
from torch import nn

import bcpnet.backends.native as backend_module
from bcpnet import native
from bcpnet.backends import open_backend
from bcpnet.backends.native import NativeBackend
from bcpnet.errors import UsageError
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.native.fusion import fuse
from bcpnet.native.onnx_file import Node, read_onnx
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs
from bcpnet.onnx.export import export_onnx

compiled = pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")
LEVELS = [level for level in ("avx512", "avx2", "baseline") if native.kernels(level) is not None]
VARIANTS: dict[str, dict[str, object]] = {
    "v3": {},
    "v2": {"encoder": "mobilenet_v2_050_lean", "width": 24, "finest": 2, "finest_width": 12},  # no whole vectors
}
SIZES = ((32, 32), (33, 47), (64, 200), (129, 71))


class Exported(NamedTuple):
    """A network, its file, and what it says: frames, float64 logits and how far float32 PyTorch is from these."""

    network: nn.Module
    path: Path
    expected: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], float]]


@pytest.fixture(scope="module", params=VARIANTS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    network = random_network("bcpnet", len(CAMVID), **VARIANTS[request.param])
    path = tmp_path_factory.mktemp("native") / "network.onnx"
    export_onnx(network, Metadata("bcpnet", {}, CAMVID, 360), path)
    exact, expected = copy.deepcopy(network).double(), []
    for height, width in SIZES:
        frames = random_frames(2, height, width, 3)
        planes = (frames.permute(0, 3, 1, 2).double() - 128) / 128
        with torch.inference_mode():
            logits, rounded = exact(planes).numpy(), network(planes.float()).numpy()
        expected.append((frames.numpy(), logits, float(np.abs(rounded - logits).max())))
    return Exported(network, path, expected)


@compiled
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("level", LEVELS)
def test_equals_pytorch(exported: Exported, level: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "kernels", lambda: native.kernels(level))
    backend = NativeBackend(exported.path, threads)
    for frames, expected, rounding in exported.expected:
        logits = backend(frames)
        assert logits.dtype == np.float32
        assert logits.flags.c_contiguous
        # Random networks are steep: float32 PyTorch's own distance from float64 says what rounding does to them.
        np.testing.assert_allclose(logits, expected, rtol=0, atol=max(1e-4 * np.abs(expected).max(), 2 * rounding))


@compiled
def test_what_lay_in_memory_does_not_matter(exported: Exported) -> None:
    backend = NativeBackend(exported.path, 1)
    for frames, _, _ in exported.expected:
        logits = backend(frames)
        backend._placed((frames.shape[1], frames.shape[2]))._memory[:] = np.nan
        np.testing.assert_array_equal(backend(frames), logits)


@compiled
def test_counts_the_macs_of_the_folded_network(exported: Exported) -> None:
    folded = fold(exported.network).to("meta")
    for size_hw in ((64, 64), (97, 131)):
        assert NativeBackend(exported.path, 1).macs(size_hw) == count_macs(folded, size_hw)


@compiled
def test_layers_of_many_sizes_are_not_all_kept(exported: Exported) -> None:
    backend = NativeBackend(exported.path, 1)
    first = backend(random_frames(1, 40, 40, 3).numpy())
    for side in range(41, 60):
        backend(random_frames(1, side, 40, 3).numpy())
    assert len(backend._of_thread.sizes) <= 4
    np.testing.assert_array_equal(backend(random_frames(1, 40, 40, 3).numpy()), first)


@compiled
def test_it_is_the_default_for_networks_it_runs(exported: Exported, onnx_path: Path) -> None:
    assert open_backend(exported.path).name == "native"
    assert open_backend(onnx_path).name == "onnxruntime"
    with pytest.raises(
        UsageError, match=r"does not run this network \(Mul of the frames.*node normalised\); use the backend"
    ):
        open_backend(onnx_path, "native")


def _without(nodes: list[Node], index: int) -> list[Node]:
    """The graph without one node: what it made is what it read first."""
    gone = nodes[index]
    renamed = {gone.outputs[0]: gone.inputs[0]}
    rest = nodes[:index] + nodes[index + 1 :]
    return [replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)) for node in rest]


def test_a_graph_it_does_not_know_is_refused_with_the_name_of_a_node(exported: Exported) -> None:
    """Every operator in turn is replaced by one that nobody knows, then left out."""
    graph = read_onnx(exported.path)
    nodes = list(graph.nodes)
    said = []
    for index, node in enumerate(nodes):
        unknown = [*nodes[:index], replace(node, operator="Einsum"), *nodes[index + 1 :]]
        with pytest.raises(UnsupportedError, match=rf"^Einsum, which is no operator .*, node {node.name}$"):
            fuse(replace(graph, nodes=tuple(unknown)))
        if node.outputs[0] != graph.outputs[0].name:
            try:
                fuse(replace(graph, nodes=tuple(_without(nodes, index))))
            except UnsupportedError as error:
                said.append(str(error))
    assert len(said) > 20
    names = {node.name for node in nodes}
    assert [text for text in said if text.rpartition(", node ")[2] not in names or "\n" in text] == []


def test_without_the_library_onnxruntime_takes_over(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "library", lambda: None)
    assert open_backend(exported.path).name == "onnxruntime"
    with pytest.raises(UsageError, match=r"not compiled: install a C compiler"):
        open_backend(exported.path, "native")
