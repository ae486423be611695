"""How the command line says that something is wrong."""

from __future__ import annotations

import sys


def complain(error: object) -> None:
    """One line on standard error, whatever a library, or the name of a file, put into the message."""
    print(f"bcpnet: {' '.join(str(error).split())}", file=sys.stderr)
