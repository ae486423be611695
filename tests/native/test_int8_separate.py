"""Quantised graphs: taken apart into floats and integers, or refused with the name of the node that is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bcpnet.native import library
from bcpnet.native.fusion import fuse
from bcpnet.native.int8.program import Int8Program
from bcpnet.native.int8.separate import is_quantised, separate
from bcpnet.native.onnx_file import Graph, Node, read_onnx
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.weights import path_of

LANES = 4


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_onnx(path_of("camvid-int8", ".onnx"))


def opened(graph: Graph) -> Int8Program:
    floats, integers = separate(graph)
    return Int8Program(fuse(floats), integers, LANES)


def test_quantised_files_are_told_from_others(graph: Graph) -> None:
    assert is_quantised(graph)
    assert not is_quantised(read_onnx(path_of("camvid", ".onnx")))


def test_the_steps_are_those_of_the_float_network(graph: Graph) -> None:
    floats, integers = separate(graph)
    steps, expected = fuse(floats), fuse(read_onnx(path_of("camvid", ".onnx")))
    assert [(step.channels, step.size, step.front_channels) for step in steps] == [
        (step.channels, step.size, step.front_channels) for step in expected
    ]
    assert len(integers.convs) == sum(node.operator == "Conv" for node in graph.nodes)


def test_every_node_that_is_not_known_is_named(graph: Graph) -> None:
    """Each node becomes an operator that nobody knows, then gets an attribute more."""
    nodes = list(graph.nodes)
    for index in range(0, len(nodes), 7):
        for other in (replace(nodes[index], operator="Einsum"), replace(nodes[index], attributes={"new": 1})):
            changed = replace(graph, nodes=(*nodes[:index], other, *nodes[index + 1 :]))
            with pytest.raises(UnsupportedError, match=rf", node {nodes[index].name}$"):
                opened(changed)


def _constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Graph], Graph]:
    """A graph in which the constant whose name ends so is another."""

    def changed(graph: Graph) -> Graph:
        key = next(key for key in graph.constants if key.endswith(name))
        return replace(graph, constants={**graph.constants, key: change(graph.constants[key])})

    return changed


def _node(operator: str, change: Callable[[Node], Node]) -> Callable[[Graph], Graph]:
    """A graph in which the last such node is another."""

    def changed(graph: Graph) -> Graph:
        nodes = list(graph.nodes)
        index = max(index for index, node in enumerate(nodes) if node.operator == operator)
        nodes[index] = change(nodes[index])
        return replace(graph, nodes=tuple(nodes))

    return changed


REFUSED: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "8-bit weights": (_constant("conv2d_3.1.integers", lambda old: old * 0 + 127), "weights beyond 64"),
    "weights in uint8": (_constant("conv2d_3.1.integers", lambda old: old.view(np.uint8)), "zero points"),
    "zero points of weights": (_constant("conv2d_3.1.zero_point", lambda old: old + 1), "zero points"),
    "one scale for all weights": (_constant("conv2d_3.1.scale", lambda old: old[:1]), "zero points"),
    "scale of 0": (_constant("conv2d_3.1.scale", lambda old: old * 0), "zero points"),
    "bias on another grid": (_constant("conv2d_3.2.scale", lambda old: old * 2), "bias is on another grid"),
    "bias in int8": (_constant("conv2d_3.2.integers", lambda old: old.astype(np.int8)), "zero points"),
    "enormous bias": (_constant("conv2d_3.2.integers", lambda old: old * 0 + (2**31 - 1)), "too large"),
    "enormous sums": (_constant("hardtanh_2.grid.scale", lambda old: old * np.float32(1e-9)), "too large"),
    "enormous shortcut": (_constant("val_27.read1.scale", lambda old: old * np.float32(1e9)), "terms are too large"),
    "sum on a fine grid": (_constant("silu_8.grid.scale", lambda old: old * np.float32(1e-9)), "terms are too large"),
    "zero point of another grid": (_constant("val_6.read0.zero_point", lambda old: old + 3), "another zero point"),
    "signed activations": (
        _constant("hardtanh_2.grid.zero_point", lambda old: old.astype(np.int8)),
        "zero point int8",
    ),
    "scale that is no number": (_constant("hardtanh_2.grid.scale", lambda old: old * np.nan), "with a scale"),
    "logits in bytes": (
        _node("Conv", lambda node: replace(node, inputs=(node.inputs[0], "frames", node.inputs[2]))),
        "Conv in a place",
    ),
    "pooling of the frames": (_node("MaxPool", lambda node: replace(node, inputs=("frames",))), "MaxPool in a place"),
    "sigmoid of bytes": (_node("Sigmoid", lambda node: replace(node, inputs=("val_6",))), "Sigmoid in a place"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_it_was_not_written_for_is_refused(what: str, graph: Graph) -> None:
    change, said = REFUSED[what]
    with pytest.raises(UnsupportedError, match=rf"{said}.*, node "):
        opened(change(graph))


def test_a_convolution_with_swish_is_refused(graph: Graph) -> None:
    """Floats may have it; integers were not written for it."""
    nodes = list(graph.nodes)
    index = next(index for index, node in enumerate(nodes) if node.outputs == ("conv2d_3",))
    wired = [
        Node("gate", "Sigmoid", ("conv2d_3",), ("gate",), {}),
        Node("swish", "Mul", ("conv2d_3", "gate"), ("swished",), {}),
    ]
    after = [
        replace(node, inputs=tuple("swished" if name == "conv2d_3" else name for name in node.inputs))
        for node in nodes[index + 1 :]
    ]
    with pytest.raises(UnsupportedError, match=r"a convolution with an activation .*, node "):
        opened(replace(graph, nodes=(*nodes[: index + 1], *wired, *after)))


def test_weights_that_many_convolutions_share_are_kept_once(graph: Graph) -> None:
    floats, _ = separate(graph)
    convs = [node for node in graph.nodes if node.operator == "Conv"]
    added = [replace(convs[3], name=f"again{at}", outputs=(f"again{at}",)) for at in range(50)]
    shared, _ = separate(replace(graph, nodes=(*graph.nodes, *added)))
    assert len(shared.constants) == len(floats.constants)


def test_two_nodes_of_one_name_are_refused(graph: Graph) -> None:
    nodes = [replace(node, name="same") if node.operator == "Conv" else node for node in graph.nodes]
    with pytest.raises(UnsupportedError, match="two nodes of that name, node same"):
        separate(replace(graph, nodes=tuple(nodes)))


@pytest.mark.skipif(library() is None, reason="the C library was not compiled here (no C compiler)")
def test_the_message_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="writes a changed file")
    from bcpnet.backends import open_backend
    from bcpnet.errors import UsageError

    model = onnx.load(path_of("camvid-int8", ".onnx"))
    for tensor in model.graph.initializer:
        if tensor.name == "conv2d_3.1.integers":
            numbers = onnx.numpy_helper.to_array(tensor) * 0 + 100
            tensor.CopyFrom(onnx.numpy_helper.from_array(numbers.astype(np.int8), tensor.name))
    onnx.save(model, tmp_path / "mine.onnx")
    with pytest.raises(UsageError, match=r"mine\.onnx: the backend native does not run this network \(weights beyond"):
        open_backend(tmp_path / "mine.onnx", "native")
    assert open_backend(tmp_path / "mine.onnx").name == "onnxruntime"
