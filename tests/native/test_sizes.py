"""Sizes while the frame's is not known, against the same arithmetic on numbers."""

from __future__ import annotations

import random

import pytest

from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.sizes import Size

Steps = list[tuple[str, int]]


def some_steps(rng: random.Random) -> Steps:
    return [(rng.choice(["plus", "divided", "halved"]), rng.randint(1, 9)) for _ in range(rng.randint(0, 5))]


def follow(steps: Steps, length: int) -> int:
    for how, number in steps:
        length = length + number if how == "plus" else length // number if how == "divided" else -(-length // 2)
    return length


def symbolic(steps: Steps) -> Size:
    size = Size("height")
    for how, number in steps:
        size = size.halved() if how == "halved" else getattr(size, how)(number)
    return size


def test_is_what_numbers_give() -> None:
    rng = random.Random(0)
    for _ in range(1000):
        steps, length = some_steps(rng), rng.randint(1, 10_000)
        assert symbolic(steps).of(length) == follow(steps, length)


def test_equal_means_equal_for_every_length() -> None:
    rng = random.Random(0)
    equal = 0
    for _ in range(1000):
        first, second = symbolic(some_steps(rng)), symbolic(some_steps(rng))
        period = 2 * max(first.divisor, second.divisor) + max(first.offset, second.offset)
        lengths = range(1, min(period, 3000) + 2)
        same = all(first.of(length) == second.of(length) for length in lengths)
        assert same if first == second else not same or period > 3000
        equal += first == second
    assert equal > 10


def test_the_ways_to_round_a_half_up_are_one() -> None:
    """What the exporter writes, (H - 1) / 4 + 1, is what two convolutions of stride 2 leave."""
    assert Size("height").plus(-1).divided(4).plus(1) == Size("height").halved().halved()
    assert Size("height").halved() != Size("width").halved()


def test_what_could_be_negative_or_beyond_all_frames_is_refused() -> None:
    for size, by in ((Size("height").plus(-2), 4), (Size("height"), 0), (Size("height"), -2), (Size("height"), 2**40)):
        with pytest.raises(UnsupportedError):
            size.divided(by)
    with pytest.raises(UnsupportedError):
        Size("height").plus(2**31)
