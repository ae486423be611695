"""What names a live source, and what of it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.errors import UsageError
from bcpnet.media.live.address import RawPipe, parse_address, redacted

SECRET = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=4).map(
    lambda text: f"S3cr{text}t"
)


@pytest.mark.parametrize(
    ("source", "kind", "name", "stem"),
    [
        ("rtsp://10.0.0.5:554/street", "network", "rtsp://10.0.0.5:554/street", "10.0.0.5_554_street"),
        ("RTSP://cam/1?channel=2", "network", "rtsp://cam/1?...", "cam_1"),
        ("rtmp://host/live/key", "network", "rtmp://host/live/...", "host_live"),
        ("https://host/a.m3u8", "web", "https://host/a.m3u8", "host_a.m3u8"),
        ("udp://127.0.0.1:5000", "network", "udp://127.0.0.1:5000", "127.0.0.1_5000"),
        ("srt://h:9000?passphrase=x", "network", "srt://h:9000?...", "h_9000"),
        ("rtsp://[::1]:8554/a", "network", "rtsp://[::1]:8554/a", "1_8554_a"),
        ("-", "pipe", "standard input", "pipe"),
        ("shots/frame_%06d.png", "numbered", "shots/frame_%06d.png", "frame"),
        ("%d.jpg", "numbered", "%d.jpg", "frames"),
    ],
)
def test_addresses(source: str, kind: str, name: str, stem: str) -> None:
    address = parse_address(source)
    assert address is not None
    assert (address.kind, address.name, address.stem) == (kind, name, stem)


@pytest.mark.parametrize("source", ["clip.mp4", "a/b", "*.png", "C:\\clip.mp4", "100%.png", "frames-3", "x:y"])
def test_files_are_no_addresses(source: str) -> None:
    assert parse_address(source) is None
    assert parse_address(Path(source)) is None


def test_a_file_goes_before_a_camera_or_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("0", "a_%d.png"):
        assert parse_address(name) is not None
        Path(name).touch()
        assert parse_address(name) is None


@pytest.mark.parametrize(
    ("platform", "source", "target", "form"),
    [
        ("linux", 0, "/dev/video0", "v4l2"),
        ("linux", "/dev/video12", "/dev/video12", "v4l2"),
        ("linux", "camera:1", "/dev/video1", "v4l2"),
        ("darwin", 0, "0", "avfoundation"),
        ("darwin", "camera:FaceTime HD", "FaceTime HD", "avfoundation"),
        ("win32", "camera:USB Camera", "video=USB Camera", "dshow"),
    ],
)
def test_cameras(platform: str, source: str | int, target: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    address = parse_address(source)
    assert address is not None
    assert (address.kind, address.target, address.format) == ("camera", target, form)


def test_a_number_is_no_name_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="camera:NAME"):
        parse_address(0)


@pytest.mark.parametrize(
    "source", ["ftp://host/x.mp4", "file:///etc/passwd", "concat://a|b", "rtsp://", "gopher://u:p@h/x"]
)
def test_addresses_that_bcpnet_does_not_open(source: str) -> None:
    with pytest.raises(UsageError) as failure:
        parse_address(source)
    assert "u:p" not in str(failure.value)


def test_raw_frames_come_through_pipes_only() -> None:
    raw = RawPipe("rgb24", (48, 64))
    address = parse_address("-", raw)
    assert address is not None
    assert (address.format, address.options["video_size"]) == ("rawvideo", "64x48")
    with pytest.raises(UsageError, match="pipe"):
        parse_address("clip.mp4", raw)


@given(user=SECRET, password=SECRET, token=SECRET)
def test_no_secret_is_told(user: str, password: str, token: str) -> None:
    url = f"rtsp://{user}:{password}@cam.local:554/street?token={token}"
    address = parse_address(url)
    assert address is not None
    assert address.target == url
    for told in (redacted(url), address.name, address.stem, repr(address)):
        assert not any(secret in told for secret in (user, password, token))
    assert parse_address(f"rtmp://h/app/{token}") is not None
    assert token not in redacted(f"rtmp://h/app/{token}") or "/" in token
