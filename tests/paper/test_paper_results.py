"""The JSON of a run: whole on disk, and of one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bcpnet.errors import InputError
from bcpnet.paper.results import best, by_area, new_results, read_results, require_same, same, save_results

SETTINGS = {"quick": False, "threads": None, "limit_s": 60.0}


def test_saved_and_read(tmp_path: Path) -> None:
    results = new_results(SETTINGS)
    results["networks"]["bcpnet"] = {"times": {"64x64": {"native": {"ms": 1.5}}}}
    save_results(tmp_path / "new" / "paper.json", results)
    read = read_results(tmp_path / "new" / "paper.json")
    assert read == json.loads(json.dumps(results))
    assert read is not None
    require_same(read, SETTINGS, tmp_path / "paper.json")


def test_nothing_there_yet(tmp_path: Path) -> None:
    assert read_results(tmp_path / "paper.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": []}', '{"kind": "other"}'])
def test_other_content(content: str, tmp_path: Path) -> None:
    (tmp_path / "paper.json").write_text(content)
    with pytest.raises(InputError, match=r"paper\.json: not what `bcpnet paper` writes"):
        read_results(tmp_path / "paper.json")


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("machine", "cpu", "Example CPU", ["its cpu was Example CPU"]),
        ("machine", "usable_cores", 64, ["usable cores was 64"]),
        ("machine", "packages", {"onnxruntime": "0.1"}, ["onnxruntime 0.1", "now it is bcpnet"]),
        ("settings", "threads", 7, ["threads was 7", "now it is None"]),
        ("settings", "quick", True, ["quick was True"]),
    ],
)
def test_another_machine(part: str, key: str, value: Any, words: list[str]) -> None:
    results = new_results(SETTINGS)
    results[part][key] = value
    with pytest.raises(InputError) as raised:
        require_same(results, SETTINGS, Path("paper.json"))
    for word in [*words, "paper.json: cannot go on", "--fresh"]:
        assert word in str(raised.value)


def test_another_day_and_commit_are_no_other_machine() -> None:
    results = new_results(SETTINGS)
    results["machine"] |= {"date": "1999-01-01T00:00:00+00:00", "commit": "0123456789ab"}
    require_same(results, SETTINGS, Path("paper.json"))


def test_the_best_backend() -> None:
    times = {
        "onnxruntime": {"ms": 9.0, "network_ms": 5.0},
        "openvino": {"ms": 8.0, "network_ms": 7.0},
        "native": {"error": "not compiled"},
    }
    assert best(times) == ("openvino", 8.0)
    assert best(times, "network_ms") == ("onnxruntime", 5.0)
    assert same(times) == ("onnxruntime", 9.0)
    assert best({"native": times["native"]}) is None
    assert same({"openvino": times["openvino"]}) is None


def test_smallest_first() -> None:
    assert by_area(["1024x1024", "360x640", "768x1536", "360x640"]) == ["360x640", "1024x1024", "768x1536"]
