"""Measures `bcpnet batch` on this machine, one process against two, by itself and on Ray: results/batch.json.

    python tools/measure_batch.py
    python tools/measure_batch.py --images 64 --engines local --out /tmp/batch.json    # a trial

The archive is JPEG files of 720x960, drawn streets, which are in the system's cache: no disk is measured. A rate counts
from the first shard that is done to the last, so that starting processes and opening weights is left out. The cluster
of the faults is two of Ray's nodes on this machine; while they work, a process is killed with -9 and a node is removed.
The plan for a million frames an hour follows from the rate of one process; the price of a core's hour is assumed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcpnet
from bcpnet.benchmark.memory import peak_mib
from bcpnet.benchmark.scenes import draw_scenes
from bcpnet.errors import InputError
from bcpnet.machine import describe_machine
from bcpnet.media.images import save_image
from bcpnet.prediction.batch.local import run_local
from bcpnet.prediction.batch.units import Item, Unit
from bcpnet.prediction.batch.work import Done, GivenUp, Work
from bcpnet.regions.rle import class_rles
from bcpnet.storage.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
SIZE_HW = 720, 960
UNIT = 16  # images a shard: small, so that processes end at about the same time
PLANNED_FRAMES_A_S = 1_000_000 / 3600

Results = Generator[Done | GivenUp, None, None]


@dataclass(frozen=True)
class Watched(Work):
    """Work that tells how much memory its process took, and may kill it once, in the middle of some unit."""

    deadly: str = ""

    def __call__(self, unit: Unit) -> Done | InputError:
        """As `Work`."""
        killed = Path(f"{self.out}-killed")
        if self.deadly and self.deadly in unit.items[-1].path and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        done = super().__call__(unit)
        Path(f"{self.out}-peak-{os.getpid()}").write_text(str(peak_mib()))
        return done


def write_images(folder: Path, count: int) -> list[Unit]:
    """An archive of `count` files."""
    folder.mkdir()
    scenes = draw_scenes(SIZE_HW)
    for number in range(count):
        path = folder / f"{number:06d}.jpg"
        if number < len(scenes):
            save_image(path, scenes[number])
        else:
            path.symlink_to(folder / f"{number % len(scenes):06d}.jpg")
    items = [Item(str(path)) for path in sorted(folder.iterdir())]
    return [Unit(tuple(items[first : first + UNIT])) for first in range(0, count, UNIT)]


def read_rows(out: Path) -> list[dict[str, Any]]:
    """All that was written."""
    import pyarrow.dataset as ds

    rows: list[dict[str, Any]] = ds.dataset(out, format="parquet").to_table().to_pylist()
    return rows


def equal_class_maps(rows: list[dict[str, Any]], names: tuple[str, ...]) -> bool:
    """Whether every row has the classes that `bcpnet.load` finds in its file, run by run."""
    segmenter = bcpnet.load("camvid", threads=1)
    known: dict[Path, dict[str, str]] = {}
    for row in rows:
        path = Path(row["path"]).resolve()
        if path not in known:
            known[path] = {names[label]: code for label, code in class_rles(segmenter(path).class_map).items()}
        if {name: code for name, code in row["rle"].items() if code is not None} != known[path]:
            return False
    return True


def rate(results: Results) -> float:
    """Frames a second, from the first unit to the last."""
    ends, frames = [], []
    with closing(results) as units:
        for done in units:
            assert isinstance(done, Done)
            ends.append(time.perf_counter())
            frames.append(done.rows)
    return sum(frames[1:]) / (ends[-1] - ends[0])


def measure(folder: Path, units: list[Unit], engine: str, workers: int) -> dict[str, Any]:
    """One engine with so many processes."""
    out = folder / f"{engine}-{workers}"
    work = Watched(str(out), "camvid")
    if engine == "local":
        frames_a_s = rate(run_local(work, units, workers))
    else:
        frames_a_s = on_ray(lambda run: rate(run(work, units, None)), workers)
    peaks = [float(path.read_text()) for path in folder.glob(f"{out.name}-peak-*")]
    rows = read_rows(out)
    return {
        "engine": engine,
        "workers": workers,
        "frames": len(rows),
        "frames_per_s": round(frames_a_s, 2),
        "peak_mib_of_a_process": round(max(peaks), 1),
        "bytes_written_per_frame": round(sum(path.stat().st_size for path in out.iterdir()) / len(rows)),
        "equal_to_predict": equal_class_maps(rows, bcpnet.load("camvid").backend.metadata.classes.names),
    }


def on_ray(measured: Callable[[Any], float], cpus: int) -> float:
    """In a Ray of its own with so many cores."""
    import ray

    from bcpnet.prediction.batch.on_ray import run_on_ray

    ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    try:
        return measured(run_on_ray)
    finally:
        ray.shutdown()


def faults(folder: Path, units: list[Unit]) -> dict[str, Any]:
    """Two nodes; a process is killed, and a node removed after a quarter of the units."""
    import ray
    from ray.cluster_utils import Cluster

    from bcpnet.prediction.batch.on_ray import run_on_ray

    out = folder / "faults"
    work = Watched(str(out), "camvid", deadly=Path(units[-1].items[-1].path).name)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        with closing(run_on_ray(work, units, None)) as results:
            for number, _ in enumerate(results, 1):
                if number == max(1, len(units) // 4):
                    cluster.remove_node(second, allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()
    found = Counter(row["path"] for row in read_rows(out))
    expected = {item.path for unit in units for item in unit.items}
    return {
        "nodes": 2,
        "killed_processes": int((folder / "faults-killed").exists()),
        "removed_nodes": 1,
        "frames": len(expected),
        "lost_rows": len(expected - set(found)),
        "doubled_rows": sum(count - 1 for count in found.values()),
    }


def plan(row: dict[str, Any], bytes_read_per_frame: float, price: float) -> dict[str, Any]:
    """What a million frames an hour take, by the rate of one process."""
    cores = PLANNED_FRAMES_A_S / row["frames_per_s"]
    return {
        "frames_per_hour": 1_000_000,
        "cores": round(cores, 1),
        "memory_gib": round(cores * row["peak_mib_of_a_process"] / 1024, 1),
        "read_mb_per_s": round(PLANNED_FRAMES_A_S * bytes_read_per_frame / 1e6, 1),
        "written_gb_per_million_frames": round(row["bytes_written_per_frame"] / 1e3, 1),
        "assumed_usd_per_core_hour": price,
        "usd_per_million_frames": round(cores * price, 2),
    }


def main() -> None:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--price", type=float, default=0.05, help="US dollars for an hour of a core, assumed")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "batch.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        units = write_images(folder / "in", options.images)
        sizes = [Path(item.path).stat().st_size for unit in units for item in unit.items]
        rows = []
        for engine in options.engines:
            for workers in (1, 2):
                rows.append(measure(folder, units, engine, workers))
                print(rows[-1], file=sys.stderr)
        found = {
            "size": "{}x{}".format(*SIZE_HW),
            "rows": rows,
            "scaling": {
                engine: round(two["frames_per_s"] / one["frames_per_s"], 2)
                for engine, one, two in zip(options.engines, rows[::2], rows[1::2], strict=True)
            },
            "plan": plan(rows[0], sum(sizes) / len(sizes), options.price),
            **({"faults": faults(folder, units)} if "ray" in options.engines else {}),
            "machine": describe_machine(),
        }
    write_bytes(options.out, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
