"""Which backend "auto" stands for, found out in a process of its own: a trial loads all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bcpnet.backends.auto import AUTO, choose
from bcpnet.benchmark.process import OpenWorker, Worker


def chosen_backend(
    backend: str | None,
    weights: str | Path,
    size_hw: tuple[int, int] | None,
    threads: int | None,
    open_worker: OpenWorker = Worker,
) -> str | None:
    """`backend`; for "auto" what `bcpnet.backends.auto.choose` says. Raises what that raises."""
    if backend != AUTO:
        return backend
    arguments = {"weights": str(weights), "size_hw": size_hw, "threads": threads}
    with open_worker("chosen", arguments) as worker:
        return str(worker.opened)


def open_task(
    *, weights: str, size_hw: tuple[int, int] | None, threads: int | None
) -> tuple[str, Callable[[Any], None]]:
    """For `bcpnet.benchmark.worker`: tells the backend at once, then there is nothing more to ask."""
    size = None if size_hw is None else (size_hw[0], size_hw[1])
    return choose(weights, size, threads).backend, lambda _: None
