"""The page of a check: one file, nothing from elsewhere, nothing that a name could break."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_data import make_camvid, make_folder, save
from PIL import Image

from bcpnet.data import open_dataset
from bcpnet.data.check import Check, SplitFacts, check
from bcpnet.data.check_page import page, share, verdict
from bcpnet.data.files import FileDataset


class _Read(HTMLParser):
    """Pictures, text, and the tags that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[Image.Image] = []
        self.text, self.open, self.tags = "", [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                kind, _, data = (value or "").partition("base64,")
                assert kind == "data:image/jpeg;"
                self.pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(name: str, root: Path, *splits: str) -> tuple[_Read, Check]:
    opened = {}
    for split in splits:
        dataset = open_dataset(name, root, split, complete=False)
        assert isinstance(dataset, FileDataset)
        opened[split] = dataset
    found = check(opened)
    return _Read(page(f"check of {name}", found, opened)), found


def test_an_intact_dataset(tmp_path: Path) -> None:
    make_camvid(tmp_path, "folders")
    read, _ = _page("camvid", tmp_path, "train", "val", "test")
    assert read.open == []
    assert len(read.pictures) == 4 + 2 + 2
    assert {picture.size for picture in read.pictures} == {(240, 180)}
    assert "bicyclist" in read.text
    assert "train: 4 images, 4 with labels" in read.text


def test_a_broken_dataset_with_names_that_are_html(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    evil = "<script>alert(1)</script>&\"'"
    description = yaml.safe_load(path.read_text())
    description["classes"].append({"name": evil, "colour": [9, 9, 9]})
    path.write_text(yaml.safe_dump(description))
    for folder in ("val", "val_masks"):
        (tmp_path / folder / "frame0.png").rename(tmp_path / folder / "<b>&.png")
    (tmp_path / "val_masks/<b>&.png").write_bytes(b"")
    (tmp_path / "val/frame1.png").write_bytes(b"")
    save(np.array(Image.open(tmp_path / "train/frame0.png")), tmp_path / "val/again.png")
    read, found = _page("folder", path, "train", "val")
    assert read.open == []
    assert not {"script", "b>&.png"} & set(read.tags)
    assert evil in read.text
    assert "<b>&" in read.text
    for problem in found.problems:
        assert problem.what in read.text
        assert all(file in read.text for file in problem.files)
    assert "cannot be read" in read.text
    assert {problem.kind for problem in found.errors} >= {"broken", "missing", "duplicate"}


def test_an_image_under_the_colours_of_its_label(tmp_path: Path) -> None:
    """Half of each, and what does not count as it is."""
    path, _ = make_folder(tmp_path)
    save(np.full((240, 240, 3), 200, np.uint8), tmp_path / "val/frame0.png")
    save(np.repeat(np.array([[0, 255]], np.uint8), 120, 1).repeat(240, 0), tmp_path / "val_masks/frame0.png")
    read, _ = _page("folder", path, "val")
    pixels = np.asarray(read.pictures[0]).astype(int)
    assert np.abs(pixels[:, :110] - [164, 132, 164]).max() < 8
    assert np.abs(pixels[:, 130:] - 200).max() < 8


@pytest.mark.parametrize(
    ("part", "total", "text"), [(0, 0, "-"), (0, 9, "none"), (1, 3, "33.33 %"), (3, 3, "100.00 %")]
)
def test_shares(part: int, total: int, text: str) -> None:
    assert share(part, total) == text


def test_the_verdict_counts() -> None:
    facts = SplitFacts(3, 3, 3, {}, {}, 0)
    assert verdict(Check({"a": facts, "b": facts}, [])) == "nothing wrong in 6 images"
