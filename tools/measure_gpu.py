"""What the CUDA backend does on this GPU, into one JSON file: ceilings, correctness, times. Some minutes.

    python tools/measure_gpu.py --out FILE [--seconds N]

Sizes are those of the paper's Table 2; networks are the weights that ship (`camvid`, 11 classes) and the paper's
(`bcpnet`, 19 classes, random weights). Rates are frames a second, class maps at the frames' own size:

- `on_gpu`: frame on the GPU to class map on the GPU, batch 1; `best_batch` likewise with the batch that gives most;
- `network_only`: the same without upsampling and argmax;
- `from_host`: uint8 frame in the host's memory to class map there, copies included; `from_host_threads` with 3 threads.

Needs PyTorch with CUDA, Triton, NumPy, Pillow, safetensors, PyYAML; bcpnet itself need not be installed. The file is
written again after every part; past `--seconds` the parts that are left are skipped, and named in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gpu_timing import best_batch, ceilings, describe_gpu, gpu_seconds, kernels_of, threaded_seconds, wall_seconds  # noqa: E402
from torch import nn  # noqa: E402

from bcpnet.data.streets import Streets  # noqa: E402
from bcpnet.frames.upsample import upsample_argmax  # noqa: E402
from bcpnet.machine import describe_machine  # noqa: E402
from bcpnet.networks import build  # noqa: E402
from bcpnet.networks.checkpoint import load_checkpoint  # noqa: E402
from bcpnet.networks.frames import normalise  # noqa: E402
from bcpnet.networks.info import count_macs  # noqa: E402
from bcpnet.storage.files import write_bytes  # noqa: E402
from bcpnet.weights import path_of  # noqa: E402

SIZES_HW = (
    (360, 640), (1024, 2048), (512, 1024), (720, 960), (720, 1280), (768, 1536), (1080, 1920), (1024, 1024),
)  # fmt: skip
ENDS_HW = SIZES_HW[:2]  # of the targets
CHECK_HW = (360, 640)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def main(arguments: list[str] | None = None) -> int:
    """Measures what there is time for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=420)
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no CUDA GPU: PyTorch finds none here, and there is nothing else to measure", file=sys.stderr)
        return 1

    result = {"command": "python tools/measure_gpu.py", "machine": describe_machine(), "gpu": describe_gpu()}
    networks = {"camvid": load_checkpoint(path_of("camvid", ".safetensors"))[0], "bcpnet": random_bcpnet()}
    parts: dict[str, Callable[[], Any]] = {"ceilings": ceilings}
    parts |= {f"correctness {name}": partial(correctness, network) for name, network in networks.items()}
    for measure, sizes_hw in ((rates, ENDS_HW), (kernels, ENDS_HW), (variants, ENDS_HW), (rates, SIZES_HW[2:])):
        for size_hw in sizes_hw:
            for name, network in networks.items():
                parts[f"{measure.__name__} {name} {size_hw[0]}x{size_hw[1]}"] = partial(measure, network, size_hw)
    parts |= {
        f"compiled {size_hw[0]}x{size_hw[1]}": partial(compiled, networks["bcpnet"], size_hw) for size_hw in ENDS_HW
    }
    run(parts, result, options.out, options.seconds)
    return int(bool(result["failed"]))


def run(parts: dict[str, Callable[[], Any]], result: dict[str, Any], out: Path, seconds: float) -> None:
    """Adds what each part returns to `result` under its name, and how long it took; writes `out` after each.

    A part that fails leaves its error there, for a GPU's time is too short to lose the rest.
    """
    began = time.monotonic()
    result |= {"seconds": {}, "skipped": [], "failed": {}}
    for name, part in parts.items():
        start = time.monotonic()
        if start - began > seconds:
            result["skipped"].append(name)
        else:
            try:
                result[name] = rounded(part())
            except Exception as error:  # whatever it is, the other parts are worth having
                result["failed"][name] = f"{type(error).__name__}: {error}"
            result["seconds"][name] = round(time.monotonic() - start, 1)
            print(name, json.dumps(result.get(name, result["failed"].get(name)))[:400], flush=True)
        write_bytes(out, (json.dumps(result, indent=1) + "\n").encode())


def random_bcpnet() -> nn.Module:
    """The paper's network with random weights, its batch norms calibrated so that no layer fades out."""
    torch.manual_seed(0)
    network = build("bcpnet", 19)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of what it sees from now on
    with torch.inference_mode():
        network.train()(normalise(torch.from_numpy(frames_of((256, 512), 2)).permute(0, 3, 1, 2)))
    return network.eval()


def frames_of(size_hw: tuple[int, int], count: int) -> Any:
    """N H W 3 uint8: drawn streets, no noise."""
    streets = Streets("test", size_hw, count)
    return np.stack([streets[index].image for index in range(count)])


def correctness(network: nn.Module) -> dict[str, Any]:
    """Logits and class maps on the GPU against float32 on the CPU: the largest error and the share of pixels."""
    from bcpnet.gpu.network import FusedBCPNet, eager_network

    torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda")
    frames = frames_of(CHECK_HW, 2)
    size_hw = (2 * CHECK_HW[0], 2 * CHECK_HW[1])
    with torch.inference_mode():
        expected = eager_network(network, torch.float32, torch.device("cpu"))(torch.from_numpy(frames)).numpy()
    expected_maps = np.stack([upsample_argmax(logits, size_hw) for logits in expected])
    found = {}
    for form, make in (("fused", FusedBCPNet), ("pytorch", eager_network)):
        for dtype in (torch.float16, torch.float32):
            on_gpu = make(network, dtype, device)
            logits = recorded(on_gpu, frames, None)(frames)
            maps = recorded(on_gpu, frames, size_hw)(frames)
            of_logits = np.stack([upsample_argmax(one, size_hw) for one in logits])
            found[f"{form} {str(dtype).removeprefix('torch.')}"] = {
                "logits_error_of_largest": float(np.abs(logits - expected).max() / np.abs(expected).max()),
                "class_map_agreement": float(np.mean(maps == expected_maps)),
                "kernel_equals_numpy_argmax": float(np.mean(maps == of_logits)),
            }
    return found


def rates(network: nn.Module, size_hw: tuple[int, int]) -> dict[str, Any]:
    """The backend's form of the network at one size; see the head of this file."""
    from bcpnet.gpu.graphs import Graphs, Job
    from bcpnet.gpu.network import gpu_network

    device = torch.device("cuda")
    on_gpu = gpu_network(network, torch.float16, device)
    frames = frames_of(size_hw, 1)
    graph = recorded(on_gpu, frames, size_hw)
    network_only = recorded(on_gpu, frames, None)
    graphs = Graphs(on_gpu, device)

    def lent() -> None:
        with graphs.lend(Job(frames.shape, size_hw)) as one:
            one(frames)

    def of_batch(batch: int) -> float:
        many = recorded(on_gpu, np.repeat(frames, batch, 0), size_hw)
        return batch / gpu_seconds(many.replay, many.stream)

    seconds = gpu_seconds(graph.replay, graph.stream)
    network_s = gpu_seconds(network_only.replay, network_only.stream)
    return {
        "on_gpu": 1 / seconds,
        "on_gpu_ms": 1000 * seconds,
        "on_gpu_wall_ms": 1000 * wall_seconds(lambda: (graph.replay(), graph.stream.synchronize())),
        "network_only": 1 / network_s,
        "network_tflops": 2 * count_macs(deepcopy(network).to("meta"), size_hw) / network_s / 1e12,
        "from_host": 1 / wall_seconds(lambda: graph(frames)),
        "from_host_threads": 1 / threaded_seconds(lent, 3),
        "best_batch": best_batch(of_batch, BATCHES),
    }


def kernels(network: nn.Module, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Every kernel from frame to class map, in order, with its microseconds."""
    from bcpnet.gpu.network import gpu_network

    on_gpu = gpu_network(network, torch.float16, torch.device("cuda"))
    found = kernels_of(recorded(on_gpu, frames_of(size_hw, 1), size_hw).replay)
    return {"count": len(found), "sum_us": sum(us for _, us in found), "us": found}


def variants(network: nn.Module, size_hw: tuple[int, int]) -> dict[str, float]:
    """Frames a second, on the GPU, batch 1, of other ways to run the same: what each step brings."""
    import bcpnet.gpu.layers
    from bcpnet.gpu.network import FusedBCPNet, eager_network
    from bcpnet.gpu.upsample import upsample_argmax as on_gpu_argmax

    device = torch.device("cuda")
    frames = frames_of(size_hw, 1)
    there = torch.from_numpy(frames).to(device)
    eager, fused = (make(network, torch.float16, device) for make in (eager_network, FusedBCPNet))

    def baseline() -> torch.Tensor:
        full = nn.functional.interpolate(eager(there), size=size_hw, mode="bilinear", align_corners=False)
        return full.argmax(1).byte()

    found = {}
    with torch.inference_mode():
        found["pytorch, interpolate and argmax"] = 1 / gpu_seconds(baseline)
        found["pytorch, argmax kernel"] = 1 / gpu_seconds(lambda: on_gpu_argmax(eager(there), size_hw))
        found["fused, argmax kernel"] = 1 / gpu_seconds(lambda: on_gpu_argmax(fused(there), size_hw))
    forms = {"pytorch, argmax kernel, graph": (eager, 256)}
    forms |= {f"fused, argmax kernel, graph, {programs} programs": (fused, programs) for programs in (64, 256, 1024)}
    for name, (form, programs) in forms.items():
        bcpnet.gpu.layers._PROGRAMS = programs
        graph = recorded(form, frames, size_hw)
        found[name] = 1 / gpu_seconds(graph.replay, graph.stream)
    bcpnet.gpu.layers._PROGRAMS = 256
    return found


def compiled(network: nn.Module, size_hw: tuple[int, int]) -> dict[str, float]:
    """As `variants`, with torch.compile; it takes its time."""
    from bcpnet.gpu.network import eager_network

    eager = eager_network(network, torch.float16, torch.device("cuda"))
    torch._dynamo.reset()
    graph = recorded(torch.compile(eager, dynamic=False), frames_of(size_hw, 1), size_hw)
    return {"torch.compile, argmax kernel, graph": 1 / gpu_seconds(graph.replay, graph.stream)}


def recorded(form: Callable[[torch.Tensor], torch.Tensor], frames: Any, size_hw: tuple[int, int] | None) -> Any:
    """The `bcpnet.gpu.graphs.Graph` of a network on these frames, which lie on the GPU; run once."""
    from bcpnet.gpu.graphs import Graph, Job

    graph = Graph(form, Job(frames.shape, size_hw), torch.device("cuda"))
    graph(frames)
    return graph


def rounded(value: Any) -> Any:
    """`value` with its floats at four digits that count, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
