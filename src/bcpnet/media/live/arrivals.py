"""What comes through a connection: frames, compressed, each with when it came."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from av.packet import Packet

from bcpnet.media.live.access_units import AccessUnit, AccessUnits, Codec
from bcpnet.media.live.connect import Connection


class Arrival(NamedTuple):
    """A frame, compressed.

    Attributes:
        packet: what the decoder takes.
        at_s: when its first byte came, on the clock of `time.monotonic`.
        is_key: whether decoding can start here.
    """

    packet: Packet[Any]
    at_s: float
    is_key: bool


def arrivals(connection: Connection) -> Iterator[Arrival]:
    """Yields frames as they come. Raises what PyAV raises."""
    packets = connection.container.demux(connection.stream)
    yield from (
        _whole(packets, connection.held) if connection.parts_of is None else _put_together(packets, connection.parts_of)
    )


def _whole(packets: Iterator[Packet[Any]], held: int) -> Iterator[Arrival]:
    # The end of one shows where the next begins: then, one frame ago, this one began.
    begun_s: deque[float] = deque(maxlen=held + 1)
    for packet in packets:
        begun_s.append(time.monotonic())
        yield Arrival(packet, begun_s[0], packet.is_keyframe)


def _put_together(packets: Iterator[Packet[Any]], codec: Codec) -> Iterator[Arrival]:
    units = AccessUnits(codec)
    for packet in packets:
        if packet.size:
            for unit in units.add(bytes(packet), packet.pts, time.monotonic()):
                yield _of(unit, packet)
        else:  # the end, which makes the decoder give what it has
            for unit in units.end():
                yield _of(unit, packet)
            yield Arrival(packet, time.monotonic(), False)


def _of(unit: AccessUnit, part: Packet[Any]) -> Arrival:
    packet: Packet[Any] = Packet(unit.data)
    packet.pts, packet.time_base = unit.pts, part.time_base
    return Arrival(packet, unit.arrived_s, unit.is_key)
