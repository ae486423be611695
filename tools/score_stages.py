"""Scores the weights of several stages of a training on CamVid val, at several input sizes.

    python tools/score_stages.py first=RUN1/last.safetensors wide=RUN3/last.safetensors --root CAMVID

Writes results/camvid-stages.json, where other stages stay as they are; every figure is one of
`bcpnet evaluate --weights FILE --size SIZE`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from release_weights import RESULTS, score

from bcpnet.machine import describe_machine
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.info import describe
from bcpnet.storage.files import write_bytes

SIZES = ("270x360", "360x480", "450x600", "540x720", "720x960")  # CamVid's images are 360x480 here


def main() -> None:
    """Scores and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    options = parser.parse_args()
    path = RESULTS / "camvid-stages.json"
    rows = {row["stage"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}
    stages = {name: Path(file) for name, _, file in (stage.partition("=") for stage in options.stages)}
    checkpoints = {name: load_checkpoint(weights)[1] for name, weights in stages.items()}  # first: a wrong path ends it
    for name, metadata in checkpoints.items():
        sizes_hw = [(int(height), int(width)) for height, width in (size.split("x") for size in SIZES)]
        counts = describe(metadata.network, len(metadata.classes), sizes_hw, **metadata.options)
        miou = {size: score(stages[name], options.root, size)["miou"] for size in SIZES}
        rows[name] = {"stage": name, "trained": metadata.provenance, "macs": counts.macs, "miou": miou}
        print(f"{name}: " + ", ".join(f"{size} {100 * value:.2f}" for size, value in miou.items()), flush=True)
        command = "python tools/score_stages.py STAGE=WEIGHTS ... --root CAMVID"
        content = {"dataset": "camvid", "split": "val", "command": command, "rows": list(rows.values())}
        content["machine"] = describe_machine()
        write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
