"""Weights files of which something was damaged or changed, for weights.py: a function of the seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from small_networks import NETWORKS

from bcpnet.weights import path_of, shipped

NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 4, 5, 7, 16, 255, 2**31, 2**62)
LISTS = ([], [1], [2, 2], [1, 1], [3, 3], [1, 2], [5, 5], [0, 0], [-1, -1], [0] * 4, [1] * 4, [2] * 4, [1, 0, 0, 1],
         [1, 2, 1, 2], [0, 3, 1, 2], [0, 3, 2, 1], [0, 1, 2, 3], [2**40, 1])  # fmt: skip
TEXTS = ("", "NOTSET", "SAME_UPPER", "VALID", "nearest", "linear", "cubic", "floor", "ceil", "round_prefer_ceil",
         "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "stretch", "not_larger", "x")  # fmt: skip
FLOATS = (-1.0, -0.75, 0.0, 0.2, 0.5, 1.0, 3.0, 1e30, float("inf"), float("nan"))
NAMES = ("alpha", "antialias", "auto_pad", "axis", "axes", "beta", "ceil_mode", "coordinate_transformation_mode",
         "cubic_coeff_a", "dilations", "end", "exclude_outside", "group", "keep_aspect_ratio_policy", "keepdims",
         "kernel_shape", "mode", "nearest_mode", "noop_with_empty_axes", "pads", "perm", "start", "storage_order",
         "strides", "to", "allowzero")  # fmt: skip
UNARY = ("Relu", "Identity", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Neg", "Abs", "Softmax", "Exp", "Ceil",
         "LeakyRelu", "Elu", "GlobalAveragePool", "Dropout", "Not", "Flatten")  # fmt: skip
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu", "Mod", "MatMul", "Conv", "Concat")


def change_attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another value, or another type of value; one more attribute; one less."""
    node = rng.choice(model.graph.node)
    kept = {attribute.name: attribute for attribute in node.attribute}
    name = rng.choice([*kept, rng.choice(NAMES)])
    if name in kept:
        node.attribute.remove(kept[name])
        if rng.random() < 0.2:
            return
        now = helper.get_attribute_value(kept[name])
        menu: Any = LISTS if isinstance(now, list) else TEXTS if isinstance(now, bytes) else NUMBERS
        menu = FLOATS if isinstance(now, float) else menu
    else:
        menu = rng.choice([NUMBERS, LISTS, TEXTS, FLOATS])
    value = rng.choice(menu if rng.random() < 0.9 else rng.choice([NUMBERS, LISTS, TEXTS, FLOATS]))
    kind = onnx.AttributeProto.INTS if value == [] else None
    node.attribute.append(helper.make_attribute(name, value, attr_type=kind))


def change_wiring(model: onnx.ModelProto, rng: random.Random) -> None:
    """An operand swapped, left out, doubled or taken from elsewhere; an operator replaced, put in or left out."""
    graph, index = model.graph, rng.randrange(len(model.graph.node))
    node = graph.node[index]
    made = [name for other in graph.node for name in other.output]
    change = rng.randrange(8)
    if change == 0 and len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]
    elif change == 1:
        del node.input[rng.randrange(len(node.input))]
    elif change == 2:
        node.input[rng.randrange(len(node.input))] = rng.choice(["", "nobody", "frames"])
    elif change == 3:
        earlier = [name for other in graph.node[:index] for name in other.output] or ["frames"]
        node.input[rng.randrange(len(node.input))] = rng.choice(earlier)
    elif change == 4:
        node.op_type = rng.choice([*UNARY, *BINARY, *{other.op_type for other in graph.node}])
    elif change == 5:
        new = helper.make_node(rng.choice(UNARY), [node.input[0]], ["inserted"])
        node.input[0] = "inserted"
        graph.node.insert(index, new)
    elif change == 6:
        for other in graph.node:
            for at, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[at] = node.input[0]
    else:
        graph.output[0].name = rng.choice(made)


def change_constant(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another shape, type or value; gone; or shared."""
    graph = model.graph
    tensor = rng.choice(graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    change = rng.randrange(7)
    if change == 0:
        graph.initializer.remove(tensor)
        return
    if change == 1:
        values = values.astype(rng.choice([np.float64, np.float16, np.int64, np.int32, np.uint8]))
    elif change == 2 and values.size:
        values.reshape(-1)[rng.randrange(values.size)] = rng.choice(
            [0, 1, 2, 3, 100] if values.dtype.kind == "i" else FLOATS
        )
    elif change == 3 and values.ndim:
        axis = rng.randrange(values.ndim)
        values = rng.choice([np.concatenate([values, values], axis), values.take(range(values.shape[axis] // 2), axis)])
    elif change == 4:
        values = values.reshape(rng.choice([(1, *values.shape), (-1,), values.shape[::-1], (*values.shape, 1)]))
    elif change == 5:
        other = numpy_helper.to_array(rng.choice(graph.initializer))
        values = other.copy()
    else:
        values = values * rng.choice([2, -1, 0]) if values.dtype.kind == "f" else values + 1
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def change_model(model: onnx.ModelProto, rng: random.Random) -> None:
    """What stands around the nodes: inputs, outputs, operator versions, functions, kinds of constants."""
    graph = model.graph
    change = rng.randrange(9)
    if change == 0:
        model.opset_import[0].version = rng.choice([1, 6, 9, 11, 13, 17, 19, 20, 21, 99])
    elif change == 1:
        model.opset_import.append(helper.make_opsetid(rng.choice(["", "ai.onnx", "com.microsoft", "x"]), 1))
    elif change == 2:
        graph.output.append(rng.choice(graph.output))
    elif change == 3:
        dim = rng.choice(rng.choice([graph.input[0], graph.output[0]]).type.tensor_type.shape.dim)
        dim.dim_value = rng.choice([0, 1, 2, 3, 33, 64])
    elif change == 4:
        rng.choice([graph.input[0], graph.output[0]]).type.tensor_type.elem_type = rng.choice([1, 2, 3, 7, 10, 11])
    elif change == 5:
        tensor = rng.choice(graph.initializer)
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    elif change == 6:
        tensor = rng.choice(graph.initializer)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
    elif change == 7:
        node = rng.choice(graph.node)
        node.domain = rng.choice(["ai.onnx", "com.microsoft", "x"])
    else:
        kind = rng.choice(graph.node).op_type
        body = [helper.make_node("Neg", ["a"], ["b"])]
        model.functions.append(helper.make_function("", kind, ["a"], ["b"], body, [helper.make_opsetid("", 18)]))


CHANGES = (change_attribute, change_attribute, change_wiring, change_wiring, change_constant, change_model)

# By which onnx itself refuses to read or write what is asked of it.
REFUSALS = (ValueError, TypeError, IndexError, OverflowError, onnx.checker.ValidationError)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, taken away or put in, anywhere or where the graph's structure is; or the end cut off."""
    data = bytearray(content)
    nodes = max(1, len(data) // 50)  # the files of `bcpnet export` begin with their nodes
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        at = rng.randrange(min(nodes, len(data)) if rng.random() < 0.7 else len(data))
        change = rng.randrange(6)
        if change < 3:
            data[at] ^= 1 << rng.randrange(8)
        elif change == 3:
            data[at] = rng.randrange(256)
        elif change == 4:
            del data[at : at + rng.choice([1, 1, 2, 8, 100])]
        else:
            data[at:at] = rng.randbytes(rng.choice([1, 1, 2, 8]))
        if rng.random() < 0.03:
            del data[rng.randrange(len(data)) :]
        if not data:
            break
    return bytes(data)


def cases(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Pairs of a text that tells what was done, and the content of a file."""
    rng = random.Random(seed)
    names = [name for name in shipped() if not name.endswith("-int8")]
    large = {name: path_of(name, ".onnx").read_bytes() for name in names}
    small = {name: make() for name, make in NETWORKS.items()}
    for number in range(count):
        if number % 4 == 0:
            name = rng.choice(names)
            yield f"{number}: {name} damaged", damaged(large[name], rng)
            continue
        name = rng.choice(list(small))
        if number % 4 == 1:
            yield f"{number}: {name} damaged", damaged(small[name].SerializeToString(), rng)
            continue
        model = copy.deepcopy(small[name])
        changes: list[Callable[[onnx.ModelProto, random.Random], None]] = []
        for change in rng.sample(CHANGES, rng.choice([1, 1, 1, 2])):
            try:
                change(model, rng)
            except REFUSALS:
                continue
            changes.append(change)
        yield f"{number}: {name}, {', '.join(change.__name__ for change in changes)}", model.SerializeToString()
