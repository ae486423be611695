"""Frames put together from RTP's parts: all, once, whole, and early where their ends can be foretold."""

from __future__ import annotations

import itertools
import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.media.live import access_units
from bcpnet.media.live.access_units import AccessUnit, AccessUnits, Codec

START = b"\0\0\0\1"
LARGEST = 1400  # bytes that RTP has in a packet
SLICE = {"h264": b"\x41", "hevc": b"\x02\x01"}
KEY_SLICE = {"h264": b"\x65", "hevc": b"\x26\x01"}
DELIMITER = {"h264": b"\x09\xf0", "hevc": b"\x46\x01\x50"}
FILLER = {"h264": b"\x0c", "hevc": b"\x4c\x01"}


def parts_of(unit: bytes, largest: int = LARGEST) -> list[bytes]:
    """As FFmpeg gives a NAL unit that was sent over RTP: in fragments if it is too large (RFC 6184 and 7798)."""
    if len(unit) <= largest:
        return [START + unit]
    ends = range(1 + largest - 2, len(unit), largest - 2)
    bounds = [0, *ends, len(unit)]
    fragments = [unit[start:end] for start, end in itertools.pairwise(bounds)]
    return [START + fragments[0], *fragments[1:]]


def frame(codec: Codec, sizes: list[int], is_key: bool = False, filler: int = 0) -> list[bytes]:
    """The parts of a frame with slices of so many bytes, and of filler after them."""
    head = KEY_SLICE[codec] if is_key else SLICE[codec]
    units = [DELIMITER[codec], *(head + b"\7" * size for size in sizes)]
    units += [FILLER[codec] + b"\xff" * filler] if filler else []
    return [part for unit in units for part in parts_of(unit)]


def given_by(units: AccessUnits, frames: list[list[bytes]]) -> tuple[list[AccessUnit], list[int]]:
    """What is given, and how many parts were there then."""
    result, at = [], []
    count = 0
    for pts, parts in enumerate(frames):
        for part in parts:
            count += 1
            new = list(units.add(part, pts, float(count)))
            result += new
            at += [count] * len(new)
    result += list(units.end())
    return result, [*at, *[count] * (len(result) - len(at))]


SIZES = st.lists(st.integers(1, 9000), min_size=1, max_size=4)


@given(
    st.sampled_from(get_args(Codec)),
    st.lists(st.tuples(SIZES, st.booleans(), st.integers(0, 3)), min_size=1, max_size=60),
)
def test_every_frame_is_given_once(codec: Codec, drawn: list[tuple[list[int], bool, int]]) -> None:
    """And whole, where the parts show no regularity that would be trusted."""
    frames = [frame(codec, sizes, is_key, filler) for sizes, is_key, filler in drawn]
    units, _ = given_by(AccessUnits(codec), frames)
    assert [unit.pts for unit in units] == list(range(len(frames)))
    assert [unit.is_key for unit in units] == [is_key for _, is_key, _ in drawn]
    starts = [1 + sum(map(len, frames[:index])) for index in range(len(frames))]
    assert [unit.arrived_s for unit in units] == starts
    whole = [unit.data == b"".join(parts) for unit, parts in zip(units, frames, strict=True)]
    assert whole.count(False) <= 1  # after that nothing is trusted any more


@given(st.sampled_from(get_args(Codec)), st.integers(1, 4), st.integers(0, 10**9))
def test_frames_are_given_with_their_last_part(codec: Codec, slices: int, seed: int) -> None:
    """Once as many have been right as it takes; those whose last part is as large as a packet come with the next."""
    chance = random.Random(seed)
    frames = [frame(codec, [chance.randint(1, 9000) for _ in range(slices)], index % 30 == 0) for index in range(100)]
    units, at = given_by(AccessUnits(codec), frames)
    assert [unit.data for unit in units] == [b"".join(parts) for parts in frames]
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    early = [count == end for count, end in zip(at, ends, strict=True)]
    assert all(count - end in (0, 1) for count, end in zip(at, ends, strict=True))
    assert not any(early[:30])
    assert sum(early[50:]) > 40


def test_a_frame_that_goes_on_after_its_slices_is_waited_for() -> None:
    """As encoders of constant bit rate fill frames up."""
    frames = [frame("h264", [3000], filler=50) for _ in range(200)]
    units, at = given_by(AccessUnits("h264"), frames)
    assert [unit.data for unit in units] == [b"".join(parts) for parts in frames]
    assert at[:-1] == [len(frames[0]) * index + 1 for index in range(1, 200)]


def test_after_a_mistake_nothing_is_foretold() -> None:
    frames = [frame("h264", [3000]) for _ in range(60)]
    frames += [frame("h264", [3000, 100]), *(frame("h264", [3000]) for _ in range(200))]
    units, at = given_by(AccessUnits("h264"), frames)
    whole = [unit.data == b"".join(parts) for unit, parts in zip(units, frames, strict=True)]
    assert [index for index, is_whole in enumerate(whole) if not is_whole] == [60]
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    assert all(count == end + 1 for count, end in list(zip(at, ends, strict=True))[61:-1])


def test_a_frame_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_units, "_MOST_BYTES", 10_000)
    units = AccessUnits("h264")
    given = [unit for _ in range(1000) for unit in units.add(b"\7" * 1000, None, 0.0)]
    assert len(given) > 80
    assert max(len(unit.data) for unit in given) <= 11_000
