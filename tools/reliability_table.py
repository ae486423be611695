"""What was fuzzed, soaked and opened, for update_docs.py."""

from __future__ import annotations

from table_parts import markdown, results

_NAMES = {
    "images": "damaged images",
    "labels": "damaged label files",
    "yaml_files": "damaged YAML files",
    "weights": "damaged weights and changed networks",
    "videos": "damaged videos",
    "bodies": "damaged requests to the service",
}


def reliability_table() -> str:
    """A line for each part of results/reliability.json."""
    parts = results("reliability")
    lines = [[_NAMES[name], f"{each['count']:,}", str(each["faults"])] for name, each in parts["fuzz"]["found"].items()]
    for name, each in parts["soak"]["found"].items():
        done = f"{each['frames_in']:,} frames in {each['seconds'] / 60:.0f} minutes, {each['frames_out']:,} results"
        memory = f"{each['early_mib']:.0f} MiB at first, {each['late_mib']:.0f} MiB at the end"
        lines.append([f"{name}: {memory}", done, str(each["faults"])])
    for name, each in parts["opens"]["found"].items():
        lines.append([f"`{name}` opened and dropped", f"{each['opened']:,} times", str(each["faults"])])
    return markdown(["what", "how much", "faults"], lines)
