"""/v2: Triton's own client works, and what makes no sense is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from media_files import noise, scene
from service_here import Server, client_of, new_service

from bcpnet.segmenter import Segmenter
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.models import Models

INFER = "/v2/models/camvid/infer"
FRAME = {"name": "frames", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [0, 1, 2, 253, 254, 255]}


@pytest.fixture
def triton(server: Server) -> Any:
    """The module, and a client of the server."""
    module = pytest.importorskip("tritonclient.http", reason="Triton's client is not installed")
    client = module.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield module, client
    client.close()


def test_tritons_client_asks(triton: Any) -> None:
    _, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("camvid")
    assert client.is_model_ready("camvid", "1")
    assert not client.is_model_ready("yours")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [model["name"] for model in client.get_model_repository_index()] == ["camvid"]
    metadata = client.get_model_metadata("camvid")
    assert metadata["inputs"] == [{"name": "frames", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert client.get_model_config("camvid")["max_batch_size"] == 0


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tritons_client_infers(binary_in: bool, binary_out: bool | None, triton: Any, segmenter: Segmenter) -> None:
    module, client = triton
    frames = np.stack([scene(index, 40, 56) for index in range(3)])
    tensor = module.InferInput("frames", list(frames.shape), "UINT8")
    tensor.set_data_from_numpy(frames, binary_data=binary_in)
    outputs = None if binary_out is None else [module.InferRequestedOutput("class_map", binary_data=binary_out)]
    result = client.infer("camvid", [tensor], outputs=outputs, request_id="mine")
    assert result.get_response()["id"] == "mine"
    class_maps = result.as_numpy("class_map")
    assert class_maps.dtype == np.uint8
    np.testing.assert_array_equal(class_maps, [segmenter(frame).class_map for frame in frames])


def test_json_alone(client: Any, segmenter: Segmenter) -> None:
    frame = noise(33, 40)
    tensor = {"name": "frames", "datatype": "UINT8", "shape": [1, 33, 40, 3], "data": frame.tolist()}  # nested, too
    (output,) = client.post(INFER, json={"inputs": [tensor]}).json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("class_map", "UINT8", [1, 33, 40])
    np.testing.assert_array_equal(np.reshape(output["data"], (33, 40)), segmenter(frame).class_map)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"1", b"null", b'{"inputs": []}', b'{"inputs": [1]}', b'{"inputs": {}}',
        b"[" * 100_000, b"\xff",
        {"inputs": [FRAME, FRAME]},
        {"inputs": [{**FRAME, "name": "images"}]},
        {"inputs": [{**FRAME, "datatype": "FP32"}]},
        {"inputs": [{**FRAME, "shape": [1, 1, 3, 3]}]},
        {"inputs": [{**FRAME, "shape": [1, 1, -2, 3]}]},
        {"inputs": [{**FRAME, "shape": [1, 1, 2.0, 3]}]},
        {"inputs": [{**FRAME, "shape": [True, 1, 2, 3]}]},
        {"inputs": [{**FRAME, "shape": [0, 1, 2, 3]}]},
        {"inputs": [{**FRAME, "shape": "1123"}]},
        {"inputs": [{**FRAME, "shape": None}]},
        {"inputs": [{**FRAME, "data": [0, 1, 2, 3, 4, 256]}]},
        {"inputs": [{**FRAME, "data": [0, 1, 2, 3, 4, -1]}]},
        {"inputs": [{**FRAME, "data": [0, 1, 2, 3, 4, 0.5]}]},
        {"inputs": [{**FRAME, "data": [0, 1, 2, 3, 4, 10**30]}]},
        {"inputs": [{**FRAME, "data": [0, [1, 2], 3, 4, 5]}]},
        {"inputs": [{**FRAME, "data": "012345"}]},
        {"inputs": [{**FRAME, "data": []}]},
        {"inputs": [{**FRAME, "parameters": {"binary_data_size": 6}}]},
        {"inputs": [{**FRAME, "parameters": []}]},
        {"inputs": [FRAME], "outputs": [{"name": "logits"}]},
        {"inputs": [FRAME], "outputs": "class_map"},
        {"inputs": [FRAME], "id": 7},
        {"inputs": [FRAME], "id": "x" * 1000},
        {"inputs": [FRAME], "parameters": 5},
    ],
)  # fmt: skip
def test_nonsense_is_refused(body: Any, client: Any) -> None:
    done = client.post(INFER, content=body if isinstance(body, bytes) else json.dumps(body))
    assert done.status_code == 400, done.text
    assert set(done.json()) == {"error"}


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1e3", "٣"])
def test_a_wrong_length_of_the_json(length: str, client: Any) -> None:
    headers = {"Inference-Header-Content-Length": length.encode()}
    done = client.post(INFER, content=json.dumps({"inputs": [FRAME]}), headers=headers)
    assert done.status_code == 400


def test_the_bounds_hold_here_too(models: Models) -> None:
    client = client_of(new_service(models, Bounds(megapixels=1, images=2)))
    for shape in ([3, 1, 2, 3], [1, 1001, 1000, 3], [1, 8193, 1, 3], [1, 1 << 40, 1 << 40, 3]):
        assert client.post(INFER, json={"inputs": [{**FRAME, "shape": shape}]}).status_code == 413
    assert client.post(INFER, content=b" " * (5 << 20)).status_code == 413
    assert client.post("/v2/models/yours/infer", json={}).status_code == 404
    assert client.post("/v2/models/camvid/versions/2/infer", json={}).status_code == 404
