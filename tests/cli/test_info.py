"""`bcpnet info`: of networks by name, and of weights."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import Cli, assert_one_line

from bcpnet.networks.encoders import ENCODERS
from bcpnet.networks.info import describe
from bcpnet.weights import figures, path_of, shipped

pytest.importorskip("torch", reason="networks need PyTorch")


def test_of_the_papers_network(cli: Cli) -> None:
    sizes = {"360x640": 0.368, "713x713": 0.817, "512x1024": 0.819, "1024x2048": 3.275}  # GMAC
    ran = cli("info", "bcpnet", "--classes", 19, "--sizes", *sizes, "--json")
    assert (ran.code, ran.err) == (0, "")
    info = json.loads(ran.out)
    assert set(info) == {"network", "parameters", "parts", "macs"}
    assert (info["network"], info["parameters"], info["parts"]["encoder"]) == ("bcpnet", 607_826, 431_180)
    assert sum(info["parts"].values()) == info["parameters"]
    assert {size: round(macs / 1e9, 3) for size, macs in info["macs"].items()} == sizes
    assert cli("info", "--json").out == cli("info", "bcpnet", "--sizes", "360x640", "1024x2048", "--json").out


def test_as_text(cli: Cli) -> None:
    ran = cli("info", "--classes", 11, "--sizes", "64x64", "--encoder", "mobilenet_v2_050")
    assert ran.code == 0
    assert "(11 classes)" in ran.out
    assert "64x64" in ran.out


def test_help_names_every_encoder(cli: Cli) -> None:
    words = cli("info", "--help").out.replace("│", " ").replace(",", " ").replace(".", " ").split()
    assert set(ENCODERS) <= set(words)


@pytest.mark.parametrize("name", shipped())
def test_of_weights_that_ship(name: str, cli: Cli) -> None:
    told = json.loads(cli("info", name, "--json").out)
    counted = describe(told["network"], 11, [(544, 960)], **told["options"])  # what 1080x1920 is resized to
    assert (told["parameters"], told["macs"]) == (counted.parameters, counted.macs)
    text = cli("info", name).out
    for words in (f"{counted.parameters:,}", "GMAC", "bicyclist", "540 pixels", "camvid/train", told["licence"]):
        assert words in text
    assert told["provenance"] in text


def test_of_a_file_and_of_a_run(cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(path_of("camvid", ".safetensors"), run / "last.safetensors")
    told = json.loads(cli("info", "camvid", "--json").out)
    for what in (run, run / "last.safetensors"):
        ran = cli("info", what, "--json", "--sizes", "64x96")
        own = json.loads(ran.out)
        assert own["weights"] == str(what)
        assert own["macs"].keys() == {"64x96"}
        assert "unseen_miou" not in own  # a file of one's own has no figures beside it
        assert all(own[key] == told[key] for key in ("network", "parameters", "classes", "provenance", "trained_on"))


def test_without_pytorch_weights_still_tell_most(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcpnet.networks.info", None)
    ran = cli("info", "camvid")
    assert (ran.code, ran.err) == (0, "")
    known = figures("camvid")
    assert known is not None
    assert f"parameters: {known.parameters:,}" in ran.out
    assert "not counted, which needs PyTorch" in ran.out
    assert json.loads(cli("info", "camvid", "--json").out)["macs"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["unet"], 2, ("unknown network 'unet'", "bcpnet", "espnetv2", "camvid-int8")),
        (["camvid", "--classes", "3"], 2, ("camvid are weights", "leave out")),
        (["missing.onnx"], 1, ("missing.onnx: no such file",)),
        (["weights.pth"], 1, ("never loaded",)),
    ],
)
def test_what_is_neither(arguments: list[str], code: int, says: tuple[str, ...], cli: Cli) -> None:
    ran = cli("info", *arguments)
    assert ran.code == code
    assert_one_line(ran.err)
    assert all(words in ran.err for words in says)


def test_weights_of_a_network_that_is_not_known_here(cli: Cli, onnx_path: Path) -> None:
    ran = cli("info", onnx_path)
    assert ran.code == 1
    assert f"{onnx_path}: its network cannot be built: unknown encoder 'none'" in ran.err
