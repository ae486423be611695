"""Turns: in order whatever the threads do, and nobody waits for an item that is gone."""

from __future__ import annotations

import threading
import time
from contextlib import closing

from bcpnet.frames.turns import Turn, with_turns
from bcpnet.pipeline import ordered_map


def test_in_order_though_the_first_takes_longest() -> None:
    done: list[int] = []

    def work(item: tuple[int, Turn]) -> int:
        number, turn = item
        time.sleep(0.02 if number % 4 == 0 else 0)
        with turn:
            done.append(number)
        return number

    with closing(ordered_map(work, with_turns(range(20)), 4)) as results:
        assert list(results) == list(range(20))
    assert done == list(range(20))


def test_nobody_waits_for_what_was_dropped() -> None:
    turns = [turn for _, turn in with_turns(range(2))]
    waited = threading.Event()

    def wait(turn: Turn) -> None:
        with turn:
            waited.set()

    thread = threading.Thread(target=wait, args=(turns[1],), daemon=True)
    thread.start()
    assert not waited.wait(0.05)
    del turns[0]
    assert waited.wait(5)
    thread.join()


def test_closes_its_source() -> None:
    closed = []

    def source():
        try:
            yield from range(9)
        finally:
            closed.append(True)

    items = with_turns(source())
    next(iter(items))
    items.close()  # type: ignore[attr-defined]
    assert closed == [True]
