"""Ctrl-C and SIGTERM as a flag, so that a step under way can end and be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C or SIGTERM has arrived; a second one acts as usual.

    Outside the main thread, where Python lets nobody handle signals, it never tells of one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    arrived: list[int] = []
    before: dict[int, Any] = {}

    def handle(number: int, frame: object) -> None:
        del frame
        arrived.append(number)
        signal.signal(number, before[number])

    for signum in (signal.SIGINT, signal.SIGTERM):
        before[signum] = signal.signal(signum, handle)
    try:
        yield lambda: bool(arrived)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
