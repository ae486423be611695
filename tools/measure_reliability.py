"""Fuzzes, soaks and opens again and again; writes what came of it into results/reliability.json.

    python tools/measure_reliability.py fuzz            # each of tests/fuzz: 10,000 files, videos 2,000, bodies 5,000
    python tools/measure_reliability.py soak --minutes 30
    python tools/measure_reliability.py opens           # 500 times in every backend

Each part takes the place of the same part in the file. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

import bcpnet
from bcpnet.cli import main as run_command
from bcpnet.machine import describe_machine
from bcpnet.media.video import read_video
from bcpnet.storage.files import write_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "results" / "reliability.json"
CLIP = REPOSITORY / "examples" / "streets.mp4"
FUZZERS = {
    "images": 10_000,
    "labels": 10_000,
    "yaml_files": 10_000,
    "weights": 10_000,
    "videos": 2_000,
    "bodies": 5_000,
}
FLAT_MIB = 32  # between the first tenth of a soak and its end


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one part and keeps the others; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("fuzz", "soak", "opens"))
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzers")
    parser.add_argument("--share", type=float, default=1.0, help="of the fuzzers' counts; below 1 for a trial")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak, half for each kind")
    parser.add_argument("--times", type=int, default=500, help="of the opens, in each backend")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file that holds the parts")
    options = parser.parse_args(words)
    if options.part == "fuzz":
        found = {name: fuzz(name, max(1, int(options.share * count)), options.seed) for name, count in FUZZERS.items()}
    elif options.part == "soak":
        found = {"video": soak(videos, 30 * options.minutes), "stream": soak(streamed, 30 * options.minutes)}
    else:
        found = {backend: opens(backend, options.times) for backend in ("native", "onnxruntime", "openvino", "pytorch")}
    command = f"python tools/measure_reliability.py {shlex.join(words)}"
    parts = json.loads(options.out.read_text()) if options.out.exists() else {}
    parts[options.part] = {"command": command, "found": found, "machine": describe_machine()}
    write_bytes(options.out, (json.dumps(parts, indent=2) + "\n").encode())
    print(json.dumps(found, indent=2))
    return int(any(part["faults"] for part in found.values()))


def fuzz(name: str, count: int, seed: int) -> dict[str, Any]:
    """What a fuzzer of tests/fuzz counted."""
    command = [sys.executable, f"tests/fuzz/{name}.py", "--count", str(count), "--seed", str(seed)]
    print(" ".join(command), flush=True)
    ran = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    lines = ran.stdout.strip().splitlines()
    if ran.returncode not in (0, 1) or not lines:
        raise SystemExit(f"{name}: ended with {ran.returncode}")
    return {"count": count, "seed": seed, **json.loads(lines[-1])}


def videos() -> Iterator[tuple[int, int]]:
    """Segments the clip into an overlay again and again: frames in and out of each time."""
    frames = sum(1 for _ in read_video(CLIP))
    while True:
        with TemporaryDirectory() as folder:
            code = bcpnet_predict(str(CLIP), "--out", folder, "--save", "overlay")
            written = sum(1 for _ in read_video(Path(folder) / f"{CLIP.stem}_overlay.mp4"))
        yield frames, written if code == 0 else -1


def bcpnet_predict(*arguments: str) -> int:
    """The command, in this process, without what it prints."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return run_command(["predict", *arguments])


def streamed() -> Iterator[tuple[int, int]]:
    """Streams the clip over and over: of every hundred frames asked for, how many results came."""
    clip = list(read_video(CLIP))

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        while True:
            yield from clip

    results = bcpnet.load().stream(frames())
    while True:
        yield 100, sum(1 for _ in itertools.islice(results, 100))


def soak(work: Callable[[], Iterator[tuple[int, int]]], seconds: float) -> dict[str, Any]:
    """Does `work` for so long; memory at the end beside that after the first tenth."""
    end, warm_up = time.monotonic() + seconds, time.monotonic() + seconds / 10
    frames_in = frames_out = 0
    early_mib = late_mib = 0.0
    for given, got in work():
        frames_in, frames_out = frames_in + given, frames_out + got
        if time.monotonic() < warm_up or not early_mib:
            early_mib = max(early_mib, resident_mib())
        late_mib = resident_mib()
        if time.monotonic() > end:
            break
    faults = int(frames_in != frames_out) + int(late_mib > early_mib + FLAT_MIB)
    return {
        "seconds": seconds,
        "frames_in": frames_in,
        "frames_out": frames_out,
        "early_mib": round(early_mib, 1),
        "late_mib": round(late_mib, 1),
        "faults": faults,
    }


def opens(backend: str, times: int) -> dict[str, Any]:
    """Opens a segmenter, segments, drops it; what is left of threads, files and memory since the tenth time."""
    frame = np.zeros((90, 160, 3), np.uint8)
    before: tuple[int, int, float] = (0, 0, 0.0)
    for index in range(times):
        bcpnet.load(backend=backend)(frame)
        if index == times // 10:
            before = held()
    left = [after - early for early, after in zip(before, held(), strict=True)]
    faults = int(left[0] > 0) + int(left[1] > 0) + int(left[2] > FLAT_MIB)
    return {"opened": times, "threads": left[0], "files": left[1], "mib": round(left[2], 1), "faults": faults}


def held() -> tuple[int, int, float]:
    """Threads (the system's count), open files, resident MiB."""
    threads, files = (sum(1 for _ in Path("/proc/self").joinpath(name).iterdir()) for name in ("task", "fd"))
    return threads, files, resident_mib()


def resident_mib() -> float:
    """Memory of this process, in MiB."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
