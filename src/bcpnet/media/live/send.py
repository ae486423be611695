"""Sends H.264 over the network, in a process of its own: PyAV holds Python's lock while it connects, however long.

`python -m bcpnet.media.live.send` reads frames from standard input, as `Sender` writes them, until they end. It says on
standard output why it cannot go on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av import VideoStream

from bcpnet.errors import InputError
from bcpnet.media.live.connect import told
from bcpnet.media.video.encode import Yuv420, describe_pictures, even, working_encoder
from bcpnet.storage.damaged import damage

# Scheme -> container, and its options.
STREAMS: dict[str, tuple[str, dict[str, str]]] = {
    "rtmp": ("flv", {"flvflags": "no_duration_filesize"}),
    "rtmps": ("flv", {"flvflags": "no_duration_filesize"}),
    "rtsp": ("rtsp", {"rtsp_transport": "tcp"}),
    "udp": ("mpegts", {"mpegts_flags": "resend_headers"}),
}
_LIVE = {"libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}}
_UNIT_S = Fraction(1, 90_000)
_KEY_FRAMES_S = 2
_TICK_BYTES = 8
_ENDING_S = 2.0


class Sender:
    """The process that sends, seen from the one that makes the pictures."""

    def __init__(self, url: str, size_hw: tuple[int, int], fps: Fraction) -> None:
        """Starts it. The address goes through a pipe: every user of a machine can read the arguments of a process."""
        self._to_yuv420 = Yuv420()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bcpnet.media.live.send"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._put(json.dumps([url, size_hw, fps.numerator, fps.denominator]).encode() + b"\n")

    def write(self, picture: npt.NDArray[np.uint8], time_s: Fraction) -> None:
        """Sends one picture. Raises InputError where the process has ended, with the reason that it said."""
        tick = round(time_s / _UNIT_S)
        self._put(tick.to_bytes(_TICK_BYTES, "big") + self._to_yuv420(picture).to_ndarray().tobytes())

    def close(self) -> None:
        """Lets it send what it has, for two seconds. Raises InputError as `write`, or if that was not enough."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self.stop()
            raise InputError(f"the last pictures did not go out within {_ENDING_S:.0f} seconds") from None
        else:
            if code:
                raise InputError(self._reason())

    def stop(self) -> None:
        """Ends it at once; from any thread."""
        self._process.kill()

    def _put(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        else:
            return
        raise InputError(self._reason())

    def _reason(self) -> str:
        assert self._process.stdout
        return self._process.stdout.read().decode(errors="replace").strip() or "the process that sends was ended"


def main() -> int:
    """Sends what comes through standard input; 1 where that fails."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the other process ends this one
    source = sys.stdin.buffer
    url, (height, width), *rate = json.loads(source.readline())
    rows, columns = even((height, width))
    try:
        stream = _Stream(url, (height, width), Fraction(*rate))
        while len(tick := source.read(_TICK_BYTES)) == _TICK_BYTES:
            data = source.read(rows * columns * 3 // 2)
            yuv = np.frombuffer(data, np.uint8).reshape(rows * 3 // 2, columns)
            stream.write(av.VideoFrame.from_ndarray(yuv, format="yuv420p"), int.from_bytes(tick, "big"))
        stream.close()
    except InputError as error:
        print(error)
    except damage("av") as error:
        print(told(error))
    else:
        return 0
    return 1


class _Stream:
    def __init__(self, url: str, size_hw: tuple[int, int], fps: Fraction) -> None:
        container_format, options = STREAMS[url.partition("://")[0].lower()]
        encoder, encoder_options = working_encoder(size_hw)
        self._last_tick = -1
        self._container = av.open(url, "w", format=container_format, container_options=options)
        stream = self._container.add_stream(encoder, rate=fps, options=_LIVE.get(encoder, encoder_options))
        assert isinstance(stream, VideoStream)
        self._stream = stream
        context = stream.codec_context
        describe_pictures(context, size_hw)
        context.gop_size = max(1, round(_KEY_FRAMES_S * fps))
        context.time_base = stream.time_base = _UNIT_S

    def write(self, frame: av.VideoFrame, tick: int) -> None:
        self._last_tick = max(self._last_tick + 1, tick)
        frame.pts, frame.time_base = self._last_tick, _UNIT_S
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


if __name__ == "__main__":
    sys.exit(main())
