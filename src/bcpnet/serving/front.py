"""What every request passes first: who may come in; its log line, its counts; and no traceback leaves."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bcpnet.serving.bounds import RefusedError
from bcpnet.serving.logs import event, failure
from bcpnet.serving.service import Access, Service

CLIENT_GONE = 499  # nginx' number: nobody sees it but the log and the counts

_OPEN = ("/v2/health/",)
_GUARDED = ("/v1/", "/v2/", "/metrics")


class Front:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """`app` is what it stands in front of."""
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one stream."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send)
        began = time.perf_counter()
        try:
            refusal = refused(scope["path"], Headers(scope=scope), self._service.access)
            if refusal is not None:
                await request.refuse(refusal, receive)
            else:
                await self._app(scope, receive, request.send)
        except (ClientDisconnect, ConnectionError):
            request.status = CLIENT_GONE
        except Exception as error:
            failure("fault", error, request=request.id)
            if request.status or scope["type"] != "http":
                raise
            await refusal_response(RefusedError(500, f"a fault of the service, in its log as {request.id}"))(
                scope, receive, request.send
            )
        finally:
            seconds = time.perf_counter() - began
            name = getattr(scope.get("route"), "name", "other")
            self._service.metrics.answered(name, request.status, seconds)
            event(
                "request",
                request=request.id,
                method=scope.get("method", "WEBSOCKET"),
                route=name,
                status=request.status,
                ms=round(1000 * seconds, 2),
                bytes_out=request.bytes_out,
                client=(scope.get("client") or [None])[0],
            )


class _Request:
    """Looks at what is sent.

    Attributes:
        id: random, in the log, and in the answer as X-Request-ID.
        status: HTTP's; 0 = no answer yet.
        bytes_out: of the answer's body, or of a stream's messages.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.id = secrets.token_hex(6)
        self.status = self.bytes_out = 0
        self._scope, self._send = scope, send

    async def send(self, message: Message) -> None:
        """To the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.id
            headers["X-Content-Type-Options"] = "nosniff"
        elif message["type"] == "websocket.accept":
            self.status = 101
        else:
            self.bytes_out += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
        await self._send(message)

    async def refuse(self, refusal: RefusedError, receive: Receive) -> None:
        """Refuses it before anything of it is looked at."""
        if self._scope["type"] == "http":
            await refusal_response(refusal)(self._scope, receive, self.send)
        else:
            self.status = refusal.status
            await self._send({"type": "websocket.close"})  # uvicorn answers 403


def refused(path: str, headers: Headers, access: Access) -> RefusedError | None:
    """Why a request may not come in: it comes from another site's page, or shows no token; None = it may."""
    if not path.startswith(_GUARDED) and path != "/v2":
        return None
    origin = headers.get("origin")
    if origin is not None and origin not in access.origins and _netloc(origin) != headers.get("host", ""):
        return RefusedError(403, "requests from other sites' pages are not taken (--allow-origin)")
    if access.token is None or path.startswith(_OPEN):
        return None
    kind, _, shown = headers.get("authorization", "").partition(" ")
    is_known = kind.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), access.token.encode())
    return None if is_known else RefusedError(401, 'show the token: "Authorization: Bearer TOKEN"')


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None where there is none, as in "null"."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def refusal_response(error: RefusedError) -> JSONResponse:
    """{"error": MESSAGE}, as all refusals are answered."""
    headers: dict[str, Any] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 413:
        headers["Connection"] = "close"  # the rest of it is not received
    return JSONResponse({"error": str(error)}, error.status, headers)
