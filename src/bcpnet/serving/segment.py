"""POST /v1/segment: images in; class maps, pictures or JSON out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from bcpnet.errors import InputError
from bcpnet.serving.bounds import Bounds, RefusedError
from bcpnet.serving.formats import Content, Entry, Output, chosen_output, content, encode
from bcpnet.serving.jobs import unless_gone
from bcpnet.serving.models import Model
from bcpnet.serving.service import service_of
from bcpnet.serving.uploads import decode, image_files


class _Answer(NamedTuple):
    """What a thread made of a request."""

    entries: list[Entry]
    content: Content | RefusedError


async def segment(request: Request) -> Response:
    """The endpoint. Bad images of several are told one by one; where none is good, the request is refused."""
    service = service_of(request)
    output = chosen_output(request.query_params.get("output"), request.headers.get("accept"))
    model = service.models.get(request.query_params.get("model"))
    await service.jobs.room()
    with service.bodies.of_one_request() as body:
        data = await body.receive(request, service.bounds.request_bytes)
        kind = request.headers.get("content-type", "")
        job = partial(_answer, data, kind, model, output, service.bounds)
        answer: _Answer = await unless_gone(request.receive, partial(service.jobs.run, job))
    for entry in answer.entries:
        service.metrics.image("refused" if entry.value is None else "segmented", entry.ms)
    if isinstance(answer.content, RefusedError):
        raise answer.content
    return Response(
        answer.content.data,
        media_type=answer.content.media_type,
        headers={"Server-Timing": _server_timing(answer.entries), "Cache-Control": "no-store", "Vary": "Accept"},
    )


def segment_file(file: bytes, model: Model, output: Output, bounds: Bounds) -> Entry:
    """Decodes, segments and encodes one image; what is wrong with it is in the entry."""
    try:
        began = time.perf_counter()
        frame = decode(file, bounds)
        decoded = time.perf_counter()
        result = model.segmenter(frame)
        segmented = time.perf_counter()
        value = encode(result, output)
    except RefusedError as error:
        return Entry(None, error)
    except InputError as error:  # such as a network that takes one size only
        return Entry(None, RefusedError(422, str(error)))
    except MemoryError:
        return Entry(None, RefusedError(503, "not enough memory for this image now: try again later", 1))
    encoding_s = time.perf_counter() - segmented
    return Entry(value, None, {"decode": 1000 * (decoded - began), **result.timings_ms, "encode": 1000 * encoding_s})


def _answer(data: bytes, content_type: str, model: Model, output: Output, bounds: Bounds) -> _Answer:
    entries: list[Entry] = []
    try:
        entries += [segment_file(file, model, output, bounds) for file in image_files(data, content_type, bounds)]
        return _Answer(entries, content(entries, output, model.name))
    except RefusedError as error:
        return _Answer(entries, error)


def _server_timing(entries: Sequence[Entry]) -> str:
    """Milliseconds by stage, of all images together, as browsers show them (w3.org/TR/server-timing)."""
    sums: dict[str, float] = {}
    for entry in entries:
        for stage, ms in (entry.ms or {}).items():
            sums[stage] = sums.get(stage, 0.0) + ms
    return ", ".join(f"{stage};dur={ms:.2f}" for stage, ms in sums.items())
