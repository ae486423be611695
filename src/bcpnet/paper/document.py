"""docs/paper.md: text around the tables and pictures, from the results alone."""

from __future__ import annotations

from bcpnet.paper.published import GPU, TITLE
from bcpnet.paper.results import RATES_SIZE, SAME, SHIPPED, Results, accuracy_size, best, same, timed_sizes, title
from bcpnet.paper.tables import (
    ablation_table,
    accuracy_table,
    costs_table,
    duel,
    failures,
    fastest_table,
    is_fastest,
    macs_table,
    published_speed_table,
    rates_table,
    speed_table,
)

_DATASETS = {"camvid": "CamVid", "cityscapes": "Cityscapes"}

PICTURES = "paper"  # the folder beside the document


def document(results: Results) -> str:
    """The whole Markdown document. Its pictures lie in PICTURES."""
    sections = (_head, _fastest, _costs, _speed, _accuracy, _ablation, _figure2, _figure4, _figure5)
    return "\n\n".join(text.strip() for section in sections if (text := section(results))) + "\n"


def verdict(results: Results) -> list[str]:
    """A line for each size: bcpnet, frame to class map, against the fastest other network, each in its best backend."""
    lines = []
    for size in results["fastest"]:
        pair = duel(results, size)
        if pair is not None:
            bcpnet, other = pair
            lines.append(
                f"{size}: bcpnet {bcpnet['ms']:.1f} ms ({bcpnet['backend']}), next {other['network']} "
                f"{other['ms']:.1f} ms ({other['backend']}): {other['ms'] / bcpnet['ms']:.2f} times"
            )
    return lines


def _head(results: Results) -> str:
    machine, settings = results["machine"], results["settings"]
    packages = machine["packages"]
    versions = [f"{name} {packages[name]}" for name in ("onnxruntime", "openvino", "torch") if name in packages]
    threads = f"{settings['threads']} threads" if settings["threads"] else "each runtime's own threads"
    quick = "**A quick run: few networks, sizes and frames. Its times are a first impression.**\n\n"
    return f"""
# The paper's comparison, measured

{quick if settings["quick"] else ""}*{TITLE}*
(Hao, Zhou, Guo 2020) compares BCPNet with other systems by figures from many papers and machines. Here all of them,
built from their papers (`networks/zoo/`), run on one machine, in one run:

    bcpnet paper{" --quick" if settings["quick"] else ""}

That wrote this page, its pictures, and the JSON that every figure here comes from. Interrupted, it goes on where it
was; `--fresh` measures everything again.

Machine: {machine["cpu"]}, {machine["usable_cores"]} cores, {machine["memory_gib"]} GiB, {threads}; Python
{machine["python"]}, {", ".join(versions)}; {machine["date"][:10]}.
"""


def _fastest(results: Results) -> str:
    wins = [is_fastest(results, size) for size in results["fastest"] if duel(results, size)]
    if not wins:
        return ""
    where = f"all {len(wins)}" if all(wins) else f"{sum(wins)} of {len(wins)}"
    text = f"""
## At a glance

From frame to class map, BCPNet was the fastest network in every timing of this run at {where} sizes. After all networks
had been timed, BCPNet and the two fastest others were timed again, in turns, so that both figures of a ratio come from
the same minute: in {SAME}, which runs all of them, and each in its best of native, onnxruntime and openvino.

{fastest_table(results)}

![Milliseconds to the class map over the size of the frame]({PICTURES}/latency.png)
"""
    size = accuracy_size(results)
    if size is not None:
        text += f"""
![Published accuracy over milliseconds to the class map]({PICTURES}/accuracy.png)

Accuracy is published (on test, each trained by its authors); time is measured here at {size}, each network in its best
backend.
"""
    return text


def _costs(results: Results) -> str:
    if not results["networks"]:
        return ""
    return f"""
## Table 1: parameters and multiply-adds

Ours: all learnable numbers, with 19 classes; multiply-adds of convolutions and matrix products. Some published counts
are multiply-adds, some operations (two for each), and some cover more or less than the network. Where a ratio is off by
more than 5 %, that network's file in `networks/zoo/` gives the reason as far as it is known. How BCPNet's own FLOPs
were counted is not known. The last column is the largest difference between the logits of the exported file in ONNX
Runtime and those of PyTorch in float64, relative to the largest logit.

{costs_table(results)}

Ours at all sizes of the paper's table:

{macs_table(results)}
"""


def _speed(results: Results) -> str:
    if not timed_sizes(results):
        return ""
    text = f"""
## Table 2: speed

Published: on a {GPU}. Ours: on the machine above, with random weights for 19 classes; batch norm has the statistics of
synthetic streets, and the frames are four synthetic streets. Frame to class map means uint8 pixels in, uint8 train ids
of the same size out. With random weights the class changes nearly everywhere, the worst case for our post-processing;
with trained weights it takes less time.

A time is the median of {_frames(results)}: fewer for slow networks, a single one where a frame takes over 5 s. The JSON
has the number for each time, and the memory. A ratio above 1 means slower than published.

{published_speed_table(results)}

All in {SAME}, frame to class map:

{speed_table(results, same, "ms")}

All in {SAME}, the network alone:

{speed_table(results, same, "network_ms")}

Each in its best backend (n native, o onnxruntime, v openvino), frame to class map. Networks expected to take over 5 s
were timed in {SAME} only.

{speed_table(results, best, "ms")}

Each in its best backend, the network alone:

{speed_table(results, best, "network_ms")}
"""
    failed = [f"- {line}" for line in failures(results)]
    if failed:
        text += f"""
Not timed (a frame may take {results["settings"]["limit_s"]:g} s; who fails at one size is not tried at larger ones):

{chr(10).join(failed)}
"""
    return text


def _accuracy(results: Results) -> str:
    sources = [
        f"Ours of {title(key)} is of {_DATASETS[each['dataset']]}, {each['split']}, **not of test**: "
        f"`{each['file']}`, made by `{each['command']}`."
        for key, each in results["accuracy"].items()
    ]
    return f"""
## Tables 3 and 4: accuracy

mIoU. Published figures are of the test splits. {" ".join(sources) or "We measured none."}
"-" means not measured: that network was not trained for this page.

Cityscapes (Table 3):

{accuracy_table(results, "cityscapes")}

CamVid (Table 4):

{accuracy_table(results, "camvid")}
"""


def _ablation(results: Results) -> str:
    ablation = results["ablation"]
    ours = "Ours is not measured yet."
    if ablation:
        ours = f"""Ours: {ablation["setup"]}, random weights at the start; `{ablation["command"]}`.
So short a schedule ends far below what the network can reach: compare the rows with each other, and their differences
with the spread (standard deviation over seeds)."""
    return f"""
## Table 5: ablation

{ours}

{ablation_table(results)}
"""


def _figure2(results: Results) -> str:
    if not results["rates"]:
        return ""
    return f"""
## Figure 2: what keeping the resolution costs

![Multiply-adds and speed over the maintaining rate]({PICTURES}/figure2.png)

ResNet-50 and -101 without their last layer. The maintaining rate is the resolution of the features divided by that of
the image; dilation in place of strides raises it. Frames of {RATES_SIZE}, {SAME}.

{rates_table(results)}
"""


def _figure4(results: Results) -> str:
    figure = results["figure4"]
    if figure is None:
        return ""
    return f"""
## Figure 4: Layer-3 before and after BCP

![Heat maps of Layer-3 before and after BCP]({PICTURES}/figure4.png)

For {figure["image"]}, with the weights `{SHIPPED}`: the mean of the absolute values over the channels, red is high,
blue low, each map from its 1st to its 99th percentile. Before: the encoder's features at stride 8. After: the same
level at the end of BCP's last path.
"""


def _figure5(results: Results) -> str:
    figure = results["figure5"]
    if figure is None:
        return ""
    return f"""
## Figure 5: image, label, prediction, error

![Image, label, prediction and error]({PICTURES}/figure5.jpg)

A synthetic street with its exact label. The weights `{SHIPPED}` were trained on real ones, and are right on
{100 * figure["pixel_accuracy"]:.1f} % of its pixels; the others are red. CamVid's own images may not be shown here:
`bcpnet paper --camvid DIR` draws one of its validation images into `{PICTURES}/figure5-camvid.jpg`.
"""


def _frames(results: Results) -> str:
    """ "1 to 30 frames"."""
    counts = [
        measured["frames"]
        for entry in results["networks"].values()
        for times in entry["times"].values()
        for measured in times.values()
        if "error" not in measured
    ]
    few, many = min(counts, default=0), max(counts, default=0)
    return f"{few} to {many} frames" if few < many else f"{many} frames"
