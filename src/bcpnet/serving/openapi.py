"""GET /openapi.json: every address, what it takes, and each way that it answers; with examples."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, get_args

from bcpnet.serving.bounds import Bounds
from bcpnet.serving.formats import Output
from bcpnet.serving.models import VERSION, Models
from bcpnet.serving.service import Access
from bcpnet.serving.uploads import FORMATS

_Json = dict[str, Any]

_REFUSALS = {
    400: "The request makes no sense.",
    401: "No token was shown, or a wrong one.",
    403: "The request comes from another site's page.",
    404: "There is no such model, or no such address.",
    406: "Nothing that the client accepts is to be had.",
    413: "Too many bytes, pixels or images.",
    415: "The body is compressed.",
    422: "The image cannot be read, or not be segmented.",
    500: "A fault of the service: its log says more.",
    503: "Too busy: try again after the seconds of Retry-After.",
}
_SHARES = {"sky": 0.21, "building": 0.34, "road": 0.28, "car": 0.17}
_MASK = {"class": "car", "area": 5212, "bbox": [210, 130, 96, 71], "score": 0.93}
_EXAMPLE_IMAGE = {
    "width": 640,
    "height": 360,
    "confidence": 0.91,
    "shares": _SHARES,
    "masks": [{**_MASK, "segmentation": {"size": [360, 640], "counts": "XnX2j0:K5L4"}}],
}


def openapi(models: Models, bounds: Bounds, access: Access) -> _Json:
    """The description of this service, in OpenAPI 3.1."""
    names = [model["name"] for model in models.describe()]
    document: _Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "bcpnet",
            "version": version("bcpnet"),
            "description": "Real-time semantic segmentation: the class of every pixel of a street scene.",
        },
        "paths": {
            "/v1/segment": {"post": _segment(names, bounds)},
            "/v1/models": {"get": _get("The models: classes, colours, licence.", _object("models"), 401, 403)},
            "/healthz": {"get": _open("The service lives.")},
            "/readyz": {"get": _open("The service takes requests.")},
            "/metrics": {"get": _metrics()},
            "/v2": {"get": _get("Open Inference Protocol: the server.", _object("name", "version"), 401, 403)},
            "/v2/health/live": {"get": _open("The server lives.")},
            "/v2/health/ready": {"get": _open("The server takes requests.")},
            "/v2/repository/index": {
                "post": _get("The models.", {"type": "array", "items": _object("name", "state")}, 401, 403)
            },
            **_model_paths("/v2/models/{model}", [_path("model", names)]),
            **_model_paths(
                "/v2/models/{model}/versions/{version}", [_path("model", names), _path("version", [VERSION])]
            ),
        },
        "components": {
            "schemas": {"Error": {**_object("error"), "examples": [{"error": "image: an empty file"}]}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    if access.token is not None:
        document["security"] = [{"token": []}]
    return document


def _segment(names: list[str], bounds: Bounds) -> _Json:
    file = {"type": "string", "format": "binary"}
    binary: _Json = {"schema": file}
    many = {"type": "object", "properties": {"image": {"type": "array", "items": file}}}
    answers = {
        "image/png": binary,
        "image/jpeg": binary,
        "application/zip": binary,
        "application/json": {
            "schema": {
                **_object("model", "images"),
                "properties": {"model": {"type": "string"}, "images": {"type": "array", "items": _image()}},
            },
            "example": {"model": names[0], "images": [_EXAMPLE_IMAGE]},
        },
    }
    return {
        "summary": "Segment images.",
        "operationId": "segment",
        "description": (
            f"The body is an image file ({', '.join(FORMATS)}), or up to {bounds.images} as multipart/form-data. At "
            f"most {bounds.request_mib} MiB, and {bounds.megapixels} megapixels an image. By Accept: image/png = class "
            "ids, image/jpeg = overlay, application/json = shares, confidence and masks. Of several images, pictures "
            "come as a ZIP: 0.png, 1.png ... in their order; one that is bad does not hurt the others."
        ),
        "parameters": [
            _query("output", "Instead of Accept. ids = grey PNG of class ids; palette = the same with colours for "
                   "viewers; overlay = JPEG; confidence = grey PNG, 255 = certain; json = with masks as COCO's RLE; "
                   "polygons = the same with the polygons of regions.", list(get_args(Output)), "ids"),
            _query("model", "By default the first one.", names, names[0]),
        ],
        "requestBody": {
            "required": True,
            "content": {**dict.fromkeys(("image/jpeg", "image/png", "application/octet-stream"), binary),
                        "multipart/form-data": {"schema": many}},
        },
        "responses": {
            "200": {
                "description": "The result.",
                "headers": {"Server-Timing": {"schema": {"type": "string"}, "description": "Milliseconds by stage."}},
                "content": answers,
            },
            **_refusals(400, 401, 403, 404, 406, 413, 415, 422, 500, 503),
        },
    }  # fmt: skip


def _image() -> _Json:
    mask = {
        **_object("class", "area", "bbox", "score", "segmentation"),
        "properties": {"class": {"type": "string"}, "area": {"type": "integer"}, "score": {"type": "number"}},
    }
    result = {
        **_object("width", "height", "confidence", "shares", "masks"),
        "properties": {"shares": {"type": "object"}, "masks": {"type": "array", "items": mask}},
    }
    return {"anyOf": [result, {"$ref": "#/components/schemas/Error"}]}


def _model_paths(path: str, parameters: list[_Json]) -> _Json:
    def get(summary: str, *keys: str) -> _Json:
        return {**_get(summary, _object(*keys), 401, 403, 404), "parameters": parameters}

    return {
        path: {"get": get("The model's inputs and outputs.", "name", "inputs", "outputs")},
        f"{path}/config": {"get": get("The model's configuration, as Triton has it.", "name", "input", "output")},
        f"{path}/ready": {"get": get("The model is ready.")},
        f"{path}/infer": {"post": {**_infer(), "parameters": parameters}},
    }


def _infer() -> _Json:
    frames = {"name": "frames", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [128, 64, 128, 0, 0, 192]}
    return {
        "summary": "Segment frames, N x H x W x 3 (RGB), into class maps, N x H x W.",
        "description": "JSON, or with Triton's binary tensor data.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        **_object("inputs"),
                        "properties": {"inputs": {"type": "array", "items": _object("name")}},
                    },
                    "example": {"inputs": [frames]},
                },
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {
                "description": "The class maps.",
                "content": {
                    "application/json": {"schema": _object("model_name", "outputs")},
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **_refusals(400, 401, 403, 404, 413, 415, 500, 503),
        },
    }


def _get(summary: str, schema: _Json, *refusals: int) -> _Json:
    return _with(summary, {"application/json": {"schema": schema}}, *refusals)


def _open(summary: str) -> _Json:
    return {**_get(summary, {"type": "object"}, 403), "security": []}


def _metrics() -> _Json:
    return _with("Counts for Prometheus, of all workers.", {"text/plain": {"schema": {"type": "string"}}}, 401, 403)


def _with(summary: str, content: _Json, *refusals: int) -> _Json:
    good = {"200": {"description": summary, "content": content}}
    return {"summary": summary, "responses": {**good, **_refusals(*refusals)}}


def _refusals(*statuses: int) -> _Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": _REFUSALS[status], "content": content} for status in statuses}


def _object(*required: str) -> _Json:
    return {"type": "object", "required": list(required)}


def _query(name: str, description: str, values: list[str], example: str) -> _Json:
    schema = {"type": "string", "enum": values}
    return {"name": name, "in": "query", "description": description, "schema": schema, "example": example}


def _path(name: str, values: list[str]) -> _Json:
    schema = {"type": "string", "enum": values}
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": values[0]}
