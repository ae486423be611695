"""What of tools/measure_gpu.py needs no GPU: its arithmetic, what it does of failures, its line where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")
TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import measure_gpu

    return measure_gpu


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import gpu_timing

    return gpu_timing


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(TOOLS / "measure_gpu.py"), "--out", str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("no CUDA GPU")
    assert run.stderr.count("\n") == 1
    assert not out.exists()


def test_parts_fail_and_are_skipped_alone(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(tool.time, "monotonic", lambda: next(clock))

    def broken() -> Any:
        raise RuntimeError("illegal memory access")

    out = tmp_path / "gpu.json"
    result: dict[str, Any] = {"command": "measure"}
    tool.run({"one": lambda: {"fps": 1 / 3}, "two": broken, "three": lambda: 1, "four": lambda: 2}, result, out, 16)
    written = json.loads(out.read_text())
    assert written == result
    assert written["one"] == {"fps": 0.3333}
    assert written["failed"] == {"two": "RuntimeError: illegal memory access"}
    assert written["three"] == 1
    assert written["skipped"] == ["four"]
    assert written["seconds"] == {"one": 3, "two": 3, "three": 3}


@pytest.mark.parametrize("seconds", [1e-7, 1e-4, 0.01, 3.0])
def test_seconds_of_a_call(timing: ModuleType, seconds: float) -> None:
    done = []

    def block(calls: int) -> float:
        done.append(calls)
        return calls * seconds * (1.5 if len(done) % 5 == 0 else 1.0)  # something else runs now and then

    assert timing.median_of_blocks(block) == pytest.approx(seconds)
    assert done[-1] * seconds == pytest.approx(timing.BLOCK_S, rel=0.6) or done[-1] == 1


def test_best_batch(timing: ModuleType) -> None:
    rates = {1: 100.0, 2: 180.0, 4: 300.0, 8: 303.0, 16: 900.0}
    assert timing.best_batch(rates.__getitem__, sorted(rates)) == {"batch": 4, "frames_per_s": 300.0}

    def until_full(batch: int) -> float:
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rates[batch]

    assert timing.best_batch(until_full, sorted(rates)) == {"batch": 2, "frames_per_s": 180.0}


def test_random_network_sees_the_image(tool: ModuleType) -> None:
    network = tool.random_bcpnet()
    frames = torch.from_numpy(tool.frames_of((64, 96), 2))
    with torch.inference_mode():
        logits = network(tool.normalise(frames.permute(0, 3, 1, 2)))
    assert logits.shape == (2, 19, 8, 12)
    assert len(logits.argmax(1).unique()) > 1
    assert float((logits[0] - logits[1]).abs().max()) > 0.01 * float(logits.abs().max())
