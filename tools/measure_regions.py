"""Times what a class map is asked for, into one JSON file: confidence, run-length codes, regions. Half a minute.

    python tools/measure_regions.py [--out results/regions.json] [--size 1080x1920]

On one synthetic street, labelled by the weights `camvid`. Milliseconds are the CPU time of one thread, the median of
`--repeats` calls, and that of pycocotools for the same codes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_tools

import bcpnet
from bcpnet.benchmark.scenes import draw_scenes
from bcpnet.cli.common import parse_size
from bcpnet.machine import describe_machine
from bcpnet.regions.rle import class_rles
from bcpnet.storage.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]


def median_ms(function: Callable[[], object], repeats: int) -> float:
    """Of the calling thread's CPU time; the first call is left out."""
    function()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        times.append(1000 * (time.thread_time() - start))
    return round(statistics.median(times), 3)


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "regions.json")
    parser.add_argument("--size", default="1080x1920")
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args(arguments)
    result = bcpnet.load("camvid", threads=1)(draw_scenes(parse_size(options.size))[0])
    class_map = result.class_map
    few = max(1, options.repeats // 5)

    def encode_masks() -> dict[int, str]:
        masks = {label: np.asfortranarray(class_map == label, np.uint8) for label in np.unique(class_map).tolist()}
        return {label: mask_tools.encode(mask)["counts"].decode() for label, mask in masks.items()}

    assert class_rles(class_map) == encode_masks()
    confidence = result.confidence  # from here on it is there already
    milliseconds = {
        "confidence": median_ms(lambda: replace(result).confidence, options.repeats),
        "rle_of_all_classes": median_ms(lambda: class_rles(class_map), options.repeats),
        "rle_of_all_classes_pycocotools": median_ms(encode_masks, few),
        "regions_of_one_class": median_ms(lambda: result.regions("car"), options.repeats),
        "regions_of_all_classes": median_ms(result.regions, options.repeats),
        "polygons_of_all_regions": median_ms(lambda: [region.polygon for region in result.regions()], few),
        "free_space": median_ms(result.free_space, options.repeats),
    }
    report = {
        "command": " ".join(["python tools/measure_regions.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "size_hw": list(confidence.shape),
        "classes": len(np.unique(class_map)),
        "regions": len(result.regions()),
        "ms": milliseconds,
        "machine": describe_machine(),
    }
    write_bytes(options.out, (json.dumps(report, indent=1) + "\n").encode())
    print(json.dumps(report["ms"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
