"""Where pictures go as they are made: a pipe, or a stream on the network."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, UsageError
from bcpnet.media.live.address import PIPE, redacted
from bcpnet.media.live.handoff import Handoff
from bcpnet.media.live.send import STREAMS, Sender
from bcpnet.media.video.encode import Yuv420, even
from bcpnet.storage.damaged import reason

PipeKind = Literal["y4m", "rgb24"]
Picture = npt.NDArray[np.uint8]

_ENDING_S = 3.0  # for the last picture to go out
_STANDARD_OUTPUT = 1


class _Shown(NamedTuple):
    picture: Picture
    time_s: Fraction


class _Out(Protocol):
    def write(self, picture: Picture, time_s: Fraction) -> None: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...


class Sink:
    """Sends pictures out, in a thread of its own. Opened with the first; all have its size. Close it at the end.

    Attributes:
        name: where to, without credentials.
    """

    def __init__(self, target: str, pipe_kind: PipeKind = "y4m") -> None:
        """Opens nothing yet.

        Args:
            target: "-" = standard output, or an address that starts with rtmp, rtmps, rtsp or udp: H.264 goes there.
            pipe_kind: "y4m" (YUV4MPEG2, 4:2:0, at the source's frame rate) or "rgb24" (bytes, without any header).

        Raises:
            UsageError: another address.
        """
        scheme = target.partition("://")[0].lower()
        if target != PIPE and scheme not in STREAMS:
            raise UsageError(
                f"{redacted(target)}: overlays go to a .mp4 file, to - or to {', '.join(STREAMS)} addresses"
            )
        self.name = "standard output" if target == PIPE else redacted(target)
        self._target = target
        self._pipe_kind = pipe_kind
        self._size_hw: tuple[int, int] | None = None
        self._error: Exception | None = None
        self._is_over = threading.Event()
        self._pictures: Handoff[_Shown] = Handoff(self._is_over.is_set, room=1)
        self._out: _Out | None = None
        self._thread: threading.Thread | None = None

    def write(
        self, picture: Picture, time_s: Fraction, fps: Callable[[], Fraction], check: Callable[[], None] | None = None
    ) -> None:
        """Sends one picture, once the one before is out.

        Args:
            picture: H x W x 3 uint8, RGB.
            time_s: when it is shown, in seconds from the first.
            fps: says about how many come in a second; asked with the first.
            check: called several times a second; what it raises ends the wait.

        Raises:
            InputError: nothing can be sent there, or the size changes.
            BrokenPipeError: who read the pipe has gone.
        """
        size_hw = picture.shape[0], picture.shape[1]
        if self._size_hw is None:
            self._size_hw = size_hw
            self._thread = threading.Thread(target=self._run, args=(fps(),), name="sink", daemon=True)
            self._thread.start()
        elif size_hw != self._size_hw:
            was, now = ("{}x{}".format(*size) for size in (self._size_hw, size_hw))
            raise InputError(f"{self.name}: the pictures change from {was} to {now}: start again for those")
        self._pictures.give(_Shown(picture, time_s), check)
        self._raise_error()

    def close(self) -> None:
        """Sends what is left, for three seconds at most. Raises as `write`, what was not raised there."""
        self._pictures.end()
        if self._thread is not None:
            self._thread.join(_ENDING_S)
            if self._thread.is_alive() and self._error is None:
                self._error = InputError(
                    f"{self.name}: the last pictures did not go out within {_ENDING_S:.0f} seconds"
                )
        self.stop()
        self._raise_error()

    def stop(self) -> None:
        """Ends it at once."""
        self._is_over.set()
        if self._out is not None:
            self._out.stop()

    def _raise_error(self) -> None:
        """Once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, fps: Fraction) -> None:
        assert self._size_hw is not None
        try:
            is_pipe = self._target == PIPE
            self._out = (
                _Pipe(self._pipe_kind, self._size_hw, fps) if is_pipe else Sender(self._target, self._size_hw, fps)
            )
            while (shown := self._pictures.take()) is not None:
                self._out.write(*shown)
            self._out.close()
        except BrokenPipeError as error:  # the caller's thread raises it
            self._error = error
        except (InputError, OSError) as error:
            self._error = InputError(f"{self.name}: cannot be written ({reason(error)})")
        finally:
            self._is_over.set()


class _Pipe:
    def __init__(self, kind: PipeKind, size_hw: tuple[int, int], fps: Fraction) -> None:
        self._is_y4m = kind == "y4m"
        self._to_yuv420 = Yuv420()
        if self._is_y4m:
            height, width = even(size_hw)
            rate = f"F{fps.numerator}:{fps.denominator}"
            _write_all(f"YUV4MPEG2 W{width} H{height} {rate} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n".encode())

    def write(self, picture: Picture, time_s: Fraction) -> None:
        del time_s  # neither form has times
        if self._is_y4m:
            _write_all(b"FRAME\n" + self._to_yuv420(picture).to_ndarray().tobytes())
        else:
            _write_all(picture.tobytes())

    def close(self) -> None:
        pass

    def stop(self) -> None:
        pass


def _write_all(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(_STANDARD_OUTPUT, rest) :]
