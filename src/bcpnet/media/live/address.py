"""What names a live source, and how FFmpeg may open it. Nothing is opened here."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bcpnet.errors import UsageError

PIPE = "-"
_LONGEST_STEM = 60
_WEB = "http,https,httpproxy,tls,tcp,crypto"  # crypto decrypts the segments of HLS
_RTSP = {
    "rtsp_flags": "prefer_tcp",
    "allowed_media_types": "video",
    "fflags": "noparse",  # gives parts of frames; see access_units.py
}

# Scheme -> the protocols that FFmpeg may use for it, whatever a playlist or a server names, and options of its own.
_SCHEMES: dict[str, tuple[str, dict[str, str]]] = {
    "rtsp": ("rtsp,rtp,udp,tcp", _RTSP),
    "rtsps": ("rtsps,rtsp,rtp,srtp,udp,tls,tcp", _RTSP),
    "rtmp": ("rtmp,tcp", {}),
    "rtmps": ("rtmps,rtmp,tls,tcp", {}),
    "http": (_WEB, {}),
    "https": (_WEB, {}),
    "udp": ("udp", {"overrun_nonfatal": "1"}),
    "srt": ("srt,udp", {}),
}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_CAMERA = re.compile(r"camera:(.+)", re.DOTALL)
_NUMBERED = re.compile(r"%(0\d+)?d")


@dataclass(frozen=True)
class RawPipe:
    """Frames without a container.

    Attributes:
        pixel_format: as FFmpeg calls it: rgb24, bgr24, gray, yuv420p ...
        size_hw: height and width, in pixels.
    """

    pixel_format: str
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Address:
    """A live source.

    Attributes:
        name: as messages and results have it, without credentials.
        stem: what its results are called.
        kind: where frames come from.
        target: what FFmpeg opens; may have credentials, so `repr` leaves it out.
        protocols: those that FFmpeg may use.
        options: for FFmpeg.
        format: as FFmpeg calls it; None = found by what comes.
    """

    name: str
    stem: str
    kind: Literal["camera", "network", "web", "pipe", "numbered"]
    target: str = field(repr=False)
    protocols: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    format: str | None = None


def parse_address(source: str | int | Path, raw: RawPipe | None = None) -> Address | None:
    """The live source that `source` names; None for files, folders and globs.

    Args:
        source: a camera's number, "/dev/video0", "camera:NAME", a URL, "-", or "frame_%06d.png". A file that has the
            same name goes first.
        raw: what comes through "-", where it is no container.

    Raises:
        UsageError: a URL that bcpnet does not open, or `raw` for what is no pipe.
    """
    text = str(source)
    if raw is not None and text != PIPE:
        raise UsageError("a pixel format and a size are for frames that come through a pipe: name it -")
    if text == PIPE:
        return _pipe(raw)
    if url := _URL.fullmatch(text):
        return _network(url[1].lower(), url[2])
    if camera := _CAMERA.fullmatch(text):
        return _camera(camera[1])
    if text.startswith("/dev/video"):
        return _camera(text)
    if text.isascii() and text.isdigit() and not Path(text).exists():
        return _camera(text)
    if _NUMBERED.search(Path(text).name) and not Path(text).exists():
        stem = re.sub(r"[_.-]+$", "", _NUMBERED.sub("", Path(text).stem)) or "frames"
        return Address(text, stem, "numbered", text)
    return None


def redacted(url: str) -> str:
    """A URL without user, password, query and, of RTMP, the key at its end.

    All up to the last "@" goes: passwords with an unescaped "/" or "?" are common.
    """
    scheme, _, rest = url.partition("://")
    rest = rest.rpartition("@")[2]
    plain = re.split(r"[?#]", rest, maxsplit=1)[0]
    if scheme.lower().startswith("rtmp") and plain.count("/") > 1:
        return f"{scheme}://{plain.rpartition('/')[0]}/..."
    return f"{scheme}://{plain}" + ("?..." if plain != rest else "")


def _network(scheme: str, rest: str) -> Address:
    name = redacted(f"{scheme}://{rest}")
    if scheme not in _SCHEMES:
        raise UsageError(f"{name}: bcpnet opens {', '.join(_SCHEMES)} addresses, cameras, pipes and files")
    if not rest.strip("/"):
        raise UsageError(f"{name}: no host in this address")
    protocols, options = _SCHEMES[scheme]
    stem = re.sub(r"[^A-Za-z0-9.-]+", "_", name.partition("://")[2].removesuffix("/...").removesuffix("?..."))
    kind: Literal["web", "network"] = "web" if scheme in ("http", "https") else "network"
    stem = stem.strip("_.")[:_LONGEST_STEM] or scheme
    return Address(name, stem, kind, f"{scheme}://{rest}", protocols, options)


def _pipe(raw: RawPipe | None) -> Address:
    if raw is None:
        return Address("standard input", "pipe", "pipe", "pipe:0", "pipe")
    options = {"pixel_format": raw.pixel_format, "video_size": "{1}x{0}".format(*raw.size_hw)}
    return Address("standard input", "pipe", "pipe", "pipe:0", "pipe", options, "rawvideo")


def _camera(camera: str) -> Address:
    """Windows and macOS have names for cameras: what is here for them follows FFmpeg's manual, and was not run."""
    stem = "camera_" + re.sub(r"[^A-Za-z0-9]+", "_", camera.removeprefix("/dev/")).strip("_")[:_LONGEST_STEM]
    name = f"camera {camera}"
    if sys.platform == "darwin":
        return Address(name, stem, "camera", camera, "", {"framerate": "30"}, "avfoundation")
    if sys.platform == "win32":
        if camera.isdigit():
            raise UsageError(f"{name}: on Windows cameras have names: camera:NAME, as the device manager shows it")
        return Address(name, stem, "camera", f"video={camera}", "", {}, "dshow")
    device = f"/dev/video{camera}" if camera.isdigit() else camera
    return Address(device, stem, "camera", device, "", {}, "v4l2")
