"""What several threads do, one step of it in the order of the items: each item has a turn after the one before."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Turn:
    """One item's turn, a context manager. A turn that nobody holds any more ends, so that none waits for it."""

    def __init__(self, before: threading.Event | None) -> None:
        """After `before` is set; None = at once."""
        self.ended = threading.Event()
        self._before = before

    def __enter__(self) -> None:
        """Waits until the turn before has ended."""
        if self._before is not None:
            self._before.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the next one begin."""
        self.ended.set()

    def __del__(self) -> None:
        """For items that were dropped before their turn, when all threads are told to end."""
        self.ended.set()


def with_turns(items: Iterable[T]) -> Iterator[tuple[T, Turn]]:
    """Yields each item with its turn; closes `items`, if they have a `close`, when it is closed."""
    source, ended = iter(items), None
    try:
        for item in source:
            turn = Turn(ended)
            ended = turn.ended
            yield item, turn
            del turn  # which would keep it until the next item comes
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
