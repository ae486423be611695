"""Structured logs: one line of JSON for each event, on standard error. Never what is in an image, nor its name."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import datetime, timezone
from typing import Any

_LOG = logging.getLogger("bcpnet.serving")


def log_to_stderr(worker: int | None) -> None:
    """Makes this process write its events, and the HTTP server's errors; `worker` is its number, None the parent's."""
    warnings.simplefilter("ignore")  # Pillow's, of what is odd in a picture, are not for the log
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(worker))
    for name, level in (("bcpnet.serving", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def event(what: str, **fields: Any) -> None:
    """Writes one event. `fields` are for JSON."""
    _LOG.info(what, extra={"fields": fields})


def failure(what: str, error: BaseException, **fields: Any) -> None:
    """Writes an event with the traceback of a fault of ours."""
    _LOG.error(what, exc_info=error, extra={"fields": fields})


class _JsonFormatter(logging.Formatter):
    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        fields = {
            "time": time,
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "worker": self._worker,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)
