"""The grammar: valid networks of other forms are refused with the node's name, or computed as ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_networks import CLASSES, NETWORKS, SmallNetwork, write

from bcpnet import native
from bcpnet.backends.native import NativeBackend
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.errors import UsageError
from bcpnet.native.fusion import fuse
from bcpnet.native.onnx_file import read_onnx
from bcpnet.native.protobuf import UnsupportedError

compiled = pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")
K = len(CLASSES)


def after_first(make: Callable[[SmallNetwork, str], str]) -> Callable[[], SmallNetwork]:
    """Networks whose logits are a 1x1 convolution of what `make` makes of 4 channels."""

    def built() -> SmallNetwork:
        net = SmallNetwork(3)
        net.logits = net.pointwise(make(net, net.pointwise(net.first(4), 4, 4)), 4, K)  # type: ignore[attr-defined]
        return net

    return built


def of_frame(make: Callable[[SmallNetwork], str]) -> Callable[[], SmallNetwork]:
    def built() -> SmallNetwork:
        net = SmallNetwork(3)
        net.logits = net.pointwise(make(net), 4, K)  # type: ignore[attr-defined]
        return net

    return built


def wired(net: SmallNetwork, value: str, *operators: str) -> str:
    for operator in operators:
        value = net.node(operator, [value])
    return value


HALVED = {"strides": [2, 2], "pads": [1] * 4}
POOLED = {"kernel_shape": [3, 3], **HALVED}
DOUBLED = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
REFUSED: dict[str, Callable[[], SmallNetwork]] = {
    "1x300": after_first(lambda net, x: net.conv(x, 4, 4, 1, 5, pads=[0, 2, 0, 2])),
    "1x1 of the frame": of_frame(lambda net: net.conv(net.frame, 4, 3, 1, 1)),
    "3x3 of the frame without padding": of_frame(lambda net: net.conv(net.frame, 4, 3, 3, 3, strides=[2, 2])),
    "two means": of_frame(
        lambda net: net.conv(net.node("Sub", [net.frame, net.constant(5)]), 4, 3, 3, 3, strides=[2, 2], pads=[1] * 4)
    ),
    "the mean minus the frame": of_frame(
        lambda net: net.conv(net.node("Sub", [net.constant(5), net.frame]), 4, 3, 3, 3, strides=[2, 2], pads=[1] * 4)
    ),
    "a mean of each channel": of_frame(
        lambda net: net.conv(
            net.node("Sub", ["value_1", net.constant([[[1]], [[2]], [[3]]])]), 4, 3, 3, 3, strides=[2, 2], pads=[1] * 4
        )
    ),
    "depthwise 3x1": after_first(lambda net, x: net.conv(x, 4, 1, 3, 1, group=4, pads=[1, 0, 1, 0])),
    "depthwise, dilated": after_first(
        lambda net, x: net.conv(x, 4, 1, 3, 3, group=4, dilations=[2, 2], pads=[2, 2, 2, 2])
    ),
    "depthwise, strides of two sizes": after_first(
        lambda net, x: net.conv(x, 4, 1, 3, 3, group=4, strides=[1, 2], pads=[1] * 4)
    ),
    "depthwise, other padding": after_first(lambda net, x: net.conv(x, 4, 1, 3, 3, group=4, pads=[0, 0, 2, 2])),
    "two groups": after_first(lambda net, x: net.conv(x, 4, 2, 1, 1, group=2)),
    "auto_pad": after_first(lambda net, x: net.conv(x, 4, 1, 3, 3, group=4, auto_pad="SAME_LOWER")),
    "1x1 with padding": after_first(lambda net, x: net.conv(x, 4, 4, 1, 1, pads=[1] * 4)),
    "pool rounded up": after_first(lambda net, x: net.node("MaxPool", [x], **POOLED, ceil_mode=1)),
    "pool dilated": after_first(lambda net, x: net.node("MaxPool", [x], **POOLED, dilations=[2, 2])),
    "pool 2x2": after_first(lambda net, x: net.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])),
    "a gate of channels": after_first(lambda net, x: net.node("Mul", [x, net.constant(np.ones((4, 1, 1)))])),
    "a factor of one number in four axes": after_first(
        lambda net, x: net.node("Add", [net.node("Mul", [x, net.constant([[[[2]]]])]), x])
    ),
    "a product of maps": after_first(lambda net, x: net.node("Mul", [x, net.node("Relu", [x])])),
    "swish of another": after_first(lambda net, x: net.node("Mul", [x, wired(net, x, "Relu", "Sigmoid")])),
    "an activation twice": after_first(lambda net, x: wired(net, x, "Relu", "HardSwish")),
    "clip without an end": after_first(lambda net, x: net.node("Clip", [x, net.constant(0)])),
    "a sum of one value": after_first(lambda net, x: net.node("Add", [x, x])),
    "a number added": after_first(lambda net, x: net.node("Add", [x, net.constant(1)])),
    "the mean of an axis": after_first(
        lambda net, x: net.node("Mul", [x, net.node("ReduceMean", [x, net.constant([3], np.int64)])])
    ),
    "leaky": after_first(lambda net, x: net.node("LeakyRelu", [x])),
    "transposed": after_first(lambda net, x: net.node("Transpose", [x], perm=[0, 1, 3, 2])),
    "pool of a pool": after_first(lambda net, x: net.node("Relu", [net.pool(net.pool(x))])),
    "so large that sums overflow": after_first(lambda net, x: net.scaled(x, 1e11)),
    "not finite": after_first(lambda net, x: net.scaled(x, float("inf"))),
}


def sum_of(*terms: Callable[[SmallNetwork, str], str]) -> Callable[[], SmallNetwork]:
    """A weighted sum in front of a depthwise convolution, of terms made of one map."""

    def make(net: SmallNetwork, x: str) -> str:
        total = net.scaled(terms[0](net, x), 0.5)
        for term in terms[1:]:
            total = net.node("Add", [total, net.scaled(term(net, x), 0.7)])
        return net.pointwise(net.depthwise(total, 4), 4, 4)

    return after_first(make)


def twice(net: SmallNetwork, x: str) -> str:
    return net.pool(net.pool(x))


def pool_of_scaled(net: SmallNetwork, x: str) -> str:
    return net.pool(net.scaled(x, -2))


def doubled_pool(net: SmallNetwork, x: str) -> str:
    return net.doubled(net.pool(x), 2)


def doubled_wrongly(net: SmallNetwork, x: str) -> str:
    return net.doubled(net.pool(x), 4)  # cut to half of what it is


def doubled_by(**modes: object) -> Callable[[SmallNetwork, str], str]:
    return lambda net, x: net.node("Resize", [net.pool(x), "", net.constant([1, 1, 2, 2])], **{**DOUBLED, **modes})


def reversed_rows(net: SmallNetwork, x: str) -> str:
    ends = (net.constant([number], np.int64) for number in (-1, -(10**9), 2, -1))
    return net.node("Slice", [doubled_by()(net, x), *ends])


def same(_: SmallNetwork, x: str) -> str:
    return x


EITHER: dict[str, Callable[[], SmallNetwork]] = {
    "pool of a pool": after_first(lambda net, x: net.pool(net.pool(x))),
    "pool of a scaled map": after_first(lambda net, x: net.pool(net.scaled(x, -2))),
    "sum with a pool of a pool": sum_of(twice, lambda net, x: net.pool(net.pool(net.pointwise(x, 4, 4)))),
    "sum with a pool of a scaled map": sum_of(pool_of_scaled, lambda net, x: net.pool(x)),
    "sum with a doubled pool": sum_of(same, doubled_pool),
    "sum with a doubled map cut elsewhere": sum_of(twice, doubled_wrongly),
    "doubled, not cut": sum_of(same, doubled_by()),
    "doubled from corners": sum_of(same, doubled_by(coordinate_transformation_mode="align_corners")),
    "doubled, rounded up": sum_of(same, doubled_by(nearest_mode="ceil")),
    "doubled, linear": sum_of(same, doubled_by(mode="linear")),
    "rows turned round": sum_of(same, reversed_rows),
    "four terms": sum_of(same, same, same, lambda net, x: net.pointwise(x, 4, 4)),
    "scaled twice": sum_of(lambda net, x: net.scaled(net.scaled(x, 2), 3), same),
    "sums of sums": after_first(
        lambda net, x: net.pointwise(net.depthwise(net.node("Add", [net.scaled(x, 2), net.scaled(x, 3)]), 4), 4, 4)
    ),
}


def saved(make: Callable[[], SmallNetwork], folder: Path) -> Path:
    net = make()
    return write(net.model(net.logits), folder / "a.onnx")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", REFUSED)
def test_other_forms_are_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r", node node_\d+$"):
        fuse(read_onnx(saved(REFUSED[name], tmp_path)))


@compiled
@pytest.mark.parametrize("name", [*EITHER, *NETWORKS])
def test_what_is_taken_is_computed_right(name: str, tmp_path: Path) -> None:
    path = saved(EITHER[name], tmp_path) if name in EITHER else write(NETWORKS[name](), tmp_path / "a.onnx")
    try:
        engine = NativeBackend(path, 1)
    except UsageError:
        assert name not in NETWORKS
        return
    for size_hw in ((32, 32), (45, 71), (64, 40)):
        frames = np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8)
        expected = OnnxRuntimeBackend(path, 1)(frames)
        np.testing.assert_allclose(engine(frames), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@compiled
def test_networks_may_be_deep(tmp_path: Path) -> None:
    def deep(net: SmallNetwork, x: str) -> str:
        for _ in range(700):
            x = net.pointwise(x, 4, 4)
        return x

    assert NativeBackend(saved(after_first(deep), tmp_path), 1).metadata.classes == CLASSES


def test_sums_of_sums_do_not_grow(tmp_path: Path) -> None:
    def sums(net: SmallNetwork, x: str) -> str:
        total = net.node("Add", [net.scaled(x, 0.5), net.scaled(net.pointwise(x, 4, 4), 0.5)])
        for _ in range(60):
            total = net.node("Add", [total, total])
        return net.pointwise(net.depthwise(total, 4), 4, 4)

    with pytest.raises(UnsupportedError):
        fuse(read_onnx(saved(after_first(sums), tmp_path)))


def test_weights_that_many_convolutions_share_do_not_fill_the_memory(tmp_path: Path) -> None:
    net = SmallNetwork()
    value, shared = net.pointwise(net.first(4), 4, 64), net.weights(64, 64, 1, 1)
    for _ in range(50):
        value = net.node("Conv", [value, shared])
    net.logits = net.pointwise(value, 64, K)  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedError, match="share"):
        fuse(read_onnx(saved(lambda: net, tmp_path)))
