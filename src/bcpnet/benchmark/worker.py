"""The other end of `bcpnet.benchmark.process`: opens one task, a module of this package, and answers what is asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bcpnet.errors import InputError, UsageError

# What to tell at once, and a function that answers: from `open_task(**arguments)` of the task's module.
Task = tuple[Any, Callable[[Any], Any]]


def main() -> None:
    """Reads requests from standard input, a line of JSON each, and answers each with one on standard output."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    task: Task | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if task is None:
                module = import_module(f"bcpnet.benchmark.{request['task']}")
                task = module.open_task(**request["arguments"])
                answer = {"answer": task[0]}
            else:
                answer = {"answer": task[1](request)}
        except UsageError as error:
            answer = {"usage": str(error)}
        except InputError as error:
            answer = {"error": str(error)}
        except MemoryError as error:
            answer = {"error": f"out of memory ({error})"}
        try:
            print(json.dumps(answer), file=answers, flush=True)
        except BrokenPipeError:  # who asked was killed
            os._exit(1)  # which does not try to write it again


if __name__ == "__main__":
    main()
