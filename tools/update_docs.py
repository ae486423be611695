"""Writes the tables of README.md from results/*.json: python tools/update_docs.py

A table lies between `<!-- NAME -->` and `<!-- /NAME -->`. tests/test_docs.py fails where README.md and results differ.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bcpnet.files import write_bytes

REPOSITORY = Path(__file__).resolve().parents[1]


def results(name: str) -> Any:
    """The content of results/NAME.json."""
    return json.loads((REPOSITORY / "results" / f"{name}.json").read_text())


def weights_table() -> str:
    """Accuracy of the weights that ship."""
    lines = ["| name | network | classes | CamVid val mIoU, % | pixel accuracy, % |", "|---|---|---|---|---|"]
    for path in sorted((REPOSITORY / "src" / "bcpnet" / "weights").glob("*.onnx")):
        result, network = results(f"{path.stem}-val"), results(f"{path.stem}-info")
        millions = network["parameters"] / 1e6
        lines.append(
            f"| `{path.stem}` | BCPNet, {network['encoder']}, {millions:.2f} M parameters | {len(result['iou'])} | "
            f"{100 * result['miou']:.2f} | {100 * result['pixel_accuracy']:.2f} |"
        )
    return "\n".join(lines)


def speed_table() -> str:
    """Frame to class map on the machine that the results name."""
    result = results("benchmark-cpu")
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {result['rows'][0]['threads']} threads, {machine['date'][:10]}:",
        "",
        "| frame | backend | frames/s | pre, ms | network, ms | post, ms |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        stages = row["timing"]["stages"]
        ms = " | ".join(f"{stages[stage]['mean_ms']:.1f}" for stage in ("pre", "network", "post"))
        height, width = row["frame_hw"]
        lines.append(f"| {height}x{width} | {row['backend']} | {row['fps']:.1f} | {ms} |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """`text` with its tables written anew."""
    for name, table in (("weights", weights_table()), ("speed", speed_table())):
        marked = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"README.md has no table {name}")
        text = marked.sub(f"<!-- {name} -->\n{table}\n<!-- /{name} -->", text)
    return text


def main() -> None:
    """Rewrites README.md in place."""
    readme = REPOSITORY / "README.md"
    write_bytes(readme, updated(readme.read_text()).encode())


if __name__ == "__main__":
    main()
