"""Ctrl-C and SIGTERM: they end a command within about a second, and leave whole files or none."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from bcpnet.cli.complain import complain
from bcpnet.storage.files import remove_unfinished

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 1.0


class _Arrived:
    """The signals of the command that runs: a process has one set of handlers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.is_looked_at = False  # between frames

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt(number); not for the first one where somebody looks at `numbers`."""
        del frame
        self.numbers.append(number)
        if not self.is_looked_at or len(self.numbers) > 1:
            raise KeyboardInterrupt(number)

    def check(self) -> None:
        """Raises KeyboardInterrupt(number) once one has arrived."""
        if self.numbers:
            raise KeyboardInterrupt(self.numbers[0])


_arrived = _Arrived()


def exit_code(stop: KeyboardInterrupt) -> int:
    """130 for Ctrl-C, 143 for SIGTERM, as shells have it. `stop` may be one that was raised from the signal's."""
    args = stop.__cause__.args if isinstance(stop.__cause__, KeyboardInterrupt) else stop.args
    return 128 + (signal.SIGTERM if args == (signal.SIGTERM,) else signal.SIGINT)


@contextmanager
def interruptible(*, watched: bool) -> Iterator[Callable[[], None]]:
    """Makes Ctrl-C and SIGTERM raise KeyboardInterrupt(number), so that no temporary files are left behind.

    Where one is ignored, as by `nohup` or after `&` in a script, it stays so. Yields a function that raises it, too,
    once one has arrived.

    Args:
        watched: where the main thread does not come to raise it, since a file or a library does not answer, the process
            ends after a second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    _arrived.numbers = []  # of this command none
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, _arrived.handle)
        with _watchdog(watched):
            yield _arrived.check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def looked_at() -> Iterator[Callable[[], None]]:
    """Inside `interruptible`: the first signal interrupts nothing, and the function yielded raises KeyboardInterrupt.

    An exception between any two steps of the main thread could leave a lock taken that another thread waits for.
    """
    _arrived.is_looked_at = True
    try:
        yield _arrived.check
    finally:
        _arrived.is_looked_at = False


@contextmanager
def _watchdog(watched: bool) -> Iterator[None]:
    if not watched:
        yield
        return
    sender, receiver = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(receiver,), name="watchdog", daemon=True)
    try:
        with suppress(RuntimeError):  # no more threads: without it, then
            thread.start()
        yield
    finally:
        signal.set_wakeup_fd(before)
        sender.close()
        if thread.ident is not None:
            thread.join()
        receiver.close()


def _watch(receiver: socket.socket) -> None:
    """Ends the process a second after a signal that the main thread does not answer."""
    seen = 0
    while numbers := receiver.recv(1):  # the C part of Python's handler writes it, whatever the main thread does
        if numbers[0] not in _SIGNALS:
            continue
        seen += 1
        until = time.monotonic() + _PATIENCE_S
        while len(_arrived.numbers) < seen and time.monotonic() < until:
            time.sleep(0.02)
        if len(_arrived.numbers) < seen:
            complain("interrupted")
            remove_unfinished()
            os._exit(128 + numbers[0])


if hasattr(os, "register_at_fork"):  # a forked process would wake its parent's watchdog
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
