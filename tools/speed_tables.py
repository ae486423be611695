"""Tables of time and memory, for update_docs.py."""

from __future__ import annotations

from typing import Any

from table_parts import markdown, results

from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.info import describe
from bcpnet.paper.published import GPU, PUBLISHED
from bcpnet.weights import path_of

BASELINE = "baseline"  # what `bcpnet benchmark` calls it


def speed_table() -> str:
    """Frame to class map, every backend and size that was measured; memory and the speed-up where they were."""
    rows, machine = _measured_speed()
    baseline_fps = {tuple(row["frame_hw"]): row["fps"] for row in rows if row["backend"] == BASELINE}
    header = ["frame", "backend", "frames/s", "pre, ms", "network, ms", "post, ms"]
    header += ["speed-up over the baseline"] * bool(baseline_fps)
    has_memory = all(row.get("memory") for row in rows)
    header += ["peak memory, MiB"] * has_memory
    lines = []
    for row in rows:
        stages = row["timing"]["stages"]
        ms = [f"{stages[stage]['mean_ms']:.1f}" for stage in ("pre", "network", "post")]
        line = [_size(row), row["backend"], f"{row['fps']:.1f}", *ms]
        if baseline_fps:
            baseline = baseline_fps.get(tuple(row["frame_hw"]))
            line.append(f"{row['fps'] / baseline:.1f}" if baseline else "-")
        if has_memory:
            line.append(f"{row['memory']['peak']:.0f}")
        lines.append(line)
    return f"{machine}\n\n{markdown(header, lines)}"


def fastest_table() -> str:
    """Frame to class map in the fastest backend beside the baseline, a row for each size."""
    rows, machine = _measured_speed()
    header = ["frame", "ms", "frames/s", "peak memory, MiB", "baseline, ms", "speed-up over the baseline"]
    lines = []
    for size in dict.fromkeys(_size(row) for row in rows):
        at_size = [row for row in rows if _size(row) == size]
        (baseline,) = (row for row in at_size if row["backend"] == BASELINE)
        best = max((row for row in at_size if row is not baseline), key=lambda row: row["fps"])
        ms, baseline_ms = 1000 / best["fps"], 1000 / baseline["fps"]
        backend = "" if best["backend"] == "native" else f" ({best['backend']})"
        line = [f"{ms:.1f}{backend}", f"{best['fps']:.0f}", f"{best['memory']['peak']:.0f}", f"{baseline_ms:.1f}"]
        lines.append([size, *line, f"{baseline_ms / ms:.1f}"])
    return f"{machine}\n\n{markdown(header, lines)}"


def _measured_speed() -> tuple[list[dict[str, Any]], str]:
    """The rows of results/benchmark-cpu.json that hold times, and the machine in a line."""
    result = results("benchmark-cpu")
    rows = [row for row in result["rows"] if row["timing"]]
    machine, threads = result["machine"], rows[0]["threads"]
    used = f"{threads} threads" if threads else f"{machine['usable_cores']} cores, each runtime's own threads"
    return rows, f"{machine['cpu']}, {used}, {machine['date'][:10]}:"


def _size(row: dict[str, Any]) -> str:
    return "{}x{}".format(*row["frame_hw"])


def int8_table() -> str:
    """Frame to class map in 8-bit integers and in floats, from one run, beside the paper's GPU."""
    rows = {
        (_size(row), row["network"], row["backend"]): row["fps"]
        for row in results("benchmark-int8")["rows"]
        if row["timing"]
    }
    columns = {
        "native, floats": ("camvid", "native"),
        "native, 8 bits": ("camvid-int8", "native"),
        "ONNX Runtime, 8 bits": ("camvid-int8", "onnxruntime"),
        "OpenVINO, 8 bits": ("camvid-int8", "openvino"),
    }
    others = ["the paper's", "native, floats", "ONNX Runtime, 8 bits", "OpenVINO, 8 bits"]
    lines = []
    for size in dict.fromkeys(size for size, _, _ in rows):
        published = PUBLISHED["bcpnet"].speed.get(size)
        fps = {"the paper's": None if published is None else published.fps}
        fps |= {name: rows.get((size, *of)) for name, of in columns.items()}
        ours = fps["native, 8 bits"]
        ratios = [_text(None if ours is None or not fps[name] else ours / fps[name], 2) for name in others]
        lines.append([size, *(_text(value, 1) for value in fps.values()), *ratios])
    header = ["frame", f"the paper's {GPU}", *columns, *(f"over {name.removesuffix(', 8 bits')}" for name in others)]
    return markdown(header, lines)


def _text(number: float | None, digits: int) -> str:
    return "-" if number is None else f"{number:.{digits}f}"


def video_table() -> str:
    """What `bcpnet predict` does with a 1080p video."""
    lines = ["| written | frames/s | core-ms a frame | peak memory, MiB |", "|---|---|---|---|"]
    for name in ("classmap", "overlay"):
        (row,) = results(f"benchmark-video-{name}")["rows"]
        core_ms = 1000 * row["overlapped"]["core_s"] / row["overlapped"]["frames"]
        lines.append(f"| {name} | {row['fps']:.1f} | {core_ms:.1f} | {row['memory']['peak']:.0f} |")
    return "\n".join(lines)


def data_table() -> str:
    """Whether training waits for its data."""
    lines = ["| images | batches alone, images/s | training, images/s | ratio |", "|---|---|---|---|"]
    for name, where in (("data-camvid", "kept in memory"), ("data-camvid-from-disk", "read anew each time")):
        result = results(name)
        columns = (result["data_images_per_s"], result["training_images_per_s"], result["ratio"])
        lines.append(f"| {where} | " + " | ".join(f"{value:.1f}" for value in columns) + " |")
    return "\n".join(lines)


def costs_table() -> str:
    """Our network beside the paper's at 1024x2048, in turns."""
    _, metadata = load_checkpoint(path_of("camvid", ".safetensors"))
    options: tuple[dict[str, Any], ...] = ({}, metadata.options)
    counts = [describe("bcpnet", 11, [(1024, 2048)], **each) for each in options]
    rows = [
        ["parameters, M", *(f"{each.parameters / 1e6:.2f}" for each in counts), "-"],
        ["multiply-adds, G", *(f"{each.macs['1024x2048'] / 1e9:.2f}" for each in counts), "-"],
    ]
    ms = {
        (row["backend"], row["network"]): row["timing"]["stages"]["network"]["mean_ms"]
        for row in results("benchmark-cost")["rows"]
        if row["timing"]
    }
    for backend in dict.fromkeys(backend for backend, _ in ms):
        paper, ours = ms[backend, "paper"], ms[backend, "camvid"]
        rows.append([f"network in {backend}, ms", f"{paper:.1f}", f"{ours:.1f}", f"{ours / paper:.2f}"])
    lines = ["| at 1024x2048 | the paper's network | `camvid` | ratio |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
