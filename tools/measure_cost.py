"""Times `camvid` beside the paper's own network, of random weights, in turns, at 1024x2048.

    python tools/measure_cost.py

Writes results/benchmark-cost.json, what `bcpnet benchmark` prints. Only the network's time compares: what random
weights predict is easy to upsample.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.onnx.export import export_onnx
from bcpnet.storage.files import write_bytes

RESULTS = Path(__file__).resolve().parents[1] / "results"
_BACKENDS = ("native", "onnxruntime", "openvino")


def main() -> None:
    """Exports, times, writes."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        paper = Path(folder) / "paper.onnx"
        export_onnx(build("bcpnet", len(CAMVID)).eval(), Metadata("bcpnet", {}, CAMVID, 360), paper)
        options = ["--weights", "camvid", str(paper), "--sizes", "1024x2048", "--frames", "60", "--json"]
        command = [sys.executable, "-m", "bcpnet", "benchmark", *options, "--backends", *_BACKENDS]
        measured = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    write_bytes(RESULTS / "benchmark-cost.json", (json.dumps(json.loads(measured), indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
