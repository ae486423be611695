"""The fastest backend for some weights on this machine: by a short trial, whose outcome is remembered.

All backends compute the same, in float32, and a trial never changes the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcpnet.backends import BACKENDS, open_backend, weights_suffix
from bcpnet.backends.base import Backend
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.preprocess import network_size_hw
from bcpnet.machine import describe_processor, package_versions
from bcpnet.native import kernels
from bcpnet.storage.files import write_bytes
from bcpnet.weights import resolve

AUTO = "auto"  # what stands in the place of a backend's name

_TRIAL_S = 1.0  # for all backends together, beside opening them and their first calls
_FEWEST_ROUNDS = 3
_HOPELESS = 2  # times as slow as the fastest: not tried again
_ASPECT_HW = (9, 16)  # of the frames, where nobody said


@dataclass(frozen=True)
class Choice:
    """Which backend, and why.

    Attributes:
        latency_ms: of one frame, the network alone, by backend: those that are installed and run these weights.
        size_hw: of the network's input, in pixels.
        remembered: whether from an earlier trial.
    """

    latency_ms: dict[str, float]
    size_hw: tuple[int, int]
    remembered: bool

    @property
    def backend(self) -> str:
        """The fastest one's name."""
        return min(self.latency_ms, key=self.latency_ms.__getitem__)

    def __str__(self) -> str:
        """One line: which, and how much faster than the next."""
        best, *others = sorted(self.latency_ms, key=self.latency_ms.__getitem__)
        if not others:
            return f"backend {best}: no other is installed and runs these weights"
        ratio = self.latency_ms[others[0]] / self.latency_ms[best]
        source = "remembered from an earlier trial" if self.remembered else "by a trial just now"
        return f"backend {best}: {ratio:.2f} times as fast as {others[0]} at {'{}x{}'.format(*self.size_hw)}, {source}"


def choose(
    weights: str | Path,
    size_hw: tuple[int, int] | None = None,
    threads: int | None = None,
    folder: Path | None = None,
) -> Choice:
    """The fastest backend of those that are installed and run `weights`: remembered, or by a trial.

    Args:
        weights, threads: as for `bcpnet.backends.open_backend`.
        size_hw: of the network's input; by default what a 16:9 frame is resized to.
        folder: where outcomes are kept, a file each; by default in the user's cache folder. Where it cannot be
            written, each call is a trial.

    Raises:
        UsageError, InputError: no backend runs the weights, and why.
    """
    key = _key(weights, size_hw, threads)
    folder = folder or _cache_folder()
    path = None if folder is None else folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    choice = None if path is None else _remembered(path, key)
    if choice is None:
        choice = _trial(weights, size_hw, threads)
        if path is not None:
            outcome = {"key": key, "latency_ms": choice.latency_ms, "size_hw": choice.size_hw}
            with suppress(InputError):  # not writable, disk full
                write_bytes(path, json.dumps(outcome).encode())
    return choice


def _trial(weights: str | Path, size_hw: tuple[int, int] | None, threads: int | None) -> Choice:
    backends: dict[str, Backend] = {}
    errors = []
    images = np.empty(0, np.uint8)
    for name in BACKENDS:
        try:
            backend = open_backend(weights, name, threads)
            if size_hw is None:
                size_hw = network_size_hw(_ASPECT_HW, backend.metadata.short_side)
            if not images.size:
                images = np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8)
            for _ in range(2):  # the first calls plan and allocate
                backend(images)
            backends[name] = backend
        except InputError as error:
            errors.append(error)
    if not backends or size_hw is None:
        # Weights that are bad are told before a runtime that is missing.
        raise min(errors, key=lambda error: isinstance(error, UsageError))
    # In turns, and the shortest counts: what else the machine does then hits all alike, or does not count.
    latency_ms = dict.fromkeys(backends, float("inf"))
    racing = list(backends)
    start, rounds = time.perf_counter(), 0
    while rounds < _FEWEST_ROUNDS or time.perf_counter() - start < _TRIAL_S:
        for name in racing:
            before = time.perf_counter()
            backends[name](images)
            latency_ms[name] = min(latency_ms[name], 1000 * (time.perf_counter() - before))
        racing = [name for name in racing if latency_ms[name] <= _HOPELESS * min(latency_ms.values())]
        rounds += 1
    return Choice(latency_ms, size_hw, remembered=False)


def _key(weights: str | Path, size_hw: tuple[int, int] | None, threads: int | None) -> str:
    """All that the outcome depends on, as JSON."""
    digests = {}
    for suffix in sorted(set(map(weights_suffix, BACKENDS))):
        with suppress(InputError, OSError):  # weights that do not ship in this form, or at all
            digests[suffix] = hashlib.sha256(resolve(weights, suffix).read_bytes()).hexdigest()
    parts = {
        "weights": digests,
        "size_hw": size_hw,
        "threads": threads,
        "versions": package_versions(),
        "compiled": kernels() is not None,
        "processor": describe_processor(),
        "cards": sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*")),  # computers may share a home folder
    }
    return json.dumps(parts, sort_keys=True)


def _remembered(path: Path, key: str) -> Choice | None:
    try:
        outcome = json.loads(path.read_bytes())
        if outcome["key"] != key:
            return None
        latency_ms = {name: float(ms) for name, ms in outcome["latency_ms"].items() if name in BACKENDS}
        height, width = map(int, outcome["size_hw"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None  # none yet, or not ours
    is_ours = bool(latency_ms) and all(ms > 0 for ms in latency_ms.values())
    return Choice(latency_ms, (height, width), remembered=True) if is_ours else None


def _cache_folder() -> Path | None:
    """The user's, by the system's custom; None for a user without a home."""
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return base / "bcpnet" / "backends"
