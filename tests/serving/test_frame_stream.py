"""WS /v1/stream: class maps of frames, and the newest first where they come too quickly."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from media_files import scene
from service_here import client_of, encoded, new_service, pixels
from starlette.websockets import WebSocketDisconnect

from bcpnet.segmenter import Segmenter
from bcpnet.serving.bounds import Bodies, Bounds
from bcpnet.serving.models import Models
from bcpnet.serving.stream import _Newest

ADDRESS = "/v1/stream"


def test_class_maps_come_in_order(client: Any, segmenter: Segmenter) -> None:
    with client.websocket_connect(ADDRESS) as stream:
        for index in range(4):
            frame = scene(index, 40, 60 + index)
            stream.send_bytes(encoded(frame))
            about = stream.receive_json()
            assert (about["frame"], about["skipped"]) == (index, 0)
            assert {"decode", "network", "encode"} <= set(about["ms"])
            np.testing.assert_array_equal(pixels(stream.receive_bytes()), segmenter(frame).class_map)


def test_a_bad_frame_is_told_and_the_stream_goes_on(client: Any) -> None:
    with client.websocket_connect(f"{ADDRESS}?output=overlay") as stream:
        stream.send_bytes(b"not an image")
        assert set(stream.receive_json()) == {"frame", "skipped", "error"}
        stream.send_bytes(encoded())
        assert stream.receive_json()["frame"] == 1
        assert pixels(stream.receive_bytes()).shape == (45, 61, 3)


def test_the_newest_frame_is_next(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()
    from bcpnet.serving import stream as module

    segment_file = module.segment_file

    def slow(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(30)
        return segment_file(*arguments)

    monkeypatch.setattr(module, "segment_file", slow)
    service = new_service(models)
    with client_of(service).websocket_connect(ADDRESS) as stream:
        stream.send_bytes(encoded())
        assert began.wait(30)
        for width in (50, 51, 52, 53):
            stream.send_bytes(encoded(scene(0, 40, width)))
        while service.bodies.held != len(encoded(scene(0, 40, 53))):
            pass
        go_on.set()
        assert stream.receive_json()["frame"] == 0
        stream.receive_bytes()
        about = stream.receive_json()
        assert (about["frame"], about["skipped"]) == (4, 3)
        assert pixels(stream.receive_bytes()).shape == (40, 53)
    assert 'bcpnet_images_total{result="skipped"} 3' in service.metrics.text()


def test_no_frame_is_lost_or_doubled() -> None:
    """Whatever the order of coming and taking: numbers rise, and what was skipped and taken adds up."""

    class Frames:
        def __init__(self) -> None:
            self.left = 200

        async def receive(self) -> dict[str, Any]:
            await asyncio.sleep(0 if self.left % 3 else 0.001)
            self.left -= 1
            if self.left < 0:
                return {"type": "websocket.disconnect"}
            return {"type": "websocket.receive", "bytes": b"%d" % (199 - self.left)}

    async def scenario() -> None:
        with Bodies(1000).of_one_request() as body:
            newest = _Newest(Frames(), body)  # type: ignore[arg-type]
            reading = asyncio.ensure_future(newest.read())
            last, counted = -1, 0
            while (taken := await newest.take()) is not None:
                number, skipped, file = taken
                assert file == b"%d" % number
                assert number > last
                last, counted = number, counted + 1 + skipped
                await asyncio.sleep(0.002 if number % 5 else 0)
            await reading
            assert (last, counted) == (199, 200)

    asyncio.run(scenario())


@pytest.mark.parametrize("query", ["?output=json", "?output=video", "?model=yours"])
def test_a_stream_that_cannot_be_is_closed_with_the_reason(query: str, client: Any) -> None:
    with client.websocket_connect(ADDRESS + query) as stream, pytest.raises(WebSocketDisconnect) as closed:
        stream.receive_json()
    assert closed.value.code == 1008
    assert closed.value.reason


def test_text_is_no_frame(client: Any) -> None:
    with client.websocket_connect(ADDRESS) as stream:
        stream.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            stream.receive_json()
    assert closed.value.code == 1003


def test_a_full_queue_is_told(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    service = new_service(models, Bounds(queue=0, hold_s=0.01))
    monkeypatch.setattr(service.jobs, "_places", lambda: 0)
    with client_of(service).websocket_connect(ADDRESS) as stream:
        stream.send_bytes(encoded())
        assert "queue" in stream.receive_json()["error"]
