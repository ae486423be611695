"""Units shared out to processes of this machine; one that is lost is replaced, and its unit done again."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bcpnet.errors import InputError
from bcpnet.prediction.batch.units import Unit
from bcpnet.prediction.batch.work import MOST_TRIES, Done, GivenUp, Work


@dataclass
class _Worker:
    process: BaseProcess
    unit: Unit
    tries: int


def run_local(work: Work, units: Iterable[Unit], workers: int) -> Generator[Done | GivenUp, None, None]:
    """Yields what came of each unit, as they are done. Close it to stop early: no process is left.

    Args:
        work: is sent to each process once.
        units: are taken as there is a process for them.
        workers: number of processes, each with one thread for the network.

    Raises:
        InputError: a shard cannot be written.
    """
    waiting = deque((unit, 1) for unit in units)
    running: dict[Connection, _Worker] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                started, worker = _start(work, *waiting.popleft())
                running[started] = worker
            ready = set(wait(list(running)))
            for pipe in [pipe for pipe in running if pipe in ready]:
                worker = running[pipe]
                try:
                    result: Done | InputError = pipe.recv()
                except (EOFError, OSError):
                    running.pop(pipe)
                    _end(pipe, worker)
                    if worker.tries < MOST_TRIES:
                        waiting.appendleft((worker.unit, worker.tries + 1))
                    else:
                        yield GivenUp(worker.unit)
                    continue
                if isinstance(result, InputError):
                    raise result
                if waiting:
                    worker.unit, worker.tries = waiting.popleft()
                    with suppress(OSError):  # it is gone, which the next turn sees
                        pipe.send(worker.unit)
                else:
                    _end(pipe, running.pop(pipe))
                yield result
    finally:
        for pipe, worker in running.items():
            worker.process.terminate()
            _end(pipe, worker)


def _start(work: Work, unit: Unit, tries: int) -> tuple[Connection, _Worker]:
    context = multiprocessing.get_context("spawn")  # a fork would share locks that threads hold
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs), daemon=True)
    try:
        process.start()
    except OSError as error:
        raise InputError(f"the system starts no more processes ({error}): choose fewer --workers") from error
    theirs.close()
    with suppress(OSError):
        ours.send(unit)
    return ours, _Worker(process, unit, tries)


def _end(pipe: Connection, worker: _Worker) -> None:
    pipe.close()  # on which it ends
    worker.process.join()


def _serve(work: Work, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that started this ends it
    with suppress(EOFError, OSError):
        while True:
            pipe.send(work(pipe.recv()))
