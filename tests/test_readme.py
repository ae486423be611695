"""Every command and every example of README and docs does what it says there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from documents import DOCUMENTS, ROOT, steps, words
from fake_data import make_camvid, make_folder
from media_files import scene, write_clip
from PIL import Image
from random_networks import random_network

import bcpnet
from bcpnet.cli.main import VERBS, main
from bcpnet.data import open_dataset
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint
from bcpnet.training.recipes import recipe
from bcpnet.weights import path_of

COMMANDS = [
    pytest.param(step.text, id=f"{document.stem}-{number}")
    for document in DOCUMENTS
    for number, step in enumerate(steps(document))
    if step.kind == "command"
]
# The rest trains, downloads, times or exports: seconds to hours, and tests of their own.
RUN = ("predict", "evaluate", "models", "info")


def test_there_are_examples() -> None:
    assert len(COMMANDS) > 40
    assert {step.kind for step in steps(ROOT / "README.md")} == {"python", "command"}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").mkdir()  # where `train --resume` reads the recipe before anything else
    (tmp_path / "RUN" / "recipe.json").write_text(recipe("camvid").to_json())
    verb = words(command)[0]
    assert verb in VERBS
    monkeypatch.setattr(import_module(f"bcpnet.cli.{VERBS[verb].module}"), "run", lambda _: 0)
    assert main(words(command)) == 0, capsys.readouterr().err


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the documents take for granted, the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("street.jpg", "frames/0.png", "frames/1.png", "test/0.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scene(0, 90, 120)).save(path)
    write_clip(tmp_path / "drive.mp4", 4)
    make_camvid(tmp_path / "CAMVID", "folders")
    (tmp_path / "DIR").symlink_to(tmp_path / "CAMVID")
    description = yaml.safe_load(make_folder(tmp_path)[0].read_text())
    description["classes"] = [{"name": n, "colour": list(c)} for n, c in zip(CAMVID.names, CAMVID.colours, strict=True)]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(description))
    (tmp_path / "RUN").mkdir()
    network = random_network("bcpnet", len(CAMVID))
    save_checkpoint(tmp_path / "RUN" / "last.safetensors", network, Metadata("bcpnet", {}, CAMVID, short_side=64))
    (tmp_path / "results").symlink_to(ROOT / "results")
    for name in ("mine.onnx", "street.onnx"):
        shutil.copy(path_of("camvid", ".onnx"), tmp_path / name)
    shutil.copy(path_of("camvid", ".safetensors"), tmp_path / "espnetv2.safetensors")
    return tmp_path


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if steps(each)], ids=lambda path: path.stem)
def test_followed_from_top_to_bottom(document: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"frames": [np.zeros((48, 64, 3), np.uint8)] * 2}
    do: dict[str, Callable[[str], object]] = {
        "python": lambda text: exec(compile(text, document.name, "exec"), names),
        "yaml": lambda text: _open(text, desk),
        "command": lambda text: _run(text, capsys),
    }
    for step in steps(document):
        do[step.kind](step.text)


def _run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if words(command)[0] in RUN:
        capsys.readouterr()
        assert main(words(command)) == 0, f"{command}: {capsys.readouterr().err}"


def _open(description: str, desk: Path) -> None:
    (desk / "page.yaml").write_text(description)
    for split in ("train", "val"):
        dataset = open_dataset("folder", desk / "page.yaml", split)
        assert len(dataset) > 0
        assert dataset[0].label is not None


def test_class_maps_in_opencv_are_as_the_page_says(desk: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="the page is about OpenCV")
    assert main(["predict", "street.jpg", "--save", "ids", "classmap"]) == 0
    expected = bcpnet.load("camvid")("street.jpg").class_map
    grey, palette = (desk / "bcpnet-out" / name for name in ("street_ids.png", "street.png"))
    np.testing.assert_array_equal(cv2.imread(str(grey), cv2.IMREAD_UNCHANGED), expected)
    np.testing.assert_array_equal(np.asarray(Image.open(palette)), expected)
    assert cv2.imread(str(palette), cv2.IMREAD_UNCHANGED).shape == (*expected.shape, 3)


def test_a_step_is_read_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Do\n\n    bcpnet train camvid \\\n        --out RUN   # a run\n\n`bcpnet models`\n\n```python\na = 1\n```\n"
    )
    command, python = steps(page)
    assert (command.kind, words(command.text)) == ("command", ["train", "camvid", "--out", "RUN"])
    assert python == ("python", "a = 1\n")
