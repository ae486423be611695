"""Which files a dataset is made of: litter is passed over the same way everywhere, and what is missing is counted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_data import Samples, assert_equal_samples, make_camvid, make_cityscapes, make_folder, save

from bcpnet.data import open_dataset
from bcpnet.data.files import FileDataset
from bcpnet.data.find import Item
from bcpnet.data.unlabelled import Unlabelled
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID


def _deep_folder(folder: Path) -> tuple[Path, Samples]:
    """A folder dataset whose patterns look in every folder."""
    path, samples = make_folder(folder)
    path.write_text(path.read_text().replace("images: train/*.png", "images: '**/train/*.png'"))
    return path, samples


# Layout -> makes a small dataset in a folder; gives its root and its samples.
LAYOUTS: dict[str, Callable[[Path], tuple[Path, Samples]]] = {
    "camvid folders": lambda folder: (folder, make_camvid(folder, "folders")),
    "camvid segnet": lambda folder: (folder, make_camvid(folder, "segnet")),
    "camvid original": lambda folder: (folder, make_camvid(folder, "original")),
    "cityscapes": lambda folder: (folder, make_cityscapes(folder)),
    "folder": make_folder,
    "folder deep": _deep_folder,
}


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.png") if path.is_file())


@pytest.mark.parametrize("hidden_root", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_litter_is_no_image(layout: str, hidden_root: bool, tmp_path: Path) -> None:
    """What macOS, Jupyter and archives leave; but a dataset may itself lie in a hidden folder."""
    folder = tmp_path / (".cache" if hidden_root else "data") / "mine"
    folder.mkdir(parents=True)
    root, samples = LAYOUTS[layout](folder)
    for path in _pictures(folder):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7Mac OS X")
        for litter in (".ipynb_checkpoints", "__MACOSX", f".Trash/{path.parent.name}"):
            copy = path.parent / litter / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for split, expected in samples.items():
        assert_equal_samples(open_dataset(layout.split()[0], root, split), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_to_nowhere_are_counted(layout: str, tmp_path: Path) -> None:
    root, samples = LAYOUTS[layout](tmp_path)
    for item in _items(layout, root)[:2]:
        item.image.unlink()
        item.image.symlink_to(tmp_path / "unmounted" / item.image.name)
    total = len(samples["train"])
    with pytest.raises(InputError, match=rf"a link to nowhere .*unmounted.*; so it is with 2 of {total} images"):
        open_dataset(layout.split()[0], root, "train")


def test_a_folder_that_leads_to_nowhere_is_no_empty_one(tmp_path: Path) -> None:
    """A city of Cityscapes on a disk that is not mounted: the rest is not the split."""
    make_cityscapes(tmp_path)
    city = tmp_path / "leftImg8bit/train/zurich"
    shutil.rmtree(city)
    city.symlink_to("/nowhere/zurich")
    with pytest.raises(InputError, match=r"zurich: a link to nowhere \(/nowhere/zurich\)"):
        open_dataset("cityscapes", tmp_path, "train")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    city = tmp_path / "leftImg8bit/train/zurich"
    city.chmod(0)
    try:
        with pytest.raises(InputError, match="zurich: a folder that cannot be looked into"):
            open_dataset("cityscapes", tmp_path, "train")
    finally:
        city.chmod(0o700)


@pytest.mark.parametrize("layout", ["camvid folders", "camvid segnet", "cityscapes", "folder"])
def test_missing_labels_are_counted(layout: str, tmp_path: Path) -> None:
    root, samples = LAYOUTS[layout](tmp_path)
    lost = [item.label for item in _items(layout, root)[:2] if item.label is not None]
    for path in lost:
        path.unlink()
    told = rf"no such label file, for image .*; so it is with 2 of {len(samples['train'])} label files"
    with pytest.raises(InputError, match=told):
        open_dataset(layout.split()[0], root, "train")
    incomplete = open_dataset(layout.split()[0], root, "train", complete=False)
    assert len(incomplete) == len(samples["train"])
    with pytest.raises(InputError, match=lost[0].name):
        incomplete[0]


def _items(layout: str, root: Path) -> list[Item]:
    dataset = open_dataset(layout.split()[0], root, "train")
    assert isinstance(dataset, FileDataset)
    return dataset.items


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    """Reading it would wait for its writer, for ever."""
    path, _ = make_folder(tmp_path)
    os.mkfifo(tmp_path / "train/pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: not a regular file"):
        open_dataset("folder", path, "train")


def test_a_hidden_folder_that_is_named_is_meant(tmp_path: Path) -> None:
    path, samples = make_folder(tmp_path)
    (tmp_path / "train").rename(tmp_path / ".frames")
    path.write_text(path.read_text().replace("train/*.png", ".frames/*.png"))
    assert_equal_samples(open_dataset("folder", path, "train"), samples["train"])


def test_images_without_labels(tmp_path: Path) -> None:
    save(np.zeros((4, 4, 3), np.uint8), tmp_path / "a/1.png")
    save(np.zeros((4, 4, 3), np.uint8), tmp_path / "a/.ipynb_checkpoints/1-checkpoint.png")
    (tmp_path / "a/._1.png").write_bytes(b"\0")
    assert Unlabelled(tmp_path, CAMVID).paths == [tmp_path / "a/1.png"]
    (tmp_path / "2.png").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"2\.png: a link to nowhere \(nowhere\)"):
        Unlabelled(tmp_path, CAMVID)
