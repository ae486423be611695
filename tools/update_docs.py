"""Writes the tables of the documents from results/*.json: python tools/update_docs.py

A table lies between `<!-- NAME -->` and `<!-- /NAME -->`. tests/test_docs.py fails where documents and results differ.
"""

from __future__ import annotations

import re

from accuracy_tables import accuracy_table, classes_table, levers_table, others_table, sizes_table, weights_table
from formats_table import formats_table
from reliability_table import reliability_table
from speed_tables import costs_table, data_table, fastest_table, int8_table, speed_table, video_table
from table_parts import REPOSITORY
from use_tables import age_line, batch_table, live_table, serve_table, stability_table, web_table
from wheels_table import wheels_table

from bcpnet.storage.files import write_bytes

TABLES = {
    "README.md": {"others": others_table, "weights": weights_table, "fastest": fastest_table, "age": age_line},
    "docs/alternatives.md": {"others": others_table},
    "docs/accuracy.md": {
        "accuracy": accuracy_table,
        "classes": classes_table,
        "sizes": sizes_table,
        "levers": levers_table,
        "costs": costs_table,
    },
    "docs/batch.md": {"batch": batch_table},
    "docs/benchmark.md": {"speed": speed_table, "int8": int8_table, "video": video_table},
    "docs/live.md": {"live": live_table},
    "docs/phones.md": {"formats": formats_table},
    "docs/reliability.md": {"reliability": reliability_table},
    "docs/serve.md": {"serve": serve_table},
    "docs/smoothing.md": {"stability": stability_table},
    "docs/training.md": {"data": data_table},
    "docs/web.md": {"web": web_table},
    "docs/wheels.md": {"wheels": wheels_table},
}


def updated(document: str) -> str:
    """The text of `document` with its tables written anew."""
    text = (REPOSITORY / document).read_text()
    for name, table in TABLES[document].items():
        marked = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{document} has no table {name}")
        text = marked.sub(f"<!-- {name} -->\n{table()}\n<!-- /{name} -->", text)
    return text


def main() -> None:
    """Rewrites the documents in place."""
    for document in TABLES:
        write_bytes(REPOSITORY / document, updated(document).encode())


if __name__ == "__main__":
    main()
