"""Loads `bcpnet serve` over the loopback, and compares it with the same stages in one process: results/serve.json.

    python tools/measure_serve.py
    python tools/measure_serve.py --seconds 2 --out /tmp/serve.json    # a trial

One JPEG of 360x640 in, one PNG of class ids out. The load comes from a process of its own on the same machine: each
connection sends its next request once it has its answer. At overload the queue is short, there are more clients than
the service takes connections, and none ever pauses.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import bcpnet
from bcpnet.machine import describe_machine, usable_cores
from bcpnet.media.class_map_png import class_map_png
from bcpnet.media.video import read_video
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.uploads import decode
from bcpnet.storage.files import write_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
SIZE_HW = (360, 640)
CONNECTIONS = (1, 4, 32, 256)
SHORT_QUEUE = 8
OVERLOAD = 600  # clients a worker, of which it takes 512
FEW = 2  # clients a worker: those that keep it busy
BATCH = 4


def main() -> None:
    """Measures everything; the load's own process comes here, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "serve.json")
    parser.add_argument("--load", nargs=2, type=int, metavar=("PORT", "CONNECTIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        port, connections = options.load
        print(json.dumps(asyncio.run(load(sys.stdin.buffer.read(), port, connections, options.seconds))))
        return
    file = picture()
    found = {
        "command": "python tools/measure_serve.py",
        "size_hw": SIZE_HW,
        "jpeg_bytes": len(file),
        "threads": usable_cores(),
        "seconds": options.seconds,
        "in_process": in_process(file, options.seconds),
        "one_worker": served(file, options.seconds, 1),
        "a_worker_a_core": served(file, options.seconds, usable_cores()),
        "overload": overload(file, options.seconds),
        "machine": describe_machine(),
    }
    found["ratios"] = ratios(found)
    write_bytes(options.out, (json.dumps(found, indent=2) + "\n").encode())
    print(json.dumps(found["ratios"], indent=2))


def picture() -> bytes:
    """A frame of the demo clip as a JPEG."""
    frame = next(iter(read_video(REPOSITORY / "examples" / "streets.mp4")))
    data = io.BytesIO()
    Image.fromarray(frame).resize(SIZE_HW[::-1]).save(data, "JPEG", quality=90)
    return data.getvalue()


def in_process(file: bytes, seconds: float) -> dict[str, float]:
    """Images a second without HTTP: one image a core, as the service works, and in batches on all cores."""
    threads = usable_cores()
    one_core, all_cores = (bcpnet.load("camvid", size_hw=SIZE_HW, threads=count) for count in (1, threads))
    bounds = Bounds()

    def one() -> int:
        class_map_png(one_core(decode(file, bounds)).class_map)
        return 1

    def batch(pool: ThreadPoolExecutor) -> int:
        frames: list[npt.NDArray[np.uint8]] = list(pool.map(lambda _: decode(file, bounds), range(BATCH)))
        list(pool.map(lambda result: class_map_png(result.class_map), all_cores.batch(frames)))
        return BATCH

    with ThreadPoolExecutor(threads) as pool:
        single = sum(pool.map(lambda _: rate(one, seconds), range(threads)))
        return {"one_a_core": round(single, 2), f"batches_of_{BATCH}": round(rate(lambda: batch(pool), seconds), 2)}


def rate(work: Callable[[], int], seconds: float) -> float:
    """Images a second, after one that is not counted."""
    work()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


@contextmanager
def server(*options: str) -> Iterator[tuple[int, Callable[[], float]]]:
    """A service; its port, and what asks the peak memory of all its processes, in MiB."""
    size = "{}x{}".format(*SIZE_HW)
    command = [sys.executable, "-m", "bcpnet", "serve", "--port", "0", "--size", size, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(":")[2]), lambda: peak_mib(process.pid)
    finally:
        process.terminate()
        process.wait()


def peak_mib(pid: int) -> float:
    """Of a process and its children, the sum of the most that each has held."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert peak is not None
    return round(int(peak[1]) / 1024 + sum(peak_mib(int(child)) for child in children), 1)


def served(file: bytes, seconds: float, workers: int) -> list[dict[str, Any]]:
    """What clients see at each number of connections; the queue takes them all."""
    with server("--workers", str(workers), "--queue", "256", "--wait-s", "60") as (port, peak):
        return [{**loaded(file, port, count, seconds), "peak_mib": peak()} for count in CONNECTIONS]


def overload(file: bytes, seconds: float) -> list[dict[str, Any]]:
    """On a short queue: with just enough clients, the peak; then with far too many, who never pause."""
    with server("--queue", str(SHORT_QUEUE)) as (port, peak):
        clients = [usable_cores() * each for each in (FEW, OVERLOAD, OVERLOAD)]
        return [{**loaded(file, port, count, seconds), "peak_mib": peak()} for count in clients]


def loaded(file: bytes, port: int, connections: int, seconds: float) -> dict[str, Any]:
    """What the load's own process counts."""
    command = [sys.executable, __file__, "--load", str(port), str(connections), "--seconds", str(seconds)]
    ran = subprocess.run(command, input=file, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


async def load(file: bytes, port: int, connections: int, seconds: float) -> dict[str, Any]:
    """Good answers a second, their times in ms, and how many answers of each status; "ended" = without an answer."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a file for each connection
    request = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(file)}\r\n\r\n".encode() + file
    statuses: Counter[str] = Counter()
    times_s: list[float] = []
    begin = time.perf_counter() + min(1.0, seconds / 4)  # what is answered until then is not counted
    end = begin + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            try:
                await connection()
            except (ConnectionError, asyncio.IncompleteReadError):
                statuses["ended"] += begin <= time.perf_counter() <= end

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (sent := time.perf_counter()) < end:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                assert length is not None
                await reader.readexactly(int(length[1]))
                now = time.perf_counter()
                if begin <= now <= end:
                    status = head.split(b" ", 2)[1].decode()
                    statuses[status] += 1
                    if status == "200":
                        times_s.append(now - sent)
                if b"connection: close" in head.lower():
                    return
        finally:
            writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    ms = [round(1000 * float(np.quantile(times_s, share)), 2) if times_s else None for share in (0.5, 0.99)]
    statuses += Counter()  # leaves out what never came
    return {
        "connections": connections,
        "images_per_s": round(len(times_s) / seconds, 2),
        "p50_ms": ms[0],
        "p99_ms": ms[1],
        "statuses": dict(statuses),
    }


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """What the design was chosen by, and what it must show."""
    one = found["in_process"]["one_a_core"]
    peak, first, second = (row["images_per_s"] for row in found["overload"])
    best = {kind: max(row["images_per_s"] for row in found[kind]) for kind in ("one_worker", "a_worker_a_core")}
    return {
        "batches_to_one_a_core": round(found["in_process"][f"batches_of_{BATCH}"] / one, 3),
        "served_to_in_process": round(best["one_worker"] / one, 3),
        "served_by_a_worker_a_core_to_in_process": round(best["a_worker_a_core"] / one, 3),
        "goodput_at_overload_to_peak": round(min(first, second) / peak, 3),
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    main()
