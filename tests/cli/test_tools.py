"""The other verbs: benchmark, data, pretrained; --help and --version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from archive_server import Server, pack, running
from command_line import Cli
from fake_data import CAMVID_NAMES, make_camvid
from media_files import write_clip

from bcpnet.cli.main import VERBS
from bcpnet.data import download
from bcpnet.data.download import Content, digest


def test_version(cli: Cli) -> None:
    assert cli("--version") == (0, f"{version('bcpnet')}\n", "")


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_every_verb(word: str, cli: Cli) -> None:
    ran = cli(word)
    assert (ran.code, ran.err) == (0, "")
    for name, verb in VERBS.items():
        assert f"  {name} " in ran.out
        assert verb.summary in ran.out


def test_no_verb_is_a_wrong_call_that_gets_the_help(cli: Cli) -> None:
    ran = cli()
    assert ran.code == 2
    assert ran.out == cli("--help").out


@pytest.mark.parametrize("name", VERBS)
def test_help_of_every_verb(name: str, cli: Cli) -> None:
    ran = cli(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"bcpnet {name}" in ran.out
    assert "{None}" not in ran.out
    assert "(default: None)" not in ran.out


@pytest.mark.parametrize("columns", ["1", "7", "39"])
def test_help_on_a_narrow_terminal_is_that_of_forty_columns(
    columns: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one column it would take many times as long, for a letter a line."""
    monkeypatch.setenv("COLUMNS", columns)
    narrow = cli("models", "--help")
    monkeypatch.setenv("COLUMNS", "40")
    assert narrow == cli("models", "--help")
    assert max(map(len, narrow.out.splitlines())) > 30


def test_benchmark(cli: Cli, onnx_path: Path) -> None:
    ran = cli("benchmark", "--weights", onnx_path, "--sizes", "64x96", "--frames", 2, "--threads", 1, "--json")
    assert ran.code == 0
    printed = json.loads(ran.out)
    (row,) = printed["rows"]
    assert (row["backend"], row["frame_hw"], row["threads"], row["timing"]["frames"]) == ("onnxruntime", [64, 96], 1, 2)
    assert row["error"] is None
    assert printed["machine"]
    assert printed["ceilings"]["threads"] == 1
    text = cli("benchmark", "--weights", onnx_path, "--sizes", "64x96", "--frames", 1).out
    assert "64x96" in text
    assert " auto " in text  # threads as `predict` has them: those that the runtime chooses
    assert "GFLOP/s" in text


def test_benchmark_tells_weights_of_one_name_apart(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    other = shutil.copy(onnx_path, tmp_path)
    weights = (onnx_path, other, "camvid")
    ran = cli(
        "benchmark", "--weights", *weights, "--backends", "onnxruntime", "--sizes", "32x32", "--frames", 1, "--json"
    )
    assert [row["network"] for row in json.loads(ran.out)["rows"]] == [str(path) for path in weights]


def test_benchmark_of_a_video(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 6, 25)
    options = ("--weights", onnx_path, "--video", clip, "--sizes", "64x96", "--save", "classmap")
    ran = cli("benchmark", *options, "--json")
    assert ran.code == 0
    (row,) = json.loads(ran.out)["rows"]
    assert (row["backend"], row["size_hw"], row["save"]) == ("onnxruntime", [64, 96], ["classmap"])
    assert row["fps"] > 0
    assert "as predict: " in cli("benchmark", *options).out


def test_benchmark_of_networks(cli: Cli) -> None:
    pytest.importorskip("torch", reason="networks need PyTorch")
    ran = cli("benchmark", "--networks", "bcpnet", "--classes", 7, "--sizes", "64x64", "--frames", 1, "--json")
    assert ran.code == 0
    (row,) = json.loads(ran.out)["rows"]
    assert (row["network"], row["classes"], row["error"]) == ("bcpnet", 7, None)
    assert row["macs"] > 10**6


def test_auto_is_told_and_remembered(cli: Cli, onnx_path: Path, picture: Path, cache_folder: Path) -> None:
    options = ("predict", picture, "--weights", onnx_path, "--backend", "auto", "--size", "64x96")
    told = []
    for name in ("first", "second"):
        ran = cli(*options, "--out", picture.parent / name)
        assert ran.code == 0
        told.append(ran.err.splitlines()[0])
    assert len(list(cache_folder.rglob("*.json"))) == 1
    assert told[0].startswith("backend ")
    assert told[0].split()[1] == told[1].split()[1]
    assert "remembered" in told[1] or "no other" in told[1]
    assert (
        cli("evaluate", "--weights", onnx_path, "--data", "streets", "--backend", "auto", "--size", "64x96").code == 0
    )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves a small CamVid, with digests of its own."""
    tree = tmp_path / "upstream"
    make_camvid(tree, "segnet")
    content = {}
    for split, names in CAMVID_NAMES.items():
        labels = None if split == "test" else digest(tree / f"{split}annot", labels=True)
        content[split] = Content(len(names), digest(tree / split, labels=False), labels)
    monkeypatch.setattr(download, "CAMVID_CONTENT", content)
    with running() as server:
        server.archive = pack(tree)
        yield server


def test_data_camvid(cli: Cli, server: Server, onnx_path: Path, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    for _ in range(2):  # the second time there is nothing to do
        ran = cli("data", "camvid", "--root", root, "--base-url", server.url)
        assert ran.code == 0
        assert ran.out == f"CamVid in {root}\n"
    assert len(server.requests) == 1
    assert cli("evaluate", "--weights", onnx_path, "--root", root).code == 0


def test_pretrained(cli: Cli, server: Server, tmp_path: Path) -> None:
    pytest.importorskip("tflite")
    from tflite_files import random_convolutions, tflite_bytes

    from bcpnet.training.pretrained import SOURCES

    source = SOURCES["mobilenet_v2_050"]
    server.archive, server.path = tflite_bytes(random_convolutions(0.5)), f"/raw/{source.commit}/{source.file}"
    path = tmp_path / "encoder.safetensors"
    ran = cli("pretrained", "mobilenet_v2_050", "--out", path, "--base-url", server.url)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"mobilenet_v2_050 in {path}, not with the weights that ours started from\n"
    run = tmp_path / "run"
    size = ("--short-side", 64, "--crop-h", 64, "--crop-w", 96, "--epochs", 1, "--val-split", "none", "--batch", 2)
    ran = cli(
        "train", "camvid", "--data", "streets", "--out", run, "--pretrained", path, *size,
        "--train-split", "val",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    for wrong, message in (("encoder.pt", "ends in .safetensors"), ("folder.safetensors", "cannot write")):
        (tmp_path / "folder.safetensors").mkdir(exist_ok=True)
        ran = cli("pretrained", "mobilenet_v2_050", "--out", tmp_path / wrong, "--base-url", server.url)
        assert ran.code in (1, 2)
        assert message in ran.err


def test_data_that_is_not_there(cli: Cli, server: Server, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    ran = cli("data", "camvid", "--root", root, "--base-url", f"{server.url}/elsewhere")
    assert ran.code == 1
    assert "404" in ran.err
    assert not root.exists()
