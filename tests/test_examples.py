"""The programs in examples/ do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bcpnet
from bcpnet.data.streets import Streets
from bcpnet.media.video import VideoWriter
from bcpnet.weights import path_of

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PROGRAM = EXAMPLES / "onnx_without_bcpnet.py"
SIZES = ((360, 480), (540, 720), (377, 601))  # the short side is 540


@pytest.fixture(scope="module")
def class_map_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx_ir", reason="export needs onnx-ir")
    from bcpnet.onnx.class_map import write_class_map_onnx

    path: Path = tmp_path_factory.mktemp("onnx") / "classes.onnx"
    write_class_map_onnx(path_of("camvid", ".onnx"), path)
    return path


def same_pixels(weights: Path, name: str, size_hw: tuple[int, int], folder: Path) -> float:
    """The share of pixels of a scene whose class in the program is the one in bcpnet."""
    scene, out = folder / "street.png", folder / "class_map.png"
    Image.fromarray(Streets("val", size_hw)[0].image).save(scene)
    result = bcpnet.load(name, backend="onnxruntime", threads=1)(scene)
    ran = subprocess.run([sys.executable, PROGRAM, weights, scene, out], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "road" in ran.stdout
    class_map = np.asarray(Image.open(out))
    assert class_map.dtype == np.uint8
    assert class_map.shape == size_hw
    assert len(np.unique(class_map)) > 3
    return float((class_map == result.class_map).mean())


def test_the_program_does_without_bcpnet() -> None:
    assert "import bcpnet" not in PROGRAM.read_text()
    assert "from bcpnet" not in PROGRAM.read_text()


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("name", ["camvid", "camvid-int8"])
def test_logits(name: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    """Measured: all pixels."""
    assert same_pixels(path_of(name, ".onnx"), name, size_hw, tmp_path) > 0.999


@pytest.mark.parametrize("size_hw", SIZES)
def test_class_maps(class_map_onnx: Path, size_hw: tuple[int, int], tmp_path: Path) -> None:
    """Measured: 99.5 % of the pixels and more; the others lie where the class map is stretched to the image."""
    assert same_pixels(class_map_onnx, "camvid", size_hw, tmp_path) > 0.99


def said_by(program: str, folder: Path, *arguments: str) -> str:
    """What a program prints, run in `folder`."""
    command = [sys.executable, EXAMPLES / program, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with street.png, and clip.mp4 of four frames of it, in which the network sees persons."""
    folder: Path = tmp_path_factory.mktemp("street")
    frame = Streets("val", (360, 640))[0].image
    Image.fromarray(frame).save(folder / "street.png")
    with VideoWriter(folder / "clip.mp4", (360, 640), 25) as writer:
        for _ in range(4):
            writer.write(frame)
    return folder


@pytest.fixture(scope="module")
def in_the_clip(street: Path) -> list[bcpnet.Segmentation]:
    return list(bcpnet.load("camvid", threads=1).stream(street / "clip.mp4"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 30


def test_road_share(street: Path, in_the_clip: list[bcpnet.Segmentation]) -> None:
    share = in_the_clip[0].shares()["road"]
    assert 0.1 < share < 0.9
    for least, count in ((share + 0.05, 4), (share - 0.05, 0)):
        *lines, summary = said_by("road_share.py", street, "clip.mp4", str(least)).splitlines()
        assert summary == f"{count} of 4 frames have less than {least:.0%} road"
        assert lines == [f"frame {i}: {r.shares()['road']:.0%} road" for i, r in enumerate(in_the_clip)][:count]


def test_persons_are_blurred_and_nothing_far_from_them(street: Path) -> None:
    said_by("blur_persons.py", street, "street.png", "blurred.png")
    before, after = (np.asarray(Image.open(street / name)) for name in ("street.png", "blurred.png"))
    persons = bcpnet.load("camvid")(street / "street.png").mask("pedestrian", "bicyclist")
    changed = (before != after).any(axis=2)
    assert changed[persons].mean() > 0.9
    y, x = np.nonzero(persons)
    near = np.zeros_like(persons)
    for dy, dx in np.ndindex(9, 9):
        near[np.clip(y + dy - 4, 0, 359), np.clip(x + dx - 4, 0, 639)] = True
    assert not changed[~near].any()


def test_alarm_where_someone_is(street: Path, in_the_clip: list[bcpnet.Segmentation]) -> None:
    left, top, width, height = in_the_clip[0].regions("pedestrian", "bicyclist")[0].box_xywh
    box = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
    zones = {"size": "360x640", "zones": {"sky": [[0, 0], [640, 0], [640, 9]], "here": box}}
    (street / "zones.yaml").write_text(json.dumps(zones))  # JSON is YAML
    assert said_by("zone_alarm.py", street, "clip.mp4", "zones.yaml") == "frame 2: someone is in zone here\n"


def test_the_zones_in_the_text_of_the_alarm(tmp_path: Path) -> None:
    text = (EXAMPLES / "zone_alarm.py").read_text()
    (tmp_path / "zones.yaml").write_text(text[text.index("size:") : text.index('\n"""\n')])
    assert [zone.name for zone in bcpnet.read_zones(tmp_path / "zones.yaml")] == ["crossing"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_file(street: Path) -> None:
    coco_tools = pytest.importorskip("pycocotools.coco", reason="reads the file with pycocotools")
    Image.open(street / "street.png").crop((0, 0, 500, 300)).save(street / "other.png")
    said_by("write_coco.py", street, "coco.json", "street.png", "other.png")
    coco = coco_tools.COCO(str(street / "coco.json"))
    for image_id, name in ((1, "street.png"), (2, "other.png")):
        expected = bcpnet.load("camvid")(street / name).with_min_confidence(0.5).class_map
        assert coco.imgs[image_id]["file_name"] == name
        found = np.full_like(expected, 255)
        for annotation in coco.imgToAnns[image_id]:
            found[coco.annToMask(annotation) == 1] = annotation["category_id"] - 1
        np.testing.assert_array_equal(found, expected)
