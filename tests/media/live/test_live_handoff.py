"""Things that go from one thread to another: which, in what order, and that nobody waits for ever."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.media.live.handoff import Handoff

PATIENCE_S = 30


@given(count=st.integers(0, 200), room=st.none() | st.integers(1, 5))
def test_all_come_in_order(count: int, room: int | None) -> None:
    handoff: Handoff[int] = Handoff(lambda: False, room)

    def give() -> None:
        for number in range(count):
            handoff.give(number)
        handoff.end()

    thread = threading.Thread(target=give)
    thread.start()
    taken = []
    while (number := handoff.take()) is not None:
        taken.append(number)
        assert room is None or number <= len(taken) + room
    thread.join()
    assert taken == list(range(count))


@given(st.lists(st.booleans(), max_size=50))
def test_the_newest_of_those_given(is_given: list[bool]) -> None:
    handoff: Handoff[int] = Handoff(lambda: False, newest=True)
    newest = None
    for number, give in enumerate(is_given):
        if give:
            handoff.give(number)
            newest = number
        else:
            assert handoff.take(0 if newest is None else float("inf")) == newest
            newest = None


def test_the_giver_waits_for_room_and_its_check_may_end_that() -> None:
    handoff: Handoff[int] = Handoff(lambda: False, room=2)
    checks = []

    def check() -> None:
        checks.append(None)
        if len(checks) == 5:
            raise KeyboardInterrupt

    handoff.give(0, check)
    handoff.give(1, check)
    with pytest.raises(KeyboardInterrupt):
        handoff.give(2, check)
    assert handoff.clear() == 2
    handoff.give(3)
    assert handoff.take() == 3


def test_an_error_comes_last_and_once() -> None:
    handoff: Handoff[int] = Handoff(lambda: False)
    handoff.give(0)
    handoff.end(OSError("gone"))
    assert handoff.take() == 0
    with pytest.raises(OSError, match="gone"):
        handoff.take()
    assert handoff.take() is None


def test_what_is_over_is_left() -> None:
    over = threading.Event()
    handoff: Handoff[int] = Handoff(over.is_set, room=1)
    handoff.give(0)
    threading.Timer(0.05, over.set).start()
    handoff.give(1)
    assert handoff.take() is None


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("waits", ["taker", "giver"])
def test_a_signal_whose_handler_takes_long_does_not_stop_the_checks(waits: str) -> None:
    """SimpleQueue.get(timeout=...) would wait for ever: the handler ends after its time."""
    looks = []

    def is_over() -> bool:
        looks.append(time.monotonic())
        return len(looks) > 6 or looks[-1] - looks[0] > PATIENCE_S

    handoff: Handoff[int] = Handoff(is_over, room=1)
    handoff.give(0)
    if waits == "taker":
        assert handoff.take() == 0
    _during_signals(lambda: handoff.take() if waits == "taker" else handoff.give(1))
    assert len(looks) > 6


def _during_signals(wait: Callable[[], object]) -> None:
    """Ends it by an alarm where it does not end."""

    def handle(*_: object) -> None:
        time.sleep(0.3)
        if next_s.pop():
            pytest.fail("waits for ever")
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    next_s = [True, False]
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
