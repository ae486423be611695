"""`bcpnet predict`: confidence, COCO files, zones and regions, and the lines of JSON as their schema has them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from command_line import Cli, assert_one_line, files
from documents import ROOT
from media_files import scene, write_clip
from PIL import Image

import bcpnet
from bcpnet.media.video import read_video
from bcpnet.prediction.outputs import Kind

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools

ZONES = (
    "size: 45x61\nzones:\n  left: [[0, 0], [20, 0], [20, 45], [0, 45]]\n  low: [[0, 40], [61, 40], [61, 45], [0, 45]]\n"
)


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    path = tmp_path / "zones.yaml"
    path.write_text(ZONES)
    return path


@pytest.fixture(scope="module")
def check() -> Callable[[Any], Any]:
    """Raises where a line is not as the schema has it."""
    fastjsonschema = pytest.importorskip("fastjsonschema")
    checker: Callable[[Any], Any] = fastjsonschema.compile(
        json.loads((ROOT / "docs" / "predict-line.schema.json").read_text())
    )
    return checker


def read_coco(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """The class map of each image, by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco").COCO(str(path))
    found = {}
    for image in coco.loadImgs(coco.getImgIds()):
        class_map = np.full((image["height"], image["width"]), 255, np.uint8)
        for annotation in coco.imgToAnns[image["id"]]:
            class_map[coco.annToMask(annotation) == 1] = annotation["category_id"] - 1
        found[image["file_name"]] = class_map
    return found


@pytest.mark.parametrize("more", [(), ("--polygons",), ("--min-confidence", "0.4", "--polygons")])
def test_coco_file_of_images_and_videos(
    more: tuple[str, ...], cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    out = tmp_path / "out"
    for _ in range(2):  # its own file is replaced
        ran = cli("predict", picture, clip, "--weights", onnx_path, "--out", out, "--save", "coco", "ids", *more)
        assert (ran.code, ran.err) == (0, "")
    found = read_coco(out / "coco.json")
    stems = ["street", "clip_000000", "clip_000001", "clip_000002"]
    assert list(found) == ["street.png", *(f"{stem}.png" for stem in stems[1:])]
    for class_map, stem in zip(found.values(), stems, strict=True):
        np.testing.assert_array_equal(class_map, np.asarray(Image.open(out / f"{stem}_ids.png")))
    assert ((found["street.png"] == 255).any()) == ("--min-confidence" in more)


def test_images_of_one_name_have_their_folders(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "more" / "street.png"
    other.parent.mkdir()
    Image.fromarray(scene(3, 33, 44)).save(other)
    cli("predict", picture, other, "--weights", onnx_path, "--out", tmp_path / "out", "--save", "coco")
    found = read_coco(tmp_path / "out" / "coco.json")
    assert {name: class_map.shape for name, class_map in found.items()} == {
        picture.as_posix(): (45, 61),
        other.as_posix(): (33, 44),
    }


def test_a_file_that_is_not_its_own_is_kept(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "coco.json"
    kept.write_text('{"images": []}')
    call = ("predict", picture, "--weights", onnx_path, "--out", tmp_path, "--save", "coco")
    ran = cli(*call)
    assert ran.code == 1
    assert_one_line(ran.err)
    assert "coco.json: is there, and not a result of bcpnet's" in ran.err
    assert kept.read_text() == '{"images": []}'
    assert cli(*call, "--overwrite").code == 0
    assert list(read_coco(kept)) == ["street.png"]


def test_confidence_as_pictures(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 2)
    ran = cli("predict", picture, clip, "--weights", onnx_path, "--out", tmp_path / "out", "--save", "confidence")
    assert ran.code == 0
    assert files(tmp_path / "out") == {"street_confidence.png", *(f"clip_00000{n}_confidence.png" for n in range(2))}
    assert "confidence" in ran.out  # its time
    segmenter = bcpnet.load(onnx_path)
    images = {"street": picture} | {f"clip_00000{n}": frame for n, frame in enumerate(read_video(clip))}
    for stem, image in images.items():
        found = Image.open(tmp_path / "out" / f"{stem}_confidence.png")
        assert found.mode == "L"
        np.testing.assert_array_equal(np.asarray(found), segmenter(image).confidence)


def test_unsure_pixels_are_ignored(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    ran = cli("predict", picture, "--weights", onnx_path, "--out", tmp_path, "--save", "ids", "overlay", "--json",
              "--min-confidence", 0.4)  # fmt: skip
    expected = bcpnet.load(onnx_path)(picture).with_min_confidence(0.4)
    assert (expected.class_map == 255).any()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "street_ids.png")), expected.class_map)
    assert json.loads(ran.out)["shares"] == pytest.approx(expected.shares(), abs=1e-6)


@pytest.mark.parametrize("polygons", [False, True])
def test_lines_of_json(
    polygons: bool, cli: Cli, picture: Path, onnx_path: Path, zones: Path, check: Callable[[Any], Any], tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 2, size_hw=(48, 64))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    ran = cli("predict", picture, clip, tmp_path / "broken.png", "--weights", onnx_path, "--out", tmp_path / "out",
              "--json", "--zones", zones, "--regions", "car", "sky", *["--polygons"] * polygons)  # fmt: skip
    assert ran.code == 1
    lines = [json.loads(line) for line in ran.out.splitlines()]
    for line in lines:
        check(line)
    street, *of_clip, broken = lines
    assert broken["path"] == str(tmp_path / "broken.png")
    assert "error" in broken
    assert [Path(file).name for file in street["files"]] == ["street_overlay.jpg", "street.png"]
    assert [[Path(file).name for file in line["files"]] for line in of_clip] == [["clip_overlay.mp4"]] * 2
    assert all(Path(file).is_file() for line in lines[:-1] for file in line["files"])
    assert [(line["height"], line["width"]) for line in lines[:-1]] == [(45, 61), (48, 64), (48, 64)]

    expected = bcpnet.load(onnx_path)(picture)
    for zone in bcpnet.read_zones(zones):
        assert street["zones"][zone.name] == pytest.approx(expected.shares(zone), abs=1e-6)
    assert list(street["zones"]) == ["left", "low"]
    regions = expected.regions("car", "sky")
    assert len(regions) > 0
    for told, region in zip(street["regions"], regions, strict=True):
        assert (told["class"], told["area"], tuple(told["box_xywh"])) == (region.name, region.area, region.box_xywh)
        assert told["confidence"] == pytest.approx(region.confidence, abs=1e-4)
        assert told.get("polygon") == (region.polygon.tolist() if polygons else None)


def test_the_schema_refuses(check: Callable[[Any], Any]) -> None:
    fastjsonschema = pytest.importorskip("fastjsonschema")
    good = {"version": 1, "path": "a", "frame": 0, "time_s": 0, "ms": {}, "files": [], "height": 1, "width": 1,
            "shares": {"road": 1.0}}  # fmt: skip
    check(good)
    for wrong in ({"version": 2}, {"frame": -1}, {"shares": {"road": 1.1}}, {"height": "1"}, {"regions": [{}]}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            check(good | wrong)
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check({key: value for key, value in good.items() if key != "files"})


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--min-confidence", "1.5"), 2, "--min-confidence 1.5: need 0 to 1"),
        (("--min-confidence", "nan"), 2, "need 0 to 1"),
        (("--min-confidence", "0.5", "--format", "cityscapes"), 2, "--format cityscapes"),
        (("--regions", "car"), 2, "add --json"),
        (("--zones", "zones.yaml"), 2, "add --json"),
        (("--polygons",), 2, "--polygons is for"),
        (("--json", "--regions", "kar"), 2, "--regions kar: no such class; these weights have sky, "),
        (("--json", "--zones", "none.yaml"), 1, "none.yaml: cannot read"),
        (("--json", "--zones", "far.yaml"), 2, "zone far: no pixel of a 45x61 image lies in it"),
        (("--json", "--zones", "wrong.yaml"), 1, "wrong.yaml: zones.a: need three corners"),
    ],
)
def test_wrong_calls(
    arguments: tuple[str, ...], code: int, says: str, cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zones.yaml").write_text(ZONES)
    (tmp_path / "far.yaml").write_text("size: 10x10\nzones:\n  far: [[20, 0], [30, 0], [30, 9]]\n")
    (tmp_path / "wrong.yaml").write_text("size: 10x10\nzones:\n  a: [[20, 0]]\n")
    ran = cli("predict", picture, "--weights", onnx_path, "--out", "out", *arguments)
    assert ran.code == code
    assert_one_line(ran.err)
    assert says in ran.err


def test_ctrl_c_keeps_the_frames_that_are_done(
    cli: Cli, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(8):
        Image.fromarray(scene(index)).save(tmp_path / f"{index}.png")
    shown = []

    def stop_at_the_third(_: object, text: str, **__: object) -> None:
        shown.append(text)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("bcpnet.cli.common.Status.show", stop_at_the_third)
    ran = cli("predict", tmp_path, "--weights", onnx_path, "--out", tmp_path / "out", "--save", "coco")
    assert ran.code == 130
    assert list(read_coco(tmp_path / "out" / "coco.json")) == ["0.png", "1.png", "2.png"]


def test_every_kind_of_result_is_told(cli: Cli) -> None:
    for verb in ("predict", "benchmark"):
        assert set(get_args(Kind)) <= set(re.findall(r"\w+", cli(verb, "--help").out))
    assert set(get_args(Kind)) <= set(re.findall(r"`(\w+)`", (ROOT / "docs" / "class-maps.md").read_text()))
