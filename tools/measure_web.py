"""Times the page in Chromium into one JSON file: by stage, with a camera, and what is downloaded. Three minutes.

    python tools/measure_web.py [--out results/web.json] [--size 360x640] [--frames 200]

Four synthetic streets of that size, at the lines they have, in WebAssembly: with one thread and with two, with `camvid`
and with `camvid-int8`. Then the page itself with a camera of 60 frames a second at 360x640: how many of them it shows,
with all that page and browser do beside. Build the page first (make web), and let nothing else run.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chromium import Page, open_page
from fake_camera import fake_camera
from page_server import serve_folder
from PIL import Image

from bcpnet.benchmark.scenes import draw_scenes
from bcpnet.cli.common import parse_size
from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "web" / "dist"
WEIGHTS = ("camvid", "camvid-int8")
THREADS = (1, 2)
STAGES = ("read", "resize", "network", "upsample")
SHOWN = "Number(document.querySelector('#stage').dataset.frames || 0)"
CAMERA_FRAMES_PER_SECOND = 60
LEFT_OUT = 40  # frames at first, while the browser compiles what it runs often
MIB = 1 << 20


def measure(page: Page, task: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of each stage and of all: median and 95th percentile; frames a second at the median."""
    done = page.evaluate(f"import('./measure.js').then(({{ measure }}) => measure({json.dumps(task)}))")
    if done["threads"] != task["threads"]:
        raise RuntimeError(f"{task['threads']} threads asked for, {done['threads']} had")
    times = {stage: [timing[stage] for timing in done["timings"]] for stage in STAGES}
    times["all"] = [sum(of_frame) for of_frame in zip(*times.values(), strict=True)]
    ms = {stage: _percentiles(values) for stage, values in times.items()}
    return {"frames_per_second": round(1000 / ms["all"]["p50"], 1), "ms": ms}


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95)}


def camera_rate(page: Page, address: str, threads: int, seconds: float) -> dict[str, float]:
    """Frames a second that the page shows of a camera, by `camvid`."""
    page.open(f"{address}?threads={threads}")
    page.wait("document.querySelector('#legend button') !== null")
    page.click("#camera-first")
    page.wait(f"{SHOWN} > {LEFT_OUT}", 120)
    first, began = page.evaluate(SHOWN), time.perf_counter()
    time.sleep(seconds)
    shown = page.evaluate(SHOWN) - first
    return {"threads": threads, "frames_per_second": round(shown / (time.perf_counter() - began), 1)}


def download_mib(weights: str) -> dict[str, float]:
    """What a first visit loads to segment on the CPU: as it is, and as servers send it that compress (gzip)."""
    names = ("index.html", "style.css", "icon.svg", "models.json", "ort-wasm-simd-threaded.wasm", "*.js")
    files = [path for name in names for path in DIST.glob(name)]
    files += [DIST / "ort-wasm-simd-threaded.mjs", DIST / "models" / f"{weights}.onnx"]
    contents = [path.read_bytes() for path in files]
    sent = sum(len(gzip.compress(content, 6)) for content in contents)
    return {"files": round(sum(map(len, contents)) / MIB, 2), "gzip": round(sent / MIB, 2)}


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "web.json")
    parser.add_argument("--size", default="360x640")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the camera")
    options = parser.parse_args(arguments)
    if not (DIST / "index.html").is_file():
        sys.exit("the page is not built: make web")
    size_hw = parse_size(options.size)
    pictures = [_png(scene) for scene in draw_scenes(size_hw)]
    rows = []
    with serve_folder(DIST) as address, open_page() as page:
        page.open(address)
        for weights in WEIGHTS:
            for threads in THREADS:
                task = {
                    "weights": weights, "threads": threads, "shortSide": min(size_hw), "pictures": pictures,
                    "frames": options.frames, "leftOut": min(LEFT_OUT, options.frames),
                }  # fmt: skip
                rows.append({"weights": weights, "threads": threads, **measure(page, task)})
                print(json.dumps(rows[-1]))
        browser = page.call("Browser.getVersion")["product"]
    with tempfile.TemporaryDirectory() as folder, serve_folder(DIST) as address:
        camera = []
        for threads in THREADS:
            with open_page(*fake_camera(Path(folder), CAMERA_FRAMES_PER_SECOND)) as page:
                camera.append(camera_rate(page, address, threads, options.seconds))
                print(json.dumps(camera[-1]))
    packages = json.loads((ROOT / "web" / "package.json").read_text())["dependencies"]
    report = {
        "command": " ".join(["python tools/measure_web.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "size_hw": list(size_hw),
        "rows": rows,
        "camera": camera,
        "download_mib": {weights: download_mib(weights) for weights in WEIGHTS},
        "browser": browser,
        "packages": packages,
        "machine": describe_machine(),
    }
    write_bytes(options.out, (json.dumps(report, indent=1) + "\n").encode())
    return 0


def _png(scene: np.ndarray[Any, Any]) -> str:
    file = io.BytesIO()
    Image.fromarray(scene).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
