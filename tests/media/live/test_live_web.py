"""What lies on a web server: files, playlists, and what playlists may not open."""

from __future__ import annotations

from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from live_servers import (
    http_server,
    number_of,
    numbered,
    write_numbered,
)

import bcpnet
from bcpnet.errors import InputError


def test_a_file_on_the_web_ends(tmp_path: Path) -> None:
    data = write_numbered(tmp_path / "x.mp4", 30).read_bytes()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with http_server(answer) as url, bcpnet.open_source(f"{url}/x.mp4") as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == [Fraction(index, 25) for index in range(30)]


def test_a_playlist_on_the_web(tmp_path: Path) -> None:
    files = _hls(tmp_path)
    with (
        http_server(lambda handler: _send(handler, files.get(handler.path))) as url,
        bcpnet.open_source(f"{url}/list.m3u8") as source,
    ):
        assert [number_of(frame.image) for frame in source] == list(range(50))


def test_a_live_playlist_is_shown_at_its_own_pace(tmp_path: Path) -> None:
    """Its segments come at once, seconds of frames in each; they are not dropped for that."""
    files = _hls(tmp_path)
    files["/list.m3u8"] = files["/list.m3u8"].replace(b"#EXT-X-ENDLIST\n", b"")
    with (
        http_server(lambda handler: _send(handler, files.get(handler.path))) as url,
        bcpnet.open_source(f"{url}/list.m3u8", max_frames=15) as source,
    ):
        numbers = [number_of(frame.image) for frame in source]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[1] < 40


@pytest.mark.parametrize("form", ["file://{}", "{}", "concat:{}", "subfile,,start,0,end,0,,:{}"])
def test_a_playlist_opens_no_file(form: str, tmp_path: Path) -> None:
    """Not even a good one, which FFmpeg would play."""
    segment = form.format(write_numbered(tmp_path / "x.ts", 25, "mpegts"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n".encode()
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        _send(handler, playlist if handler.path == "/list.m3u8" else None)

    with http_server(answer) as url, pytest.raises(InputError, match=r"list\.m3u8"):
        list(bcpnet.open_source(f"{url}/list.m3u8"))
    assert "/list.m3u8" in asked


def test_a_list_of_files_is_no_video_on_the_web(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "x.mp4", 5)
    listed = f"ffconcat version 1.0\nfile {video}\n".encode()
    with http_server(lambda handler: _send(handler, listed)) as url, pytest.raises(InputError):
        bcpnet.open_source(f"{url}/x.ffconcat")


def _hls(folder: Path) -> dict[str, bytes]:
    """A playlist of two seconds and its segments, by their paths on a server."""
    import av

    with av.open(
        str(folder / "list.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}
    ) as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        stream.codec_context.gop_size = 25
        for index in range(50):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        output.mux(stream.encode(None))
    return {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}


def _send(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    if data is None:
        handler.send_error(404)
        return
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
