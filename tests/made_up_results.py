"""Results of `bcpnet paper` that nobody measured: round figures, all rows, every kind of failure."""

from __future__ import annotations

from typing import Any

from bcpnet.paper.published import PUBLISHED, TABLE_1_SIZES
from bcpnet.paper.results import DEPTHS, RATES, SHIPPED, Results, new_results, rate_key, size_hw

SIZES = ("360x640", "512x1024", "1024x2048")
MACHINE = {
    "cpu": "Example CPU",
    "usable_cores": 2,
    "memory_gib": 16.0,
    "python": "3.12.0",
    "packages": {"onnxruntime": "1.0", "openvino": "2.0", "torch": "3.0"},
    "date": "2026-01-02T03:04:05+00:00",
}


def cell(ms: float, frames: int = 30) -> dict[str, Any]:
    """A tenth of the time is not the network's."""
    return {"network_ms": 0.9 * ms, "ms": ms, "frames": frames, "peak_mib": 100.0}


def network(key: str, gmacs: float, ms: float) -> dict[str, Any]:
    """A row of `gmacs` and `ms` at 360x640, which grow with the pixels; native is twice as fast, openvino a little."""
    area = {size: size_hw(size)[0] * size_hw(size)[1] / 230_400 for size in {*TABLE_1_SIZES, *SIZES}}
    times = {size: {"onnxruntime": cell(ms * area[size]), "openvino": cell(0.8 * ms * area[size], 5)} for size in SIZES}
    if key in ("bcpnet", SHIPPED):
        for size in SIZES:
            times[size]["native"] = cell(ms * area[size] / 2)
    return {
        "network": "bcpnet" if key == SHIPPED else key,
        "options": {},
        "parameters": 607_826,
        "macs": {size: round(1e9 * gmacs * area[size]) for size in TABLE_1_SIZES},
        "difference": 2.4e-6,
        "times": times,
    }


def made_up_results() -> Results:
    """A full run: bcpnet takes 20 ms at 360x640, each system before it in the paper's table 20 ms more."""
    results = new_results({"quick": False, "threads": None, "limit_s": 60.0})
    results["machine"] = MACHINE
    for number, key in enumerate(reversed(PUBLISHED), 1):
        results["networks"][key] = network(key, gmacs=number, ms=20.0 * number)
    results["networks"] = {key: results["networks"][key] for key in PUBLISHED}
    results["networks"][SHIPPED] = network(SHIPPED, gmacs=1.0, ms=22.0)
    results["networks"]["deeplab"]["times"] = {
        "360x640": {"onnxruntime": cell(7000.0, 1)},
        "512x1024": {"onnxruntime": {"error": "stopped: it took over 60 s"}},
        "1024x2048": {"onnxruntime": {"error": "not tried: it failed at 512x1024"}},
    }
    for size in SIZES:
        ran = [("bcpnet", "onnxruntime"), ("enet", "onnxruntime"), ("bcpnet", "native"), ("enet", "openvino")]
        results["fastest"][size] = {
            "among": list(results["networks"]),
            "rows": [
                {"network": key, "backend": backend, **results["networks"][key]["times"][size][backend]}
                for key, backend in ran
            ],
        }
    for depth in DEPTHS:
        for rate in RATES:
            results["rates"][rate_key(depth, rate)] = {"macs": 10**9 * depth * 32 // rate, **cell(depth * 320 / rate)}
    results["accuracy"][SHIPPED] = {
        "dataset": "camvid",
        "split": "drives held out, mean",
        "miou": 0.714,
        "trained": "the other drives",
        "command": "python tools/by_drive.py",
        "file": "results/by-drive.json",
    }
    results["figure4"] = {"image": "a synthetic street", "photograph": False}
    results["figure5"] = {"image": "a synthetic street", "pixel_accuracy": 0.92}
    return results
