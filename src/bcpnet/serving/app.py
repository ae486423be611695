"""The application: its addresses, and how errors are answered. `bcpnet.serving.worker` runs it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from bcpnet.serving import kserve
from bcpnet.serving.bounds import RefusedError
from bcpnet.serving.front import Front, refusal_response
from bcpnet.serving.openapi import openapi
from bcpnet.serving.page import page_routes
from bcpnet.serving.segment import segment
from bcpnet.serving.service import Service, service_of
from bcpnet.serving.stream import stream

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_app(service: Service) -> Starlette:
    """The ASGI application. The names of routes are those that `bcpnet.serving.metrics` counts by.

    Raises:
        UsageError: the folder of the page has none.
    """
    routes: list[BaseRoute] = [
        Route("/v1/segment", segment, methods=["POST"], name="segment"),
        WebSocketRoute("/v1/stream", stream, name="stream"),
        Route("/v1/models", _models, name="models"),
        Route("/healthz", _alive, name="health"),
        Route("/readyz", _alive, name="health"),
        Route("/metrics", _metrics, name="metrics"),
        Route("/openapi.json", _openapi, name="other"),
        Route("/v2", kserve.server, name="v2"),
        Route("/v2/health/live", kserve.health, name="health"),
        Route("/v2/health/ready", kserve.health, name="health"),
        Route("/v2/repository/index", kserve.repository, methods=["POST"], name="v2"),
    ]
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(model, kserve.model_metadata, name="v2"),
            Route(f"{model}/config", kserve.model_config, name="v2"),
            Route(f"{model}/ready", kserve.model_ready, name="v2"),
            Route(f"{model}/infer", kserve.infer, methods=["POST"], name="infer"),
        ]
    middleware = [Middleware(Front, service=service)]
    if service.access.origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=service.access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "Server-Timing", "X-Request-ID"],
        )
        middleware.insert(0, cors)  # answers a browser's question, which shows no token, before Front asks for one
    app = Starlette(
        routes=[*routes, *page_routes(service.access.page)],
        middleware=middleware,
        exception_handlers={RefusedError: _refused, HTTPException: _wrong_address},
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _models(request: Request) -> Response:
    return JSONResponse({"models": service_of(request).models.describe()})


async def _alive(request: Request) -> Response:
    """A worker takes connections only once its models are open: whoever is answered is ready."""
    del request
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    service = service_of(request)
    service.tell_gauges()
    return PlainTextResponse(service.metrics.text(), media_type=_METRICS_TYPE)


async def _openapi(request: Request) -> Response:
    service = service_of(request)
    return JSONResponse(openapi(service.models, service.bounds, service.access))


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RefusedError)
    return refusal_response(error)


async def _wrong_address(request: Request, error: Exception) -> Response:
    """404 and 405, in the form of all errors."""
    del request
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
