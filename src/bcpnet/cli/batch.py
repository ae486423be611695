"""`bcpnet batch`: an archive of images and videos in, Parquet out, on one machine or many."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.cli.common import Number, Size, Status, duration, parse_size
from bcpnet.cli.complain import complain
from bcpnet.errors import UsageError
from bcpnet.machine import usable_cores
from bcpnet.prediction.batch.files import full_name
from bcpnet.prediction.batch.local import run_local
from bcpnet.prediction.batch.shards import units_left
from bcpnet.prediction.batch.units import Unit, find_items
from bcpnet.prediction.batch.work import Done, GivenUp, Work
from bcpnet.prediction.tables import Output
from bcpnet.segmenter import load
from bcpnet.storage.files import remove_left_behind
from bcpnet.storage.folder_lock import folder_lock
from bcpnet.weights import resolve, shipped

_TOLD_ERRORS = 10  # the first of a shard each; all are rows


@dataclass(frozen=True)
class Batch:
    """Segment an archive of images and videos into Parquet files, a row for each frame. For example:

    bcpnet batch photos/ drives/*.mp4 --out results
    bcpnet batch "s3://archive/2026/**/*.tar" --out s3://results/2026 --engine ray

    A second run with the same --out does only what is not done yet, by the names of the inputs, so that an interrupted
    run goes on. What cannot be read is a row with an error, and makes the exit code 1.

    Attributes:
        inputs: images, videos, tar files (WebDataset), Parquet files with a column of image bytes, folders and globs of
            them, and .txt files that name one on each line; on this machine, or addresses such as s3://bucket/folder
            and gs://bucket/folder.
        out: the folder of the Parquet files, or its address.
        weights: a name that ships (`bcpnet models` lists them) or a .onnx or .safetensors file.
        output: rle = the mask of each class as COCO's run-length code; png = the class map as a PNG; none = only shares
            and confidence.
        engine: local = processes on this machine; ray = the Ray cluster that RAY_ADDRESS names or that runs here.
        workers: frames worked on at once, each by a process of one thread; by default as many as there are cores.
        size: of the network's input, height first; by default the weights decide.
    """

    inputs: Annotated[Positional[tuple[str, ...]], arg(metavar="INPUT [INPUT ...]", help_behavior_hint="")] = ()
    out: Annotated[str, arg(metavar="FOLDER")] = "bcpnet-batch"
    weights: str = "camvid"
    output: Output = "rle"
    engine: Literal["local", "ray"] = "local"
    workers: Number = None
    size: Size = None


def run(options: Batch) -> int:
    """Does what is not done yet; 1 if some of it could not be read, else 0."""
    if not options.inputs:
        raise UsageError("nothing to segment: name an image, a video, a tar or Parquet file, a folder or a glob")
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers {options.workers}: need 1 or more")
    size_hw = None if options.size is None else parse_size(options.size)
    weights = options.weights if options.weights in shipped() else str(Path(options.weights).absolute())
    load(weights, size_hw=size_hw, threads=1)  # what is wrong with them is told before anything is started
    digest = hashlib.sha256(resolve(weights, ".onnx").read_bytes()).hexdigest()
    work = Work(full_name(options.out), digest, weights, options.output, size_hw)
    with Status() as status, _alone_in(options.out):
        status.show("looking for images and videos")
        items = find_items(options.inputs)
        units, before = units_left(work.out, items, work.settings)
        total, given_up, told = Done(), list[Unit](), 0
        start = time.monotonic()
        with closing(_results(options, work, units)) as results:
            for number, result in enumerate(results, 1):
                if isinstance(result, GivenUp):
                    given_up.append(result.unit)
                else:
                    total.add(result)
                wall_s = time.monotonic() - start
                rest_s = wall_s / number * (len(units) - number)
                rate = f"{total.rows} rows, {total.rows / wall_s:.1f} rows/s"
                status.show(f"{number} of {len(units)} shards, {rate}, {duration(rest_s)} to go")
                if isinstance(result, Done) and result.first_error and told < _TOLD_ERRORS:
                    told += 1
                    status.close()
                    complain(result.first_error)
        wall_s = time.monotonic() - start
    for unit in given_up:
        first, others = unit.items[0], len(unit.items) - 1
        what = first.path + (f" and {others} more" if others else "")
        complain(
            f"{what}: the process that worked on it was killed each time: out of memory? No rows of it are written"
        )
    print(_summary(total, before, len(given_up), wall_s, work.out))
    return 1 if total.errors or given_up else 0


@contextmanager
def _alone_in(out: str) -> Iterator[None]:
    """Keeps other runs out of a folder of this machine, and removes half-written files before and after."""
    if "://" in out:
        yield
        return
    with folder_lock(Path(out), "batch"):
        remove_left_behind(Path(out), [".parquet"])
        try:
            yield
        finally:
            remove_left_behind(Path(out), [".parquet"])


def _results(options: Batch, work: Work, units: list[Unit]) -> Generator[Done | GivenUp, None, None]:
    if options.engine == "local" or not units:
        return run_local(work, units, options.workers or usable_cores())
    from bcpnet.prediction.batch.on_ray import run_on_ray

    return run_on_ray(work, units, options.workers)


def _summary(total: Done, before: int, given_up: int, wall_s: float, out: str) -> str:
    lines = []
    frames = total.rows - total.errors
    if frames:
        width = max(map(len, total.shares))
        lines.append(f"{'class':{width}}  share of pixels  frames with it")
        lines += [
            f"{name:{width}}  {100 * share / frames:13.1f} %  {total.seen_in[name]:14}"
            for name, share in total.shares.items()
        ]
        rate = f"{frames / wall_s:.1f} frames/s; {total.ms / frames:.1f} ms each to decode and segment"
        lines.append(f"{frames} frame{'s' * (frames != 1)} in {duration(wall_s)}: {rate}")
    if total.errors:
        lines.append(f"{total.errors} row{'s' * (total.errors != 1)} with an error")
    if before:
        lines.append(f"{before} item{'s' * (before != 1)} done before")
    if given_up:
        lines.append(f"{given_up} shard{'s' * (given_up != 1)} given up: run the command again for them")
    return "\n".join([*lines, f"results in {out}"])
