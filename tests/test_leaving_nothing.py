"""Opening and closing a segmenter leaves no thread, no open file and no memory behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import gc, json, os, sys
from pathlib import Path

import numpy as np
import bcpnet

frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
weights, backend, count = sys.argv[1], sys.argv[2], int(sys.argv[3])


def one():
    segmenter = bcpnet.load(weights, backend=backend, size_hw=(64, 96), threads=2)
    segmenter(frame)
    for _ in segmenter.stream([frame] * 3):
        pass


def left():
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    threads, kib = int(status["Threads"]), int(status["VmRSS"].split()[0])
    return {"threads": threads, "files": len(os.listdir("/proc/self/fd")), "mib": kib / 1024}


for _ in range(4):
    one()
before = left()
for _ in range(count):
    one()
print(json.dumps([before, left()]))
"""

BACKENDS = {"native": ".onnx", "onnxruntime": ".onnx", "openvino": ".onnx", "pytorch": ".safetensors"}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("backend", BACKENDS)
def test_opens_and_closes_leave_nothing_behind(backend: str) -> None:
    if backend in ("openvino", "pytorch"):
        pytest.importorskip({"pytorch": "torch"}.get(backend, backend))
    count = 12
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, "camvid", backend, str(count)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    before, after = json.loads(ran.stdout)
    assert after["threads"] <= before["threads"]
    assert after["files"] <= before["files"]
    assert after["mib"] - before["mib"] < count  # a copy of the weights alone is 2.4 MiB
