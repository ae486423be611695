"""Units shared out by Ray, to this machine or to a cluster: tasks of one core each.

Ray does a task again whose process or machine is lost, elsewhere if need be. Its shard has the same name then, so
that no row is there twice.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from itertools import islice

import ray

from bcpnet.errors import InputError, UsageError
from bcpnet.prediction.batch.units import Unit
from bcpnet.prediction.batch.work import MOST_TRIES, Done, GivenUp, Work
from bcpnet.storage.damaged import reason

_AHEAD = 2  # tasks that wait, for each core of the cluster


def run_on_ray(work: Work, units: Iterable[Unit], workers: int | None) -> Generator[Done | GivenUp, None, None]:
    """Yields what came of each unit, as they are done. Close it to stop early.

    The cluster is the one that RAY_ADDRESS names or that runs on this machine; else Ray is started here, and stopped at
    the end.

    Args:
        work: is sent once; the folder it writes to, its weights and the inputs must be there on every machine.
        units: are taken as there is room for them.
        workers: tasks at once; None = as many as the cluster has cores.

    Raises:
        InputError: a shard cannot be written.
        UsageError: Ray cannot be started, or the cluster does not answer.
    """
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(f"Ray does not start, or no cluster answers at RAY_ADDRESS ({reason(error)})") from error
    running: dict[ray.ObjectRef[Done | InputError], Unit] = {}
    try:
        task = ray.remote(num_cpus=1, max_retries=MOST_TRIES - 1)(_do)
        shared = ray.put(work)
        rest = iter(units)
        while True:
            room = workers or max(1, int(_AHEAD * ray.cluster_resources().get("CPU", 1)))
            for unit in islice(rest, max(0, room - len(running))):
                running[task.remote(shared, unit)] = unit
            if not running:
                return
            done, _ = ray.wait(list(running))
            for reference in done:
                unit = running.pop(reference)
                try:
                    result = ray.get(reference)
                except (
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.NodeDiedError,
                    ray.exceptions.OutOfMemoryError,
                ):
                    yield GivenUp(unit)
                    continue
                if isinstance(result, InputError):
                    raise result
                yield result
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if is_ours:
            ray.shutdown()


def _do(work: Work, unit: Unit) -> Done | InputError:
    return work(unit)
