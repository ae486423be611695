"""Overlapped iteration at its end: interrupts at any moment, sources that do not answer, threads that cannot be had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from test_pipeline import PATIENCE_S, Source

from bcpnet.errors import InputError
from bcpnet.pipeline import ordered_map


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_what_check_raises_ends_it_while_a_result_is_waited_for() -> None:
    go_on, asked = threading.Event(), threading.Event()

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt(15)

    def stage(item: int) -> int:
        if item == 3:
            asked.set()
            assert go_on.wait(PATIENCE_S)
        return item

    source = Source(10**9)
    results = ordered_map(stage, source, 1, check)
    threading.Timer(0.5, go_on.set).start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        list(results)
    assert stopped.value.args == (15,)
    assert go_on.is_set()  # what is worked on is waited for
    assert source.closed


@pytest.mark.parametrize("where", ["waits for a result", "works on one"])
def test_ctrl_c_does_not_wait_for_a_source_that_does_not_answer(where: str) -> None:
    blocked, go_on, gone = threading.Event(), threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 0
        blocked.set()
        assert go_on.wait(PATIENCE_S)
        gone.set()

    def consume() -> None:
        with closing(ordered_map(lambda item: item, source())) as results:
            assert next(results) == 0
            assert blocked.wait(PATIENCE_S)
            if where == "works on one":
                raise KeyboardInterrupt
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            next(results)

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not gone.is_set()
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "source":
            thread.join(PATIENCE_S)
    assert gone.is_set()


def test_interrupts_at_any_moment_neither_hang_nor_turn_into_other_errors() -> None:
    """Each shall be a KeyboardInterrupt; in a process of its own, since a hang is one of the main thread."""
    script = """
import random, signal, sys, threading, time
from contextlib import closing
from bcpnet.pipeline import ordered_map

signal.signal(signal.SIGALRM, signal.default_int_handler)
moments = random.Random(0)
for _ in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0002, 0.004))
        with closing(ordered_map(lambda item: item, iter(range(10**9)), 2)) as results:
            for _ in results:
                pass
    except KeyboardInterrupt:
        continue
results = None
time.sleep(0.1)
print(threading.active_count())
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr


@pytest.mark.parametrize("fate", ["the process ends", "a forked process ends"])
def test_one_that_is_never_closed_does_not_hold_up_the_end(fate: str) -> None:
    script = f"""
import os, sys, time
from itertools import count
from bcpnet.pipeline import ordered_map

results = ordered_map(lambda item: time.sleep(0.01), count(), 2)
next(results)
if {fate.startswith("a")}:
    child = os.fork()
    if child:
        print(os.waitpid(child, 0)[1])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout in ("", "0\n")


@pytest.mark.parametrize("started", [0, 1, 2])
def test_no_more_threads_is_an_input_error(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, [started]

    def refuse(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(InputError, match="limit on processes and threads"):
        next(ordered_map(str, Source(3), workers=2))


def test_an_error_of_closing_the_source_comes_at_the_end() -> None:
    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise OSError("cannot close")

    results = ordered_map(lambda item: item, source())
    assert next(results) == 1
    with pytest.raises(OSError, match="cannot close"):
        list(results)
