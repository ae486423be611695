"""A Python process of its own for each measurement, so that memory and thread pools are its own too.

It runs `python -m bcpnet.benchmark.worker` and is asked over its standard input: a line of JSON there, a line of
JSON back. While it is not asked, it sleeps; so several of them can be measured in turns.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from bcpnet.errors import InputError, UsageError


class Worker:
    """One process with one task. Use as a context manager: when the block ends, so does the process."""

    def __init__(
        self,
        task: str,
        arguments: Mapping[str, Any],
        limit_s: float | None = 300.0,
    ) -> None:
        """Starts the process and waits until the task is open.

        Args:
            task: the module of this package whose `open_task` is to be called.
            arguments: for it, ready for JSON.
            limit_s: seconds that an answer may take; None = any.

        Raises:
            UsageError, InputError: what opening it raised there, out of memory included.
        """
        self._limit_s = threading.TIMEOUT_MAX if limit_s is None else limit_s
        self._folder = TemporaryDirectory(prefix="bcpnet-")  # its temporary files, which it may not live to remove
        folder = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._folder.name)
        # No Ctrl-C of its own, which would print a stack trace: we end it, or it sees that we have gone.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bcpnet.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **folder},
            start_new_session=True,
        )
        try:
            self.opened = self.ask({"task": task, "arguments": dict(arguments)})
        except BaseException:
            self.close()
            raise

    def ask(self, request: Any) -> Any:
        """Sends `request`, waits for the answer and returns it.

        Raises:
            UsageError, InputError: what answering it raised there.
            InputError: the process has died, or took too long.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        start_s = time.monotonic()
        watchdog = threading.Timer(self._limit_s, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            code = self._process.wait()
            if time.monotonic() - start_s >= self._limit_s:
                raise InputError(f"stopped: it took over {self._limit_s:.0f} s")
            raise InputError(_how_it_ended(code))
        answer = json.loads(line)
        if "usage" in answer:
            raise UsageError(answer["usage"])
        if "error" in answer:
            raise InputError(answer["error"])
        return answer["answer"]

    def __enter__(self) -> Worker:
        """Running already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # it was not there any more to read
                    pipe.close()
        self._folder.cleanup()


# As `Worker`: a task's name and arguments -> something to ask.
OpenWorker = Callable[[str, dict[str, Any]], Worker]


def _how_it_ended(code: int) -> str:
    if code < 0:
        reason = "out of memory, as it seems" if -code == signal.SIGKILL else signal.Signals(-code).name
        return f"the process was killed ({reason})"
    return f"the process ended with code {code}"
