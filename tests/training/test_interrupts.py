"""Signals as a flag, in the main thread; elsewhere none."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from bcpnet.training.interrupts import interrupts


def test_a_signal_sets_the_flag() -> None:
    with interrupts() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()


def test_outside_the_main_thread_there_are_no_signals() -> None:
    def ask() -> bool:
        with interrupts() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() is False
