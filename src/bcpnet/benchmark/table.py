"""Measurements as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bcpnet.benchmark.ceilings import Ceilings
from bcpnet.benchmark.comparison import Row
from bcpnet.benchmark.segment import BASELINE
from bcpnet.benchmark.timing import Timing
from bcpnet.benchmark.video import VideoRow


def format_rows(rows: Sequence[Row], ceilings: Ceilings) -> str:
    """A line for each row: frames/s, ms from frame to class map, mean ms by stage, memory, share of the ceiling.

    Below, for rows beside the baseline: how many times as fast they are, and their share of its memory.
    """
    stages = list(dict.fromkeys(name for row in rows if row.timing for name in row.timing.stages))
    header = ["network", "backend", "frame", "threads", "frames/s", "p50 ms", "p95 ms", "p99 ms"]
    table = [[*header, *(f"{name} ms" for name in stages), "peak MiB", "of peak"]]
    notes = []
    for row in rows:
        size = "{}x{}".format(*row.frame_hw)
        start = [row.network, _backend(row.backend, row.ran), size, "auto" if row.threads is None else str(row.threads)]
        if row.timing is None:
            table.append(start + ["-"] * (len(table[0]) - len(start)))
            notes.append(f"{row.network}, {row.backend}, {size}: {row.error}")
            continue
        timing = row.timing
        ms = [timing.segment.p50_ms, timing.segment.p95_ms, timing.segment.p99_ms]
        means = [f"{timing.stages[name].mean_ms:.2f}" if name in timing.stages else "-" for name in stages]
        share = row.share_of_peak(ceilings)
        table.append(
            [
                *start,
                f"{timing.fps:.1f}",
                *(f"{value:.2f}" for value in ms),
                *means,
                "-" if row.memory is None else f"{row.memory.peak:.0f}",
                "-" if share is None else f"{100 * share:.0f} %",
            ]
        )
        baseline = baseline_of(row, rows)
        if baseline is not None and baseline.timing is not None:
            faster = timing.fps / baseline.timing.fps
            note = f"{row.network}, {row.backend}, {size}: {faster:.2f} times as fast as the baseline"
            if row.memory is not None and baseline.memory is not None:
                note += f", {row.memory.peak / baseline.memory.peak:.2f} of its memory"
            notes.append(note)
    return "\n".join([aligned(table), *notes])


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The row of the baseline with the same network and size; None for itself, and where there is none."""
    if row.backend == BASELINE:
        return None
    baseline = [r for r in rows if (r.network, r.frame_hw, r.backend) == (row.network, row.frame_hw, BASELINE)]
    return baseline[0] if baseline else None


def format_video(row: VideoRow) -> str:
    """Overall frame rate of one video, and its stages."""
    run = row.overlapped
    size = "the trained size" if row.size_hw is None else "{}x{}".format(*row.size_hw)
    written = " ".join(row.save) or "nothing written"
    lines = [
        f"{row.network}, {_backend(row.backend, row.ran)}, {'{}x{}'.format(*row.frame_hw)} video, network at {size}, "
        f"{written}",
        f"as predict: {run.frames} frames in {run.wall_s:.2f} s: {run.fps:.1f} frames/s "
        f"({run.workers} at once, {run.threads} thread{'s' * (run.threads != 1)} each); "
        f"{1000 * run.core_s / run.frames:.1f} ms of a core per frame",
        "one frame after the other:",
        format_stages(row.one_by_one),
    ]
    if row.memory is not None:
        lines.append(f"peak memory {row.memory.peak:.0f} MiB")
    return "\n".join(lines)


def format_stages(timing: Timing) -> str:
    """One measurement: mean, percentiles and share of the wall time by stage."""
    table = [["ms per frame", "mean", "p50", "p95", "p99", "share"]]
    for name, times in {**timing.stages, "frame to class map": timing.segment, "wall": timing.wall}.items():
        columns = (times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms)
        share = 100 * times.mean_ms / timing.wall.mean_ms
        table.append([name, *(f"{ms:.2f}" for ms in columns), f"{share:.1f} %"])
    rates = (
        f"{timing.fps:.1f} frames/s from frame in to class map out, "
        f"{timing.wall_fps:.1f} with every stage ({timing.frames} frames)"
    )
    return f"{aligned(table)}\n{rates}"


def format_machine(machine: Mapping[str, Any]) -> str:
    """What `bcpnet.machine.describe_machine` tells, in short."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['usable_cores']} cores, {machine['memory_gib']} GiB; "
        f"Python {machine['python']}, {versions}"
    )


def format_ceilings(ceilings: Ceilings) -> str:
    """What the machine could do at most."""
    peak = "" if ceilings.peak_gflops is None else f"{ceilings.peak_gflops:.0f} GFLOP/s (float32 multiply-adds), "
    if ceilings.int8_peak_gops is not None:
        peak += f"{ceilings.int8_peak_gops:.0f} GOP/s (8-bit multiply-adds, {ceilings.int8_level}), "
    return (
        f"ceilings with {ceilings.threads} thread{'s' * (ceilings.threads != 1)}: "
        f"{peak}{ceilings.copy_gb_per_s:.1f} GB/s read and written (copy)"
    )


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        line[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in table
    )


def _backend(asked: str, ran: str | None) -> str:
    return f"{asked}: {ran}" if asked == "auto" else asked
