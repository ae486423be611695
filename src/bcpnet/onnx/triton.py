"""A model repository for NVIDIA's Triton Inference Server: NAME/config.pbtxt beside NAME/1/model.onnx."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from bcpnet.metadata import KEY, Metadata
from bcpnet.storage.files import write_bytes

_MOST_FRAMES = 8  # that Triton may put together


def write_triton_config(model: Path, name: str) -> Path:
    """Writes the configuration of DIR/NAME/1/model.onnx, a file of `write_class_map_onnx`, to DIR/NAME/config.pbtxt.

    Triton then takes what `bcpnet serve` takes at /v2/models/NAME/infer, and gives the same. Frames of one size that
    come at the same time run together. The names of the classes are in the parameter "classes", in their order.

    Returns:
        The path of the configuration.

    Raises:
        InputError: `model` has no metadata of bcpnet's, or the configuration cannot be written.
    """
    loaded = ir.load(model)
    frames, class_map = loaded.graph.inputs[0].name, loaded.graph.outputs[0].name
    names = Metadata.from_json(loaded.metadata_props.get(KEY, ""), str(model)).classes.names
    config = model.parents[1] / "config.pbtxt"
    write_bytes(
        config,
        f"""\
name: {_text(name)}
backend: "onnxruntime"
max_batch_size: {_MOST_FRAMES}
dynamic_batching {{ }}
input [ {{ name: {_text(str(frames))} data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }} ]
output [ {{ name: {_text(str(class_map))} data_type: TYPE_UINT8 dims: [ -1, -1 ] }} ]
parameters {{ key: "classes" value {{ string_value: {_text(",".join(names))} }} }}
""".encode(),
    )
    return config


def _text(value: str) -> str:
    """A string of protobuf's text format."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
