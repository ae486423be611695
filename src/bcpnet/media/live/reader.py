"""Reads a live source in threads of its own: one receives, one decodes, and neither waits for who takes the frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import av
from av import VideoStream
from av.packet import Packet

from bcpnet.errors import InputError
from bcpnet.media.live.address import Address
from bcpnet.media.live.arrivals import Arrival, arrivals
from bcpnet.media.live.connect import Connection, connect, told
from bcpnet.media.live.handoff import Handoff
from bcpnet.media.live.received import Received
from bcpnet.media.video.open import as_fraction
from bcpnet.storage.damaged import damage

_LONGEST_WAIT_S = 0.5  # of a packet; then the decoder is too slow, and goes on at the next key frame
_CATCHING_UP_S = 1.0  # at most, after connecting: what came while FFmpeg looked at the stream is old
_SKIPPING_S = 0.1  # at most, where newer ones wait for the decoder
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_ROOM = 32  # packets, where every frame is taken
_MOST_ARRIVALS = 64


class _Queued(NamedTuple):
    arrival: Arrival
    queued_s: float
    is_after_gap: bool


class Reader:
    """Reads an address until it ends or `stop` is called; connects again where the connection of a live one is lost.

    Attributes:
        connection: the last one; None before the first.
        is_live: whether the source is; None before the first connection.
    """

    def __init__(self, address: Address, newest: bool | None, tell: Callable[[str], None]) -> None:
        """Opens nothing yet. `newest`: drop what is not taken in time; None = where the source is live."""
        self.connection: Connection | None = None
        self.is_live: bool | None = None
        self._address = address
        self._newest = newest
        self._tell = tell
        self._stopped = threading.Event()
        self._opened: Handoff[Connection] = Handoff(self._stopped.is_set)
        self._frames: Handoff[Received]
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._decoded = self._discarded = 0  # frames, and packets; each counted by one thread
        self._first_s: float | None = None
        self._lost_at_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def start(self) -> None:
        """Starts, and waits for the connection. Raises InputError where there is none."""
        self._thread.start()
        self.connection = self._opened.take()

    def take(self, until_s: float = float("inf")) -> Received | None:
        """The next frame, or the newest; None at the end, at `until_s` (of `time.monotonic`), and when stopped.

        Raises:
            InputError: what is no live source broke off.
        """
        return None if self.is_stopped else self._frames.take(until_s)

    def stop(self) -> None:
        """Ends it, from any thread; what waits for a packet ends in its own time."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def fps(self) -> Fraction:
        """Frames a second, as far as the source says; 25 where it does not."""
        return Fraction(25) if self.connection is None else self.connection.fps

    def close(self, patience_s: float) -> None:
        """Waits for the threads' end, for so long; after `stop`."""
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            connection = connect(self._address)
        except Exception as error:  # the caller's thread raises it
            self._opened.end(error)
            return
        self.is_live = connection.is_live
        newest = connection.is_live if self._newest is None else self._newest
        self._frames = Handoff(self._stopped.is_set, room=None if newest else 1, newest=newest)
        self._opened.give(connection)
        try:
            self._read_on(connection, newest)
        except Exception as error:  # as above
            self._frames.end(error)
        else:
            self._frames.end()

    def _read_on(self, connection: Connection, newest: bool) -> None:
        while True:
            why = self._read(connection, newest)
            if self.is_stopped:
                return
            if not self.is_live:
                if why is not None:
                    raise InputError(f"{self._address.name}: breaks off ({why})")
                return
            if self._lost_at_s is None:
                self._lost_at_s = time.monotonic()
                self._tell(f"{self._address.name}: connection lost ({why or 'the stream ended'}); trying again")
            again = self._connect_again()
            if again is None or not again.is_live:  # a live playlist that is complete now
                return
            connection = again

    def _connect_again(self) -> Connection | None:
        while not self._stopped.wait(self._pause_s):
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            try:
                connection = connect(self._address)
            except InputError:
                continue
            self.connection = connection
            return connection
        return None

    def _read(self, connection: Connection, newest: bool) -> str | None:
        """Receives until the connection ends; returns what was wrong then."""
        queue: Handoff[_Queued] = Handoff(self._stopped.is_set, room=None if newest else _ROOM)
        decoder = threading.Thread(target=self._decode, args=(connection, queue, newest), name="live decoder")
        decoder.daemon = True
        decoder.start()
        why = None
        try:
            self._receive(connection, queue, newest)
        except damage("av") as error:
            why = told(error)
        finally:
            queue.end()
            decoder.join()
            connection.stream.codec_context.flush_buffers()  # as in Decoder.__exit__
            connection.container.close()
        return why

    def _receive(self, connection: Connection, queue: Handoff[_Queued], newest: bool) -> None:
        is_after_gap = False
        pace = _Pace() if connection.is_paced else None
        for arrival in arrivals(connection):
            if pace is not None:
                pace.wait(arrival.packet, self._stopped)
            if self.is_stopped:
                return
            now_s = time.monotonic()
            oldest = queue.oldest() if newest else None
            if oldest is not None and now_s - oldest.queued_s > _LONGEST_WAIT_S:
                self._discarded += queue.clear()
                is_after_gap = True
            if is_after_gap and not arrival.is_key:
                self._discarded += 1
                continue
            queue.give(_Queued(arrival, now_s, is_after_gap))
            is_after_gap = False

    def _decode(self, connection: Connection, queue: Handoff[_Queued], newest: bool) -> None:
        context = connection.stream.codec_context
        clock = _Clock(connection.fps)
        came_s: dict[int | None, float] = {}  # by the packets' times, which their frames have, too
        skip_until_s = time.monotonic() + _CATCHING_UP_S
        while (queued := queue.take()) is not None:
            arrival = queued.arrival
            if queued.is_after_gap:
                context.flush_buffers()
                came_s.clear()
            if len(came_s) > _MOST_ARRIVALS:
                came_s.clear()
            came_s[arrival.packet.pts] = arrival.at_s
            try:
                frames = context.decode(arrival.packet)
            except damage("av"):  # joined in the middle, or a lost packet
                self._decoded += 1
                continue
            for frame in frames:
                at_s = came_s.pop(frame.pts, arrival.at_s)
                self._decoded += 1
                if newest and queue.oldest() is not None and time.monotonic() < skip_until_s:
                    continue
                skip_until_s = time.monotonic() + _SKIPPING_S
                self._hand_over(frame, at_s, clock)

    def _hand_over(self, frame: av.VideoFrame, at_s: float, clock: _Clock) -> None:
        if self._lost_at_s is not None:
            self._tell(f"{self._address.name}: there again after {at_s - self._lost_at_s:.1f} s")
            self._lost_at_s = None
        self._pause_s = _FIRST_PAUSE_S
        if self._first_s is None:
            self._first_s = at_s
        time_s = Fraction(round(1000 * (at_s - self._first_s)), 1000) if self.is_live else clock.time_of(frame)
        self._frames.give(Received(frame, self._decoded + self._discarded - 1, at_s, time_s))


class _Clock:
    """Times of frames from the first on, by their own; those without one follow the one before."""

    def __init__(self, fps: Fraction) -> None:
        self._step_s = 1 / fps
        self._last_s = -self._step_s
        self._shift_s: Fraction | None = None

    def time_of(self, frame: av.VideoFrame) -> Fraction:
        unit_s = as_fraction(frame.time_base)
        next_s = self._last_s + self._step_s
        if frame.pts is None or unit_s is None:
            time_s = next_s
        else:
            own_s = frame.pts * unit_s
            if self._shift_s is None or own_s + self._shift_s <= self._last_s:  # the first, or a clock set anew
                self._shift_s = next_s - own_s
            time_s = own_s + self._shift_s
        self._last_s = time_s
        return time_s


class _Pace:
    """Lets packets through when they are due, by their own times."""

    def __init__(self) -> None:
        self._start_s: float | None = None

    def wait(self, packet: Packet[VideoStream], stopped: threading.Event) -> None:
        unit_s = as_fraction(packet.time_base)
        if packet.dts is None or unit_s is None:
            return
        time_s, now_s = float(packet.dts * unit_s), time.monotonic()
        if self._start_s is None or abs(self._start_s + time_s - now_s) > _LONGEST_PAUSE_S:
            self._start_s = now_s - time_s  # the first, late by much, or a clock set anew
        stopped.wait(max(0.0, self._start_s + time_s - now_s))
