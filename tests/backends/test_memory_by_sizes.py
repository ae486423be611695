"""Pictures of many sizes: what a runtime prepares for one does not stay for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
from bcpnet.backends import open_backend


def mib():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


backend = open_backend("camvid", sys.argv[1], threads=1)
sizes = [(height, width) for height in range(64, 160, 16) for width in range(64, 192, 16)]
np.random.default_rng(0).shuffle(sizes)
sizes.insert(0, (160, 192))  # the largest first
for number, (height, width) in enumerate(sizes):
    if number == len(sizes) // 3:
        before = mib()
    backend(np.zeros((1, height, width, 3), np.uint8))
print((mib() - before) / (len(sizes) - len(sizes) // 3))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
@pytest.mark.parametrize("backend", ["native", "onnxruntime", "openvino", "pytorch"])
def test_memory_does_not_grow_with_every_size(backend: str) -> None:
    pytest.importorskip({"pytorch": "torch", "native": "bcpnet"}.get(backend, backend))
    ran = subprocess.run([sys.executable, "-c", SCRIPT, backend], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.6
