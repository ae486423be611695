"""Times on a CUDA GPU, and what the card can do at most: for measure_gpu.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

BLOCKS = 5  # of calls; the median block counts
BLOCK_S = 0.06


def describe_gpu() -> dict[str, Any]:
    """The card, and the versions that choose its kernels."""
    import triton

    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": triton.__version__,
    }


def gpu_seconds(call: Callable[[], Any], stream: torch.cuda.Stream | None = None) -> float:
    """Seconds a call takes on the GPU, calls queued one behind the other: by events, the median of some blocks."""
    stream = stream or torch.cuda.current_stream()

    def block(calls: int) -> float:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record(stream)
        for _ in range(calls):
            call()
        end.record(stream)
        end.synchronize()
        return start.elapsed_time(end) / 1000

    return median_of_blocks(block)


def wall_seconds(call: Callable[[], Any]) -> float:
    """Seconds a call takes that returns when it is done: by the clock, the median of some blocks."""

    def block(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start

    return median_of_blocks(block)


def threaded_seconds(call: Callable[[], Any], threads: int) -> float:
    """Seconds for each of many calls from several threads at once."""
    with ThreadPoolExecutor(threads) as pool:

        def block(calls: int) -> float:
            start = time.perf_counter()
            list(pool.map(lambda _: call(), range(calls * threads)))
            return (time.perf_counter() - start) / threads

        return median_of_blocks(block)


def median_of_blocks(block: Callable[[int], float]) -> float:
    """Seconds for each call. `block` makes so many calls and tells the seconds of all; they grow until that is long."""
    calls = 1
    block(1)
    while (seconds := block(calls)) < BLOCK_S / 2:
        calls = max(calls + 1, min(10 * calls, round(calls * BLOCK_S / max(seconds, 1e-9))))
    return statistics.median(block(calls) / calls for _ in range(BLOCKS))


def best_batch(images_per_s: Callable[[int], float], batches: Sequence[int]) -> dict[str, float]:
    """The batch with the most images a second, of ascending ones, until one brings no more or the memory ends."""
    best = {"batch": 0.0, "frames_per_s": 0.0}
    for batch in batches:
        try:
            rate = images_per_s(batch)
        except torch.OutOfMemoryError:
            break
        if rate < 1.02 * best["frames_per_s"]:
            break
        best = {"batch": batch, "frames_per_s": rate}
    return best


def ceilings() -> dict[str, float]:
    """Operations and bytes a second of large matrix products and copies; seconds of a small kernel inside a graph."""
    device = torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = False

    def product(side: int, dtype: torch.dtype) -> float:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        return 2 * side**3 / gpu_seconds(lambda: torch.mm(a, b, out=out)) / 1e12

    source = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    host = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
    part = source[: host.numel()]
    return {
        "fp16_matmul_tflops": product(8192, torch.float16),
        "fp32_matmul_tflops": product(4096, torch.float32),
        "copy_gb_per_s": 2 * source.numel() / gpu_seconds(lambda: target.copy_(source)) / 1e9,
        "host_to_device_gb_per_s": host.numel() / gpu_seconds(lambda: part.copy_(host, non_blocking=True)) / 1e9,
        "device_to_host_gb_per_s": host.numel() / gpu_seconds(lambda: host.copy_(part, non_blocking=True)) / 1e9,
        "small_kernel_us": 1e6 * _kernel_in_graph_s(),
    }


def _kernel_in_graph_s() -> float:
    """Of a kernel that does next to nothing and needs the one before it: what each launch costs at least."""
    value = torch.zeros(1, device="cuda")
    graph, kernels = torch.cuda.CUDAGraph(), 200
    value.add_(1)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            value.add_(1)
    return gpu_seconds(graph.replay) / kernels


def kernels_of(call: Callable[[], Any]) -> list[tuple[str, float]]:
    """Name and microseconds of every kernel that a call runs, in order."""
    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    events = [event for event in profiler.events() or [] if event.device_type == torch.autograd.DeviceType.CUDA]
    events.sort(key=lambda event: event.time_range.start)
    return [(event.name[:60], event.time_range.elapsed_us()) for event in events]
