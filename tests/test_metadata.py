"""Metadata comes back as it was written, and a file's bad values are named with the file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bcpnet.errors import InputError
from bcpnet.labels import ClassSet
from bcpnet.metadata import Metadata

PAIR = {"name": "pair", "names": ["a", "b"], "colours": [[0, 0, 0], [9, 9, 9]]}
GOOD = Metadata(
    "bcpnet", {"encoder": "none"}, ClassSet("pair", ("a", "b"), ((0, 0, 0), (9, 9, 9))), 360, "a test", "none"
)


@pytest.mark.parametrize("short_side", [32, 360, 16384])
def test_written_and_read_it_is_the_same(short_side: int) -> None:
    values = json.loads(GOOD.to_json()) | {"short_side": short_side}
    read = Metadata.from_json(json.dumps(values), "network.onnx")
    assert read.to_json() == json.dumps(values)
    assert (read == GOOD) == (short_side == 360)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"short_side": "360"}, "short_side '360': need 32 to 16384 pixels"),
        ({"short_side": 0}, "short_side 0"),
        ({"short_side": -5}, "short_side -5"),
        ({"short_side": 31}, "short_side 31"),
        ({"short_side": 10**7}, "short_side 10000000"),
        ({"short_side": 360.5}, "short_side 360.5"),
        ({"short_side": True}, "short_side True"),
        ({"short_side": None}, "short_side None"),
        ({"options": []}, "options"),
        ({"options": None}, "options None"),
        ({"network": 3}, "network 3"),
        ({"network": None}, "network None"),
        ({"classes": []}, "cannot be read"),
        ({"classes": PAIR | {"names": ["a", "a"]}}, "'a' stands there more than once"),
        ({"classes": PAIR | {"names": ["a", 7]}}, "class name 7"),
        ({"classes": PAIR | {"colours": [[0, 0, 0], [0, 300, 0]]}}, r"colour \[0, 300, 0\]"),
        ({"classes": PAIR | {"colours": [[0, 0, 0], [1]]}}, r"colour \[1\]"),
        ({"classes": PAIR | {"colours": [[0, 0, 0], 1]}}, "cannot be read"),
        ({"trained_on": "camvid/train"}, "trained_on 'camvid/train': not a list of texts"),
        ({"trained_on": ["camvid/train", 3]}, "trained_on"),
        ({"trained_on": None}, "trained_on None"),
        ({"mean": 100.0}, "needs preprocessing"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"classes": PAIR | {"names": ["a", "b" * 3_000]}}, "3000 characters, at most 200"),
        ({"classes": PAIR | {"names": ["a", "b" * 3_000_000]}}, "at most 1000000 are read"),
        ({"classes": PAIR | {"name": ["b"]}}, r"name of the class set \['b'\]: not a text"),
        ({"classes": PAIR | {"name": "b" * 900_000}}, "900000 characters"),
        ({"provenance": 3}, "provenance 3: not a text"),
        ({"licence": ["x"]}, r"licence \['x'\]: not a text"),
        ({"provenance": "x" * 10_001}, "provenance: 10001 characters"),
        ({"options": ["x" * 900_000]}, "options"),
        ({"network": ["x" * 900_000]}, "network"),
        ({"short_side": "x" * 900_000}, "short_side"),
        ({"mean": "x" * 900_000}, "needs preprocessing"),
        ({"scale": [[["x"]] * 9_000]}, "needs preprocessing"),
    ],
)
def test_bad_values_are_named_with_the_file(changed: dict[str, Any], message: str) -> None:
    text = json.dumps(json.loads(GOOD.to_json()) | changed)
    with pytest.raises(InputError, match=message) as raised:
        Metadata.from_json(text, "network.onnx")
    assert str(raised.value).startswith("network.onnx: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_what_it_was_trained_on_comes_back_and_older_files_do_not_tell() -> None:
    told = replace(GOOD, trained_on=("camvid/train", "camvid/val"))
    assert Metadata.from_json(told.to_json(), "network.onnx") == told
    values = json.loads(told.to_json())
    del values["trained_on"]
    assert Metadata.from_json(json.dumps(values), "network.onnx") == GOOD


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", "[" * 100_000, '{"a":' * 100_000, "9" * 9_000])
def test_not_such_json(text: str) -> None:
    with pytest.raises(InputError, match=r"network\.onnx: its bcpnet metadata cannot be read"):
        Metadata.from_json(text, "network.onnx")
