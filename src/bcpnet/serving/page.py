"""The page at "/": the files of one folder, found as the service starts. No path from a client is ever opened."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bcpnet.errors import UsageError

_INSTALLED = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
# Cross-origin isolation: browsers give threads to WebAssembly only so.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
}


def page_routes(folder: Path | None) -> list[Route]:
    """A route for each file of the page; where there is no page, one that says what the service has.

    Args:
        folder: what `make web` built; None = the page in this package, if it was installed with one.

    Raises:
        UsageError: the folder has no index.html.
    """
    if folder is None and not _INSTALLED.is_dir():
        return [Route("/", _no_page, name="other")]
    folder = folder or _INSTALLED
    if not (folder / "index.html").is_file():
        raise UsageError(f"{folder}: no page in it: need a folder with index.html, such as make web builds")
    routes = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            address = path.relative_to(folder).as_posix()
            routes.append(_route("/" + address, path))
            if address == "index.html":
                routes.append(_route("/", path))
    return routes


def _route(address: str, path: Path) -> Route:
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    async def file(request: Request) -> Response:
        del request
        return FileResponse(path, media_type=media_type, headers=_HEADERS)

    return Route(address.replace("{", "%7B"), file, name="other")


async def _no_page(request: Request) -> Response:
    del request
    return JSONResponse({"name": "bcpnet", "description": "/openapi.json", "segment": "POST /v1/segment"})
