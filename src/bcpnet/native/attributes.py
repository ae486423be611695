"""The grammar's attributes: which each operator has, of which types, and which values the engine was written for."""

from __future__ import annotations

from typing import Any

from bcpnet.native.onnx_file import Node
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.storage.damaged import shortened

_FLOAT = 1  # float32, as the attribute of Cast
_PLANES = (0, 3, 1, 2)
_NO_PADS, _ONE = (0, 0, 0, 0), (1, 1)

# Attributes of every operator, with ONNX's defaults; a type = without one.
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Add": {},
    "Cast": {"to": int},
    "Clip": {},
    "Conv": {
        "auto_pad": "NOTSET", "dilations": _ONE, "group": 1, "kernel_shape": (), "pads": _NO_PADS, "strides": _ONE,
    },
    "Div": {},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "HardSwish": {},
    "MaxPool": {
        "auto_pad": "NOTSET", "ceil_mode": 0, "dilations": _ONE, "kernel_shape": tuple, "pads": _NO_PADS,
        "storage_order": 0, "strides": _ONE,
    },
    "Mul": {},
    "ReduceMean": {"keepdims": 1, "noop_with_empty_axes": 0},
    "Relu": {},
    "Reshape": {"allowzero": 0},
    "Resize": {
        "antialias": 0, "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75, "exclude_outside": 0,
        "extrapolation_value": 0.0, "keep_aspect_ratio_policy": "stretch", "mode": "nearest",
        "nearest_mode": "round_prefer_floor",
    },
    "Shape": {"end": 4, "start": 0},
    "Sigmoid": {},
    "Slice": {},
    "Squeeze": {},
    "Sub": {},
    "Transpose": {"perm": tuple},
}  # fmt: skip

# What those must be that are not left open here.
_FIXED: dict[str, dict[str, Any]] = {
    "Cast": {"to": _FLOAT},
    "Conv": {"auto_pad": "NOTSET", "dilations": _ONE},
    "MaxPool": {
        "auto_pad": "NOTSET", "ceil_mode": 0, "dilations": _ONE, "kernel_shape": (3, 3), "pads": (1, 1, 1, 1),
        "storage_order": 0, "strides": (2, 2),
    },
    "ReduceMean": {"keepdims": 1, "noop_with_empty_axes": 0},
    "Resize": {
        "antialias": 0, "coordinate_transformation_mode": "asymmetric", "exclude_outside": 0,
        "keep_aspect_ratio_policy": "stretch", "mode": "nearest", "nearest_mode": "floor",
    },
    "Transpose": {"perm": _PLANES},
}  # fmt: skip


def attributes_of(node: Node) -> dict[str, Any]:
    """All attributes of the node's operator, those that it leaves out with their defaults.

    Raises:
        UnsupportedError: an operator or attribute that is not in the tables, or a value that it must not have.
    """
    known = _ATTRIBUTES.get(node.operator)
    if known is None:
        raise UnsupportedError(f"{shortened(node.operator) or 'a node'}, which is no operator that the engine knows")
    for name, value in node.attributes.items():
        if name not in known:
            raise UnsupportedError(f"{node.operator} with an attribute {shortened(name)}")
        kind = known[name] if isinstance(known[name], type) else type(known[name])
        if type(value) is not kind or (kind is tuple and not all(type(one) is int for one in value)):
            raise UnsupportedError(f"{node.operator} whose {name} is of another type")
    attributes = {**known, **node.attributes}
    for name, value in _FIXED.get(node.operator, {}).items():
        if attributes[name] != value:
            raise UnsupportedError(f"{node.operator} whose {name} is not {value}")
    return attributes
