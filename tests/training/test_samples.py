"""Sample pictures of an evaluation: which ones, and what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_training import CLASSES, Shades, tiny_recipe
from PIL import Image

from bcpnet.data.base import Sample
from bcpnet.training.fit import fit
from bcpnet.training.samples import clear_samples, draw_samples
from bcpnet.training.validate import Seen


def test_a_row_shows_image_label_and_prediction() -> None:
    """Three tiles, in this order; the label's and the prediction's pixels are in the colours of their classes."""
    image = np.full((40, 60, 3), (10, 200, 30), np.uint8)
    label, class_map = np.full((40, 60), 1, np.uint8), np.full((40, 60), 2, np.uint8)
    sheet = draw_samples([Seen(Sample(image, label, "one"), class_map)] * 2, CLASSES)
    places = [np.argwhere((sheet == colour).all(2)) for colour in (image[0, 0], *CLASSES.colours[1:])]
    for place in places[:2]:
        assert len(place) > 2 * 320 * 200  # two tiles of 320 pixels' width, but for their rims
    columns = [int(place[:, 1].mean()) for place in places[:2]]
    assert columns == sorted(columns)
    right = sheet[60:150, 2 * sheet.shape[1] // 3 + 20 : -20]
    assert (right == 255).all()  # class 2 is white, the paper is not


@pytest.mark.parametrize(("images", "rows"), [(1, 1), (3, 3), (9, 4)])
def test_at_most_four_samples(images: int, rows: int, tmp_path: Path) -> None:
    fit(tiny_recipe(epochs=1), Shades(4), Shades(images, seed=1), tmp_path, accelerator="cpu")
    with Image.open(tmp_path / "samples" / "epoch_0001.jpg") as sheet:
        width, height = sheet.size
    assert width > 3 * 320
    one = draw_samples([Seen(Shades(1)[0], np.zeros((32, 48), np.uint8))] * rows, CLASSES)
    assert (height, width) == one.shape[:2]


def test_clearing_leaves_what_others_put_there(tmp_path: Path) -> None:
    clear_samples(tmp_path, resume=False)  # there is no folder yet
    folder = tmp_path / "samples"
    folder.mkdir()
    for name in ("epoch_0004.jpg", ".epoch_0004.01234567.jpg", "notes.txt"):
        (folder / name).touch()
    clear_samples(tmp_path, resume=True)
    assert {path.name for path in folder.iterdir()} == {"epoch_0004.jpg", "notes.txt"}
    clear_samples(tmp_path, resume=False)
    assert {path.name for path in folder.iterdir()} == {"notes.txt"}
