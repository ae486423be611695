"""The table of wheels, from results/wheels.json; for tools/update_docs.py."""

from __future__ import annotations

from table_parts import markdown, results


def wheels_table() -> str:
    """A row for each file: for what, how large, and what was run."""
    content = results("wheels")
    lines = [
        [row["platform"], f"`{kind(row['file'])}`", f"{row['bytes'] / 1e6:.1f}", row.get("ran", "-")]
        for row in content["rows"]
    ]
    table = markdown(["for", "file", "MB", "what was run"], lines)
    return f"Built on {content['machine']['date'][:10]} with zig {content['zig']}:\n\n{table}"


def kind(file: str) -> str:
    """The end of a file's name, which says for what it is."""
    return file.partition("-py3-none-")[2] or ".tar.gz"
