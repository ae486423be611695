"""Bodies of the Open Inference Protocol: JSON, and behind it the tensors' bytes (Triton's binary tensor data)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.serving.bounds import Bounds, RefusedError
from bcpnet.serving.models import VERSION
from bcpnet.storage.damaged import damage

INPUT, OUTPUT = "frames", "class_map"  # as in the files of `bcpnet export`
HEADER_LENGTH = "Inference-Header-Content-Length"

_MOST_JSON_BYTES = 4 << 20  # numbers as text are slow to read and to write: larger tensors come and go in binary
_LONGEST_ID = 200


@dataclass(frozen=True)
class Inference:
    """A request to infer.

    Attributes:
        id: the client's own, for the answer; None = it gave none.
        frames: N x H x W x 3 uint8.
        is_binary: whether it wants it in binary.
    """

    id: str | None
    frames: npt.NDArray[np.uint8]
    is_binary: bool


def read_inference(body: bytes, header_length: str | None, bounds: Bounds) -> Inference:
    """The request in a body, of which the first `header_length` bytes are JSON; None = all.

    Raises:
        RefusedError: 400 for what makes no sense, 413 for too many frames or pixels, or too much JSON.
    """
    length = len(body)
    if header_length is not None:
        if not header_length.isdecimal() or len(header_length) > 12 or int(header_length) > len(body):
            raise RefusedError(400, f"{HEADER_LENGTH} is not a number of bytes in the body")
        length = int(header_length)
    if length > _MOST_JSON_BYTES:
        raise RefusedError(413, "more than 4 MiB of JSON: send the tensor in binary (binary_data_size)")
    try:
        request = json.loads(body[:length])
    except damage("json") as error:
        raise RefusedError(400, "the request is not JSON") from error
    try:
        return _read(request, body[length:], bounds)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise RefusedError(400, f"the request makes no sense: it needs one input, {INPUT}, N x H x W x 3") from error


def _read(request: dict[str, Any], binary: bytes, bounds: Bounds) -> Inference:
    (tensor,) = request["inputs"]
    if tensor["name"] != INPUT or tensor["datatype"] != "UINT8":
        raise RefusedError(400, f"unknown input: it must be called {INPUT} and be of type UINT8")
    shape = tensor["shape"]
    if len(shape) != 4 or shape[3] != 3 or not all(type(side) is int and side > 0 for side in shape):
        raise RefusedError(400, f"{INPUT}: need a shape of N x H x W x 3")
    _, height, width, _ = shape
    if shape[0] > bounds.images or height * width > bounds.megapixels * 10**6 or max(height, width) > bounds.side:
        most = f"{bounds.images} frames of {bounds.megapixels} megapixels, sides up to {bounds.side}"
        raise RefusedError(413, f"at most {most}, in a request")
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size is None:
        values = np.array(tensor["data"])
        if values.dtype.kind not in "iu" or values.size != prod(shape) or values.min() < 0 or values.max() > 255:
            raise RefusedError(400, f"{INPUT}: its data are not as many whole numbers, 0 to 255, as its shape says")
        frames = values.astype(np.uint8)
    else:
        if size != len(binary) or size != prod(shape):
            raise RefusedError(400, f"{INPUT}: {len(binary)} bytes of data, where its shape needs {prod(shape)}")
        frames = np.frombuffer(binary, np.uint8)
    outputs = request.get("outputs")
    if outputs and [output["name"] for output in outputs] != [OUTPUT]:
        raise RefusedError(400, f"unknown output: there is one, {OUTPUT}")
    is_binary = bool(request.get("parameters", {}).get("binary_data_output", False))
    if outputs:
        is_binary = bool(outputs[0].get("parameters", {}).get("binary_data", is_binary))
    own_id = request.get("id")
    if not (own_id is None or (isinstance(own_id, str) and len(own_id) <= _LONGEST_ID)):
        raise RefusedError(400, f"id: need a text of at most {_LONGEST_ID} characters")
    return Inference(own_id, frames.reshape(shape), is_binary)


def answer(inference: Inference, model: str, class_maps: Sequence[npt.NDArray[np.uint8]]) -> tuple[bytes, int | None]:
    """The body of the answer, and how many bytes of it are JSON; None = all, which is for JSON alone.

    Raises:
        RefusedError: 413, too many pixels for JSON.
    """
    count, height, width, _ = inference.frames.shape
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "UINT8", "shape": [count, height, width]}
    head: dict[str, Any] = {"model_name": model, "model_version": VERSION, "outputs": [output]}
    if inference.id is not None:
        head["id"] = inference.id
    if inference.is_binary:
        output["parameters"] = {"binary_data_size": count * height * width}
        text = json.dumps(head).encode()
        return b"".join([text, *(class_map.tobytes() for class_map in class_maps)]), len(text)
    if count * height * width > _MOST_JSON_BYTES:
        raise RefusedError(413, "too many pixels for JSON: ask for the output in binary (binary_data)")
    output["data"] = np.concatenate([class_map.reshape(-1) for class_map in class_maps]).tolist()
    return json.dumps(head).encode(), None
