"""What the files for phones and boards are like, into one JSON file: size, and how many pixels agree. Some minutes.

    python tools/measure_formats.py [--out results/formats.json] [--size 540x960] [--frames 12]

Each format is written from the weights that ship and run in its own runtime on this machine, on synthetic streets that
the check of `bcpnet export` does not use. Nothing is timed. Needs `.[litert,ncnn]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bcpnet.cli.common import parse_size
from bcpnet.data.streets import Streets
from bcpnet.formats.agreement import Runtime, onnx_runtime
from bcpnet.formats.fixed_onnx import write_fixed_onnx
from bcpnet.formats.litert import litert_runtime, write_litert
from bcpnet.formats.ncnn import ncnn_runtime, write_ncnn
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes
from bcpnet.weights import path_of

ROOT = Path(__file__).resolve().parents[1]
FLOATS, INT8 = "camvid", "camvid-int8"


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "formats.json")
    parser.add_argument("--size", default="540x960")
    parser.add_argument("--frames", type=int, default=12)
    options = parser.parse_args(arguments)
    size_hw = parse_size(options.size)
    streets = Streets("test", size_hw, options.frames)
    frames = [streets[index].image for index in range(options.frames)]

    def class_maps(runtime: Runtime) -> list[np.ndarray]:
        return [upsample_argmax(runtime(frame), size_hw) for frame in frames]

    networks = {name: class_maps(onnx_runtime(path_of(name, ".onnx"))) for name in (FLOATS, INT8)}
    rows = []
    with TemporaryDirectory() as folder:

        def add(format_: str, weights: str, runtime: Runtime, package: str, files: list[Path]) -> None:
            found = class_maps(runtime)
            rows.append(
                {
                    "format": format_,
                    "weights": weights,
                    "runtime": package,
                    "version": version(package),
                    "bytes": sum(path.stat().st_size for path in files),
                    "same_as_onnx": float(np.mean([a == b for a, b in zip(found, networks[weights], strict=True)])),
                    "same_as_floats": float(np.mean([a == b for a, b in zip(found, networks[FLOATS], strict=True)])),
                }
            )
            print(rows[-1], flush=True)

        for weights in (FLOATS, INT8):
            source, out = path_of(weights, ".onnx"), Path(folder, weights)
            fixed, litert = out.with_suffix(".onnx"), out.with_suffix(".tflite")
            write_fixed_onnx(source, size_hw, fixed)
            add("onnx", weights, onnx_runtime(fixed), "onnxruntime", [fixed])
            write_litert(source, size_hw, litert)
            add("litert", weights, litert_runtime(litert), "ai-edge-litert", [litert])
        graph = Path(folder, "camvid.param")
        write_ncnn(path_of(FLOATS, ".onnx"), size_hw, graph)
        add("ncnn", FLOATS, ncnn_runtime(graph, graph.with_suffix(".bin")), "ncnn", [graph, graph.with_suffix(".bin")])
    report = {
        "command": " ".join(["python tools/measure_formats.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "size_hw": list(size_hw),
        "frames": len(frames),
        "formats": rows,
        "machine": describe_machine(),
    }
    write_bytes(options.out, (json.dumps(report, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
