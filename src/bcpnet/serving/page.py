"""The page at "/": the files of one folder, found as the service starts. No path from a client is ever opened."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bcpnet.errors import UsageError
from bcpnet.serving.bounds import RefusedError
from bcpnet.weights import path_of

NO_PAGE = "this bcpnet was installed without the web page: build it with `make web`, see docs/web.md"
_INSTALLED = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_PACKED = ".gz"  # the end of a file that is sent as it lies, and unpacked by the browser
# Cross-origin isolation: browsers give threads to WebAssembly only so.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
}


def has_page(folder: Path | None) -> bool:
    """Whether there is a page to serve: that of the folder, or, for None, the one in this package."""
    return folder is not None or _INSTALLED.is_dir()


def page_routes(folder: Path | None) -> list[Route]:
    """A route for each file of the page; where there is no page, one that says what the service has.

    Args:
        folder: what `make web` built; None = the page in this package, if it was installed with one.

    Raises:
        UsageError: the folder has no index.html.
    """
    if not has_page(folder):
        return [Route("/", _no_page, name="other")]
    root = folder or _INSTALLED
    if not (root / "index.html").is_file():
        raise UsageError(f"{root}: no page in it: need a folder with index.html, such as make web builds")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    routes = [_route("/", root / "index.html")]
    routes += [_route(f"/{path.relative_to(root).as_posix()}", path) for path in files]
    if folder is None:
        routes += [_route(f"/models/{path.name}", path) for path in _weights(root)]
    return routes


def _weights(page: Path) -> Iterator[Path]:
    """The files that the page in this package leaves to the package."""
    for weights in json.loads((page / "models.json").read_text())["weights"]:
        yield from (path_of(weights["name"], suffix) for suffix in (".onnx", ".md"))


def _route(address: str, path: Path) -> Route:
    is_packed = path.suffix == _PACKED
    address = address.removesuffix(_PACKED)
    media_type = _TYPES.get(Path(address).suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packing = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"} if is_packed else {}

    async def file(request: Request) -> Response:
        if is_packed and "gzip" not in request.headers.get("accept-encoding", ""):
            raise RefusedError(406, "this file is sent compressed: accept the encoding gzip, as browsers do")
        return FileResponse(path, media_type=media_type, headers={**_HEADERS, **packing})

    return Route(address.replace("{", "%7B"), file, name="other")


async def _no_page(request: Request) -> Response:
    del request
    return JSONResponse(
        {"name": "bcpnet", "description": "/openapi.json", "segment": "POST /v1/segment", "page": NO_PAGE}
    )
