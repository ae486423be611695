"""The tables of live sources, the service, the page, archives and smoothing, for update_docs.py."""

from __future__ import annotations

from typing import Any

from table_parts import markdown, results


def _where(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    return f"{machine['cpu']}, {machine['usable_cores']} cores, {machine['date'][:10]}"


def live_table() -> str:
    """How old results are, from the server's sending and from receiving."""
    live = results("live")
    percentiles = ("p50", "p95", "p99", "p100")
    rows = [
        [f"age from {name}, ms", *(f"{live[f'age_ms_from_{name}'][percentile]:.0f}" for percentile in percentiles)]
        for name in ("sending", "receiving")
    ]
    height, width = live["network_size_hw"]
    memory = live["memory_mib"]
    told = (
        f"{live['seconds'] / 60:.0f} minutes of 1080p at {live['stream']['fps']} frames/s over RTSP, network at "
        f"{height}x{width}, {live['threads']} threads, on {_where(live)}: {live['frames']:,} results, "
        f"{live['dropped']:,} frames dropped; {live['cpu_cores_used']:.2f} cores used; memory "
        f"{memory['start']:.0f} MiB after a minute, {memory['end']:.0f} MiB at the end."
    )
    return f"{told}\n\n{markdown(['', 'median', '95 %', '99 %', 'oldest'], rows)}"


def age_line() -> str:
    """The same in a sentence."""
    live = results("live")
    median, most = (live["age_ms_from_sending"][percentile] for percentile in ("p50", "p95"))
    fps = live["stream"]["fps"]
    return (
        f"Of a 1080p stream over RTSP, {fps} frames/s, half of the results were younger than {median} ms and 95 % "
        f"younger\nthan {most} ms, from when the server sent the frame ([how it was measured](docs/live.md))."
    )


def serve_table() -> str:
    """Requests a second and how long they take, by connections."""
    serve = results("serve")
    kinds = {"one_worker": "one, a thread a core", "a_worker_a_core": "one a core, a thread each"}
    rows = [
        [told, str(row["connections"]), f"{row['images_per_s']:.0f}", f"{row['p50_ms']:.0f}", f"{row['p99_ms']:.0f}"]
        for kind, told in kinds.items()
        for row in serve[kind]
    ]
    ratios, one = serve["ratios"], serve["in_process"]["one_a_core"]
    height, width = serve["size_hw"]
    one_worker, a_core = ratios["served_to_in_process"], ratios["served_by_a_worker_a_core_to_in_process"]
    held = 100 * ratios["goodput_at_overload_to_peak"]
    told = (
        f"JPEGs of {height}x{width} in, PNG class maps out, on {_where(serve)}; the load's own process takes a part of "
        f"the cores. The same without HTTP, one image a core: {one:.0f} images/s; the service does "
        f"{100 * a_core:.0f} % of that at best with a worker a core, the default, and {100 * one_worker:.0f} % with "
        f"one. With more connections than it takes, what it gets done stays at {held:.0f} % of the peak."
    )
    return f"{told}\n\n{markdown(['workers', 'connections', 'images/s', 'median, ms', '99 %, ms'], rows)}"


def web_table() -> str:
    """Milliseconds of a frame in the browser, by weights and threads."""
    web = results("web")
    rows = [
        [
            f"`{row['weights']}`",
            str(row["threads"]),
            *(f"{row['ms'][stage]['p50']:.1f}" for stage in ("resize", "network", "upsample", "all")),
            f"{row['ms']['all']['p95']:.1f}",
            f"{row['frames_per_second']:.1f}",
        ]
        for row in web["rows"]
    ]
    height, width = web["size_hw"]
    camera = " and ".join(f"{row['frames_per_second']:.1f} ({row['threads']})" for row in web["camera"])
    told = (
        f"WASM in {web['browser']}, {height}x{width}, on {_where(web)}. Frames/s that the page shows of a camera, by "
        f"threads: {camera}. A first visit loads {web['download_mib']['camvid']['gzip']:.1f} MiB where the "
        "server compresses."
    )
    heads = ["weights", "threads", "resize, ms", "network, ms", "class map, ms", "all, median", "all, 95 %", "frames/s"]
    return f"{told}\n\n{markdown(heads, rows)}"


def batch_table() -> str:
    """Frames a second by engine and processes."""
    batch = results("batch")
    rows = [
        [row["engine"], str(row["workers"]), f"{row['frames_per_s']:.1f}", f"{row['peak_mib_of_a_process']:.0f}"]
        for row in batch["rows"]
    ]
    plan, scaling = batch["plan"], ", ".join(f"{engine} {rate}" for engine, rate in batch["scaling"].items())
    told = (
        f"JPEGs of {batch['size']} into run-length codes, on {_where(batch)}. Two processes to one: {scaling}. With "
        f"two Ray nodes, a process killed and a node removed: {batch['faults']['lost_rows']} rows lost, "
        f"{batch['faults']['doubled_rows']} twice."
    )
    million = (
        f"A million frames an hour, by the rate of one process: {plan['cores']:.0f} cores, {plan['memory_gib']:.0f} "
        f"GiB of memory, {plan['read_mb_per_s']:.0f} MB/s read, {plan['written_gb_per_million_frames']:.1f} GB "
        f"written; at an assumed {plan['assumed_usd_per_core_hour']} US dollars for an hour of a core, "
        f"{plan['usd_per_million_frames']} dollars."
    )
    table = markdown(["engine", "processes", "frames/s", "memory of each, MiB"], rows)
    return f"{told}\n\n{table}\n\n{million}"


def stability_table() -> str:
    """Flips and mIoU with smoothing and without."""
    stability = results("stability")
    rows = [
        [
            f"`{row['weights']}`, {way}",
            f"{100 * row[way]['miou']:.2f}",
            f"{100 * row[way]['flips']:.2f}",
            f"{100 * row[way]['false_flips']:.2f}",
            f"{100 * row[way]['consistency']:.2f}",
            f"{row['frame_ms']:.1f}" if way == "plain" else f"+ {row['smoothing_ms']:.2f}",
        ]
        for row in stability["rows"]
        for way in ("plain", "smoothed")
    ]
    first = stability["rows"][0]
    told = (
        f"{len(first['drives'])} synthetic drives of {first['frames']} frames, network at "
        f"{'x'.join(map(str, first['size_hw']))}, {first['threads']} threads, on {_where(stability)}. Of the labels "
        f"themselves {100 * first['label_flips']:.2f} % flip."
    )
    heads = ["weights", "mIoU, %", "flips, %", "false flips, %", "consistency, %", "ms"]
    return f"{told}\n\n{markdown(heads, rows)}"
