"""The table of formats for phones and boards, for update_docs.py."""

from __future__ import annotations

from table_parts import markdown, results

_NAMES = {"onnx": "ONNX of one size", "litert": "LiteRT", "ncnn": "NCNN"}


def formats_table() -> str:
    """A row for each file: its size, what ran it, how many pixels agree."""
    measured = results("formats")
    rows = [
        [
            f"{_NAMES[row['format']]}, {'8 bits' if row['weights'].endswith('int8') else 'floats'}",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['runtime']} {row['version']}",
            f"{100 * row['same_as_onnx']:.2f} %",
            f"{100 * row['same_as_floats']:.2f} %",
        ]
        for row in measured["formats"]
    ]
    height, width = measured["size_hw"]
    header = ["file", "MB", "run in", "same class as its ONNX file", "same class as the ONNX file in floats"]
    what = f"Pixels of {measured['frames']} synthetic streets, {height}x{width}, on {measured['machine']['cpu']}:"
    return f"{what}\n\n{markdown(header, rows)}"
