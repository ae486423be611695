"""Live sources that connect again at once and leave no threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bcpnet.media.live import reader


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(reader, "_LONGEST_PAUSE_S", 0.1)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive(), thread.name
