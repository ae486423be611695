"""What comes before and after the network, in C and otherwise, in milliseconds, into results/post-cpu.json.

    python tools/measure_post.py [--camvid DIR]

Logits -> class map (upsample + argmax; PyTorch's the usual way), 1080p -> network input, 1080p overlays and colours:
one call after another, one thread unless named otherwise, each the best of many short turns, so that what else the
machine does matters little. Logits are those of the camvid weights on a synthetic street scene, and with --camvid on
a photograph. Numba is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from bcpnet import native
from bcpnet.backends import open_backend
from bcpnet.data import open_dataset
from bcpnet.data.streets import Streets
from bcpnet.drawing import overlay
from bcpnet.frames import preprocess, upsample
from bcpnet.labels import CAMVID
from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes

RESULTS = Path(__file__).resolve().parents[1] / "results"
FULL_HW, NETWORK_HW, VIDEO_HW = (1024, 2048), (360, 640), (1080, 1920)
SECONDS, LEAST_CALLS = 1.5, 20

Ways = dict[str, Callable[[], Any]]


def main() -> None:
    """Measures all of it and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, help="root of the CamVid data set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = [("streets", Streets("val", VIDEO_HW)[0].image)]
    if options.camvid:
        scenes.append(("camvid", open_dataset("camvid", options.camvid, "val")[0].image))

    numba = _numba_costs() if find_spec("numba") else None
    rows = []
    backend = open_backend("camvid", "onnxruntime")
    for scene, image in scenes:
        for network_hw, size_hw in ((FULL_HW, FULL_HW), (NETWORK_HW, VIDEO_HW)):
            logits = backend(preprocess.preprocess(image, network_hw)[None])[0]
            what = {"what": "upsample + argmax", "scene": scene, "classes": len(logits)}
            what |= {"from_hw": logits.shape[1:], "to_hw": size_hw, "cells_open": _open_cells(logits)}
            rows.append(what | {"best_ms": _best_ms(_upsample_ways(logits, size_hw))})

    frame = scenes[0][1]
    resizes = _by_level(preprocess._resize_in_c, frame, NETWORK_HW)
    resizes["pillow"] = partial(preprocess._resize_in_pillow, frame, NETWORK_HW)
    rows.append({"what": "resize", "from_hw": VIDEO_HW, "to_hw": NETWORK_HW, "best_ms": _best_ms(resizes)})

    logits = backend(preprocess.preprocess(frame, NETWORK_HW)[None])[0]
    class_map, palette = upsample.upsample_argmax(logits, VIDEO_HW), CAMVID.palette()
    for opacity in (0.5, 0.4):
        given = (frame, class_map, palette, round(256 * opacity))
        ways = _by_level(overlay._overlay_in_c, *given)
        ways["numpy"] = partial(overlay._overlay_in_numpy, *given)
        rows.append({"what": "overlay", "opacity": opacity, "to_hw": VIDEO_HW, "best_ms": _best_ms(ways)})
    ways = _by_level(overlay._colours_in_c, class_map, palette)
    ways["pillow"] = partial(overlay._colours_in_pillow, class_map, palette)
    rows.append({"what": "colours", "to_hw": VIDEO_HW, "best_ms": _best_ms(ways)})

    command = "python tools/measure_post.py" + (" --camvid DIR" if options.camvid else "")
    result = {"command": command, "rows": rows, "numba": numba, "machine": describe_machine()}
    write_bytes(RESULTS / "post-cpu.json", (json.dumps(result, indent=2) + "\n").encode())
    for row in rows:
        print(json.dumps(row))
    print(json.dumps(numba))


def _upsample_ways(logits: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> Ways:
    ways = _by_level(upsample._in_c, logits, size_hw)
    ways["numpy"] = partial(upsample._in_numpy, logits, size_hw)
    if find_spec("numba"):
        from upsample_in_numba import upsample_argmax

        ways["numba"] = partial(upsample_argmax, logits, size_hw)
    planes = torch.from_numpy(logits)[None]
    ways["pytorch"] = partial(_in_pytorch, planes, size_hw)
    ways["pytorch, channels last"] = partial(_in_pytorch, planes.contiguous(memory_format=torch.channels_last), size_hw)
    for way in ways.values():  # all but float ties
        assert np.mean(way() != ways["numpy"]()) < 1e-4
    return ways


def _in_pytorch(logits: torch.Tensor, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    with torch.inference_mode():
        full = F.interpolate(logits, size_hw, mode="bilinear", align_corners=False)
        class_map: npt.NDArray[np.uint8] = full.argmax(1)[0].to(torch.uint8).numpy()
    return class_map


def _by_level(function: Callable[..., Any], *arguments: Any) -> Ways:
    kernels = {level: native.kernels(level) for level in native.LEVELS}
    return {f"c, {level}": partial(function, handle, *arguments) for level, handle in kernels.items() if handle}


def _best_ms(ways: Ways) -> dict[str, float]:
    """The quickest call of each way; the ways take turns."""
    best = dict.fromkeys(ways, float("inf"))
    ends = time.perf_counter() + SECONDS * len(ways)
    calls = 0
    while calls < LEAST_CALLS or time.perf_counter() < ends:
        for name, way in ways.items():
            for _ in range(2):  # the first fetches what the last way drove from the caches
                start = time.perf_counter()
                way()
                best[name] = min(best[name], time.perf_counter() - start)
        calls += 1
    return {name: round(1000 * seconds, 3) for name, seconds in best.items()}


def _open_cells(logits: npt.NDArray[np.float32]) -> float:
    """Share of the cells whose four corners have not one best class."""
    labels = logits.argmax(0)
    corners = [labels[:-1, :-1], labels[:-1, 1:], labels[1:, :-1], labels[1:, 1:]]
    return round(float(np.mean(np.ptp(corners, axis=0) > 0)), 3)


def _numba_costs() -> dict[str, Any]:
    """Its version, the MiB that its files take, and the seconds until a first call returns, compiled."""
    start = time.perf_counter()
    from upsample_in_numba import upsample_argmax

    upsample_argmax(np.zeros((2, 4, 4), np.float32), (32, 32))
    seconds = time.perf_counter() - start
    files = [file for package in ("numba", "llvmlite") for file in metadata.files(package) or ()]
    mib = sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file()) / 2**20
    return {"version": metadata.version("numba"), "installed_mib": round(mib), "first_call_s": round(seconds, 1)}


if __name__ == "__main__":
    main()
