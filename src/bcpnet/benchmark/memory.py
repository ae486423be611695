"""How much memory this process holds.

Linux keeps both figures in /proc/self/status. `getrusage`, which other systems have, is no use there: a process
started by a large one begins with that one's peak.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process that did nothing but this measurement, in MiB.

    Attributes:
        ready: interpreter, libraries and weights, just before the first frame; None where the system does not tell.
        peak: the most it ever held, from its start to its end.
    """

    ready: float | None
    peak: float


def resident_mib() -> float | None:
    """What the process holds now; None where the system does not tell."""
    return _from_status("VmRSS")


def peak_mib() -> float | None:
    """The most the process has held so far; None on Windows."""
    peak = _from_status("VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _from_status(field: str) -> float | None:
    if not _STATUS.is_file():
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) / 2**10 if found else None
