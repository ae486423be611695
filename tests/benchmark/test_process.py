"""A process for each measurement: it answers, says what went wrong, and is gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bcpnet.benchmark.comparison import Contestant, compete
from bcpnet.benchmark.memory import peak_mib, resident_mib
from bcpnet.benchmark.process import Worker
from bcpnet.errors import InputError, UsageError


@pytest.fixture
def arguments(onnx_path: Path, tmp_path: Path) -> dict[str, object]:
    """Of the task "segment": two scenes of 40 x 64 pixels."""
    scenes = tmp_path / "scenes"
    np.random.default_rng(0).integers(0, 256, (2, 40, 64, 3), np.uint8).tofile(scenes)
    return {
        "weights": str(onnx_path), "backend": "onnxruntime", "size_hw": (40, 64), "threads": 1,
        "scenes": str(scenes), "n_scenes": 2,
    }  # fmt: skip


def test_it_answers_and_is_gone_afterwards(arguments: dict[str, object], tmp_path: Path) -> None:
    with Worker("segment", arguments) as worker:
        assert (worker.opened["backend"], worker.opened["classes"]) == ("onnxruntime", 11)
        samples = worker.ask({"frames": 3})
        assert [list(sample["stages"]) for sample in samples] == [["pre", "network", "post", "other"]] * 3
        assert list(worker.ask({"class_map": str(tmp_path / "map")})["stages"]) == ["pre", "network", "post", "other"]
        assert (tmp_path / "map").stat().st_size == 40 * 64
        pid = worker._process.pid
        folder = Path(worker._folder.name)
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_its_memory_is_its_own(arguments: dict[str, object]) -> None:
    """Not that of the process that starts it, which Linux hands down where it is not asked in the right way."""
    own = resident_mib()
    if own is None:
        pytest.skip("this system does not tell what a process holds")
    ballast = np.ones(2**29, np.uint8)
    with Worker("segment", arguments) as worker:
        peak = worker.ask({"peak": True})
        assert worker.opened["ready"] <= peak < 400
    assert (peak_mib() or 0) > ballast.nbytes / 2**20


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"weights": "missing.onnx"}, InputError, "missing.onnx: no such file"),
        ({"backend": "abacus"}, UsageError, "unknown backend 'abacus'"),
    ],
)
def test_what_it_raises_is_raised_here(
    arguments: dict[str, object], change: dict[str, object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        Worker("segment", {**arguments, **change})
    assert type(caught.value) is kind


def test_one_that_is_killed(arguments: dict[str, object]) -> None:
    with Worker("segment", arguments) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(InputError, match="out of memory, as it seems"):
            worker.ask({"frames": 1})


def test_one_that_takes_too_long(arguments: dict[str, object]) -> None:
    with Worker("segment", arguments) as worker:
        worker._limit_s = 0.2
        start = time.monotonic()
        with pytest.raises(InputError, match="took over 0 s"):
            worker.ask({"frames": 10**9})
        assert time.monotonic() - start < 60


def test_one_whose_asker_was_killed_says_nothing() -> None:
    request = {"task": "macs", "arguments": {"weights": "missing.onnx", "size_hw": (40, 64)}}
    command = [sys.executable, "-m", "bcpnet.benchmark.worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(json.dumps(request))
    assert (process.returncode, said) == (1, "")


def test_backends_beside_the_baseline(onnx_path: Path) -> None:
    """Through real processes: the same class map, and each with a memory of its own."""
    pytest.importorskip("torch", reason="the baseline needs PyTorch")
    scenes = list(np.random.default_rng(0).integers(0, 256, (2, 48, 72, 3), np.uint8))
    backends = ("onnxruntime", "baseline")
    rows = compete([Contestant("small", onnx_path, backend) for backend in backends], scenes, threads=1, frames=6)
    assert [(row.network, row.backend, row.ran, row.classes) for row in rows] == [
        ("small", "onnxruntime", "onnxruntime", 11),
        ("small", "baseline", "onnxruntime", 11),
    ]
    for row in rows:
        assert row.error is None
        assert row.timing is not None
        assert row.timing.frames == 6
        assert row.macs == 11 * 6 * 9 * 3 * 9 * 9  # K h w times the kernel
        assert row.same_pixels is not None
        assert row.same_pixels > 0.999  # but for ties
    ours, baseline = (row.memory for row in rows)
    if ours is not None and baseline is not None:
        assert ours.peak < baseline.peak
