"""Files from the web: a download that goes on where it broke off."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from bcpnet.errors import InputError, UsageError

Report = Callable[[str], None]

_TIMEOUT_S = 30.0
_WAITS_S = (1.0, 2.0, 4.0, 8.0)  # before each new try; anything that arrives starts them over
_CHUNK_BYTES = 1 << 18
_LONGEST_NAME_BYTES = 255  # of most file systems
_REPORT_EVERY_BYTES = 20_000_000


class _InterruptedError(Exception):
    """The transfer broke off; trying again may help."""


def check_address(base_url: str) -> None:
    """Raises UsageError unless it is one of http or https, in ASCII."""
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and base_url.isascii() and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{base_url}: need a http:// or https:// address")


def part_beside(path: Path, suffix: str = ".part") -> Path:
    """Where a download of `path` lies until it is complete: hidden, the same in every call, not too long."""
    name = f".{path.name}{suffix}"
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}{suffix}"
    return path.parent / name


def download(url: str, part: Path, report: Report) -> None:
    """Completes the file `part`, going on from what it holds where the server can; tries again where it breaks off.

    Args:
        url: what to fetch.
        part: where to; stays as far as it got if this fails.
        report: is called with each line of news.

    Raises:
        InputError: no connection, or the server has no such file.
        OSError: `part` cannot be written.
    """
    tries, furthest = 0, 0
    while True:
        try:
            _transfer(url, part, report)
            return
        except _InterruptedError as error:
            size = part.stat().st_size if part.exists() else 0
            tries = 0 if size > furthest else tries
            furthest = max(size, furthest)
            if tries == len(_WAITS_S):
                resumes = f", it goes on from the {size / 1e6:.0f} MB in {part}" if size else ""
                raise InputError(f"{url}: {error}; check the network and run the command again{resumes}") from error
            report(f"{error}; trying again in {_WAITS_S[tries]:.0f} s")
            time.sleep(_WAITS_S[tries])
            tries += 1


def _transfer(url: str, part: Path, report: Report) -> None:
    """One request, which goes on from what `part` holds."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
            return  # all of it is here
        if error.code == 416:
            part.unlink()
        if error.code in (416, 429) or error.code >= 500:
            raise _InterruptedError(f"the server answered {error.code} {error.reason}") from error
        raise InputError(f"{url}: the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"no connection ({getattr(error, 'reason', None) or error})") from error
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        size = file.tell()
        length = response.headers.get("Content-Length")
        total = size + int(length) if length else None
        report(f"fetching {url}" + (f", from {size / 1e6:.0f} MB on" if size else ""))
        while chunk := _read(response):
            file.write(chunk)
            if (size + len(chunk)) // _REPORT_EVERY_BYTES > size // _REPORT_EVERY_BYTES:
                report(f"  {size / 1e6:.0f} MB" + (f" of {total / 1e6:.0f}" if total else ""))
            size += len(chunk)
    if total is not None and size < total:
        raise _InterruptedError(f"the connection dropped after {size / 1e6:.1f} of {total / 1e6:.1f} MB")


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; apart from writing them, because a full disk is an OSError too."""
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"the connection dropped ({error or type(error).__name__})") from error
