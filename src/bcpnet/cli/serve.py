"""`bcpnet serve`: segmentation over HTTP."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from bcpnet.cli.common import Flag, Name, Number, OptionalPath, Size, chosen_backend, parse_size
from bcpnet.errors import InputError, UsageError
from bcpnet.machine import check_threads, usable_cores

_TOKEN = "BCPNET_TOKEN"


@dataclass(frozen=True)
class Serve:
    """Segment images over HTTP. For example:

    bcpnet serve

    curl --data-binary @street.jpg -o street.png http://127.0.0.1:8000/v1/segment

    /openapi.json describes all addresses, /metrics is for Prometheus, and /v2 is for the clients of KServe and Triton.
    Only this machine is served, unless --host opens it. SIGTERM and Ctrl-C end the service once the requests that run
    are answered.

    Attributes:
        weights: names that ship (`bcpnet models` lists them) or .onnx or .safetensors files; the first one is used
            where a request names none.
        host: address to listen at: 127.0.0.1 = this machine only, 0.0.0.0 = any. All but this machine's own need a
            token.
        port: 0 = one that is free.
        token_file: file with the token that clients must show, "Authorization: Bearer TOKEN"; else the environment
            variable BCPNET_TOKEN.
        no_token: serve other machines without a token, too.
        allow_origin: origins of other sites' pages that may use the service, such as https://example.com.
        page: folder of the web page to serve at /; by default the one that was built into the package, if any.
        workers: processes, which share the threads; by default one for each thread, on Windows one. One that dies is
            replaced while the others go on.
        threads: CPU threads of all workers together, by default one per core; each works on one image at a time.
        backend: what runs the network: native, onnxruntime, openvino or pytorch; by default what the weights call for;
            auto = the fastest here, by a trial of about a second that is remembered.
        size: height and width, in pixels, that images are resized to for the network; by default the short side it was
            trained for.
        max_mib: largest body of a request, in MiB.
        max_megapixels: largest image.
        queue: requests that may wait in each worker; more are answered 503.
        wait_s: seconds that one may wait; after that it is answered 503.
        connections: open at once in each worker.
    """

    weights: tuple[str, ...] = ("camvid",)
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: OptionalPath = None
    no_token: Flag = False
    allow_origin: Annotated[tuple[str, ...], arg(metavar="ORIGIN [ORIGIN ...]", help_behavior_hint="")] = ()
    page: OptionalPath = None
    workers: Number = None
    threads: Number = None
    backend: Name = None
    size: Size = None
    max_mib: int = 32
    max_megapixels: int = 20
    queue: int = 64
    wait_s: float = 10.0
    connections: int = 512


def run(options: Serve) -> int:
    """Serves until it is told to stop."""
    check_threads(options.threads)
    size_hw = None if options.size is None else parse_size(options.size)
    token = _token(options.token_file)
    threads = options.threads or usable_cores()
    workers = (1 if sys.platform == "win32" else threads) if options.workers is None else options.workers
    if not 1 <= workers <= threads:
        raise UsageError(f"--workers {workers}: need 1 to {threads}, a thread for each")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: need 0 to 65535")
    for name, value, least in (
        ("--max-mib", options.max_mib, 1), ("--max-megapixels", options.max_megapixels, 1),
        ("--queue", options.queue, 0), ("--wait-s", options.wait_s, 0), ("--connections", options.connections, 1),
    ):  # fmt: skip
        if not least <= value < 10**6:
            raise UsageError(f"{name} {value}: need at least {least}, and less than a million")

    from bcpnet.serving.bounds import Bounds
    from bcpnet.serving.models import names_of
    from bcpnet.serving.service import Access
    from bcpnet.serving.supervisor import is_loopback, serve
    from bcpnet.serving.worker import WorkerOptions

    names_of(options.weights)
    if not is_loopback(options.host) and token is None and not options.no_token:
        raise UsageError(f"--host {options.host}: other machines could use it: give a --token-file, or say --no-token")
    bounds = Bounds(
        request_mib=options.max_mib,
        megapixels=options.max_megapixels,
        queue=options.queue,
        wait_s=options.wait_s,
        connections=options.connections,
        bodies_mib=max(2, 8 // workers) * options.max_mib,
    )
    worker = WorkerOptions(
        options.weights,
        chosen_backend(options.backend, options.weights[0], size_hw, 1),
        size_hw,
        threads // workers,
        bounds,
        Access(token, options.allow_origin, options.page),
    )
    serve(worker, options.host, options.port, workers, lambda address: print(address, flush=True))
    return 0


def _token(path: Path | None) -> str | None:
    """The token clients must show; None = none was given."""
    if path is None:
        token = os.environ.get(_TOKEN)
        where = f"the environment variable {_TOKEN}"
    else:
        where = f"--token-file {path}"
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{where}: cannot read: {getattr(error, 'strerror', None) or 'not ASCII'}") from error
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError(f"{where}: need a token of at least 16 letters and digits, such as openssl rand -hex 16 gives")
    return token
