"""The Open Inference Protocol, /v2/...: KServe's and Triton's clients send frames as tensors and get class maps."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bcpnet.errors import InputError
from bcpnet.serving.bounds import RefusedError
from bcpnet.serving.jobs import unless_gone
from bcpnet.serving.models import VERSION, Model
from bcpnet.serving.service import service_of
from bcpnet.serving.tensors import HEADER_LENGTH, INPUT, OUTPUT, Inference, answer, read_inference

_INPUT_SHAPE, _OUTPUT_SHAPE = [-1, -1, -1, 3], [-1, -1, -1]


async def server(request: Request) -> Response:
    """GET /v2."""
    del request
    return JSONResponse({"name": "bcpnet", "version": version("bcpnet"), "extensions": ["binary_tensor_data"]})


async def health(request: Request) -> Response:
    """GET /v2/health/live and /v2/health/ready: a worker answers once its models are open."""
    del request
    return JSONResponse({})


async def repository(request: Request) -> Response:
    """POST /v2/repository/index."""
    models = service_of(request).models.describe()
    return JSONResponse([{"name": model["name"], "version": VERSION, "state": "READY"} for model in models])


async def model_metadata(request: Request) -> Response:
    """GET /v2/models/NAME."""
    model = _model(request)
    return JSONResponse({
        "name": model.name,
        "versions": [VERSION],
        "platform": f"bcpnet_{model.segmenter.backend.name}",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": _INPUT_SHAPE}],
        "outputs": [{"name": OUTPUT, "datatype": "UINT8", "shape": _OUTPUT_SHAPE}],
    })  # fmt: skip


async def model_config(request: Request) -> Response:
    """GET /v2/models/NAME/config, as Triton has it."""
    model = _model(request)
    return JSONResponse({
        "name": model.name,
        "platform": f"bcpnet_{model.segmenter.backend.name}",
        "max_batch_size": 0,
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": _INPUT_SHAPE}],
        "output": [{"name": OUTPUT, "data_type": "TYPE_UINT8", "dims": _OUTPUT_SHAPE}],
    })  # fmt: skip


async def model_ready(request: Request) -> Response:
    """GET /v2/models/NAME/ready."""
    _model(request)
    return JSONResponse({})


async def infer(request: Request) -> Response:
    """POST /v2/models/NAME/infer."""
    service, model = service_of(request), _model(request)
    await service.jobs.room()
    with service.bodies.of_one_request() as body:
        data = await body.receive(request, service.bounds.request_bytes)
        length = request.headers.get(HEADER_LENGTH)

        def job() -> tuple[bytes, int | None, list[dict[str, float]]]:
            return _infer(read_inference(data, length, service.bounds), model)

        content, header_length, timings = await unless_gone(request.receive, partial(service.jobs.run, job))
    for ms in timings:
        service.metrics.image("segmented", ms)
    if header_length is None:
        return Response(content, media_type="application/json")
    return Response(content, media_type="application/octet-stream", headers={HEADER_LENGTH: str(header_length)})


def _infer(inference: Inference, model: Model) -> tuple[bytes, int | None, list[dict[str, float]]]:
    try:
        results = [model.segmenter(frame) for frame in inference.frames]
    except InputError as error:
        raise RefusedError(400, str(error)) from error
    class_maps = [result.class_map for result in results]
    content, length = answer(inference, model.name, class_maps)
    return content, length, [result.timings_ms for result in results]


def _model(request: Request) -> Model:
    parameters: dict[str, Any] = request.path_params
    if parameters.get("version", VERSION) != VERSION:
        raise RefusedError(404, f"no such version: every model has the version {VERSION}")
    return service_of(request).models.get(parameters["model"])
