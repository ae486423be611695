"""`bcpnet predict`: what it reads, what it writes, and that both are what the segmenter says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from command_line import Cli, assert_one_line, files
from media_files import noise, write_clip
from PIL import Image

import bcpnet
from bcpnet.backends import BACKENDS
from bcpnet.cli.common import Status
from bcpnet.drawing.pictures import clear_colours, overlay_with_contours
from bcpnet.labels import CAMVID, CITYSCAPES, CITYSCAPES_LABEL_IDS
from bcpnet.media.sources import read_video, video_info
from bcpnet.media.video import video_frames
from bcpnet.native import library

STAGES = {"decode", "pre", "network", "post", "draw", "write"}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """clip.mp4: six frames of 48 x 64 at 12.5 frames/s."""
    return write_clip(tmp_path / "videos" / "clip.mp4", 6, Fraction(25, 2))


def test_an_image(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = cli("predict", picture, "--weights", onnx_path, "--out", out,
              "--save", "overlay", "classmap", "colour", "sheet")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("1 frame in ")
    assert " frames/s from file in to results out (onnxruntime; 1 at once, " in ran.out
    assert ran.out.endswith(f"results in {out}\n")
    assert files(out) == {"street.png", "street_overlay.jpg", "street_colour.png", "contact_sheet.jpg"}

    expected = bcpnet.load(onnx_path)(picture)
    with Image.open(out / "street.png") as class_map:
        assert class_map.mode == "P"
        np.testing.assert_array_equal(np.asarray(class_map), expected.class_map)
        np.testing.assert_array_equal(np.asarray(class_map.convert("RGB")), np.asarray(expected.colour_map()))
    np.testing.assert_array_equal(np.asarray(Image.open(out / "street_colour.png")), np.asarray(expected.colour_map()))
    overlay = np.asarray(Image.open(out / "street_overlay.jpg")).astype(int)
    assert overlay.shape == (45, 61, 3)
    colours = clear_colours(CAMVID.names)
    assert abs(overlay - overlay_with_contours(expected.image, expected.class_map, CAMVID.names, colours)).mean() < 8


def test_what_is_saved_by_default(cli: Cli, picture: Path, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    assert cli("predict", picture, clip, "--weights", onnx_path, "--out", tmp_path / "out").code == 0
    assert files(tmp_path / "out") == {"street.png", "street_overlay.jpg", "clip_overlay.mp4"}
    cli("predict", picture, clip, "--weights", onnx_path, "--out", tmp_path / "more", "--save", "auto", "sheet")
    assert files(tmp_path / "more") == files(tmp_path / "out") | {"contact_sheet.jpg"}


def test_grey_pngs_of_class_ids(cli: Cli, picture: Path, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = cli("predict", picture, clip, "--weights", onnx_path, "--out", out, "--save", "ids", "--every", 4)
    assert ran.code == 0
    assert files(out) == {"street_ids.png", "clip_000000_ids.png", "clip_000004_ids.png"}
    with Image.open(out / "street_ids.png") as ids:
        assert ids.mode == "L"
        np.testing.assert_array_equal(np.asarray(ids), bcpnet.load(onnx_path)(picture).class_map)


@pytest.mark.parametrize(("size_hw", "changed"), [((360, 481), True), ((45, 61), False)])
def test_a_legend_changes_no_size(
    size_hw: tuple[int, int], changed: bool, cli: Cli, onnx_path: Path, tmp_path: Path
) -> None:
    Image.fromarray(noise(*size_hw)).save(tmp_path / "x.png")
    write_clip(tmp_path / "y.mp4", 2, 25, (360, 480))
    overlays = []
    for legend in ("on", "off"):
        out = tmp_path / legend
        cli("predict", tmp_path / "x.png", tmp_path / "y.mp4", "--weights", onnx_path, "--out", out,
            "--save", "overlay", "--legend", legend)  # fmt: skip
        overlays.append(np.asarray(Image.open(out / "x_overlay.jpg")))
        assert video_info(out / "y_overlay.mp4").size_hw == (360, 480)
        assert overlays[-1].shape == (*size_hw, 3)
    assert (overlays[0] != overlays[1]).any() == changed


def test_palettes(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    for palette, colours in (("clear", clear_colours(CAMVID.names)), ("dataset", CAMVID.colours)):
        out = tmp_path / palette
        cli("predict", picture, "--weights", onnx_path, "--out", out, "--opacity", 1, "--palette", palette)
        expected = bcpnet.load(onnx_path)(picture)
        with Image.open(out / "street_overlay.jpg") as overlay:
            drawn = overlay_with_contours(expected.image, expected.class_map, CAMVID.names, colours, 1)
            assert abs(np.asarray(overlay).astype(int) - drawn).mean() < 12  # JPEG
        with Image.open(out / "street.png") as class_map:  # keeps the dataset's
            np.testing.assert_array_equal(np.asarray(class_map.convert("RGB")), np.asarray(expected.colour_map()))


@pytest.mark.parametrize(
    ("options", "frames", "first_s"),
    [
        ("--every 3", [0, 3, 6, 9], 0.0),
        ("--start 0.2", list(range(7)), 0.2),
        ("--start 0:00:00.2 --end 0:0.36", list(range(4)), 0.2),
        ("--end 0.2 --every 2", [0, 2, 4], 0.0),
        ("--start 0.4 --end 5:00", [0, 1], 0.4),
    ],
)
def test_parts_of_a_video(
    options: str, frames: list[int], first_s: float, cli: Cli, onnx_path: Path, tmp_path: Path
) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 12), tmp_path / "out"
    ran = cli("predict", clip, "--weights", onnx_path, "--out", out, "--json", "--save", "ids", "overlay",
              *options.split())  # fmt: skip
    assert ran.code == 0
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["frame"] for line in lines] == frames
    assert [line["time_s"] for line in lines] == pytest.approx([first_s + 0.04 * frame for frame in frames])
    assert files(out) == {f"clip_{frame:06}_ids.png" for frame in frames} | {"clip_overlay.mp4"}
    written = [float(frame.time_s) for frame in video_frames(out / "clip_overlay.mp4")]
    assert written == pytest.approx([0.04 * frame for frame in frames])


def test_progress_says_frames_of_how_many(
    cli: Cli, picture: Path, clip: Path, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Status, "show", lambda _, text: shown.append(text))
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    cli("predict", bad, picture, clip, "--weights", onnx_path, "--out", tmp_path / "out", "--every", 2)
    assert [text.split(", ")[:2] for text in shown] == [
        ["frame 1 of 4", "street.png"], *([f"frame {number} of 4", "clip.mp4"] for number in (2, 3, 4))
    ]  # fmt: skip
    assert shown[-1].endswith(", 0:00:00 to go")


def test_lost_sound_is_said(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    with av.open(tmp_path / "x.avi", "w") as container:
        video, sound = container.add_stream("mpeg4", rate=25), container.add_stream("pcm_mulaw", rate=8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(noise(48, 64), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        container.mux([*video.encode(None), *sound.encode(None)])
    ran = cli("predict", tmp_path / "x.avi", "--weights", onnx_path, "--out", tmp_path / "out")
    assert ran.code == 0
    assert (
        ran.err
        == f"bcpnet: {tmp_path / 'x.avi'}: MP4 does not take its sound (pcm_mulaw): the video written has none\n"
    )
    assert len(list(read_video(tmp_path / "out" / "x_overlay.mp4"))) == 3
    assert cli("predict", tmp_path / "x.avi", "--weights", onnx_path, "--out", tmp_path, "--save", "ids").err == ""


def test_opacity(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    for opacity in (0, 1):
        cli("predict", picture, "--weights", onnx_path, "--out", tmp_path / str(opacity), "--opacity", opacity)
    clear, full = (np.asarray(Image.open(tmp_path / name / "street_overlay.jpg")).astype(int) for name in "01")
    class_map = bcpnet.load(onnx_path)(picture).class_map
    lines = np.zeros((45, 61), bool)
    lines[:-1] |= class_map[1:] != class_map[:-1]
    lines[:, :-1] |= class_map[:, 1:] != class_map[:, :-1]
    assert abs(clear - np.asarray(Image.open(picture)))[~lines].mean() < 25
    assert abs(full - clear).mean() > 5


@pytest.mark.parametrize("how", ["folder", "glob"])
def test_many_images_in_order(how: str, cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in (10, 2, 1):
        Image.fromarray(noise(40 + index, 50)).save(folder / f"frame{index}.png")
    (folder / "notes.txt").write_text("not an image")
    source = folder if how == "folder" else folder / "frame*.png"
    out = tmp_path / "out"
    ran = cli("predict", source, "--weights", onnx_path, "--out", out, "--save", "classmap", "--json")
    assert ran.code == 0
    assert [Path(json.loads(line)["path"]).stem for line in ran.out.splitlines()] == ["frame1", "frame2", "frame10"]
    assert files(out) == {"frame1.png", "frame2.png", "frame10.png"}
    for index in (1, 2, 10):
        assert Image.open(out / f"frame{index}.png").size == (50, 40 + index)


def test_a_video(cli: Cli, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = cli("predict", clip, "--weights", onnx_path, "--out", out, "--json",
              "--save", "overlay", "classmap", "colour", "sheet")  # fmt: skip
    assert ran.code == 0
    stems = [f"clip_{index:06}" for index in range(6)]
    assert files(out) == {
        *(f"{stem}.png" for stem in stems),
        "clip_overlay.mp4",
        "clip_colour.mp4",
        "contact_sheet.jpg",
    }
    assert [json.loads(line)["frame"] for line in ran.out.splitlines()] == list(range(6))
    segmenter = bcpnet.load(onnx_path)
    for stem, frame in zip(stems, read_video(clip), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{stem}.png")), segmenter(frame).class_map)
    for kind in ("overlay", "colour"):
        assert video_info(out / f"clip_{kind}.mp4").fps == Fraction(25, 2)
        assert len(list(read_video(out / f"clip_{kind}.mp4"))) == 6


def test_the_sheet_shows_a_dozen_of_many(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    sizes = {}
    for count in (12, 30):
        folder = tmp_path / f"in{count}"
        folder.mkdir()
        for index in range(count):
            Image.fromarray(noise(32, 40)).save(folder / f"{index}.png")
        cli("predict", folder, "--weights", onnx_path, "--out", tmp_path / f"out{count}", "--save", "sheet")
        with Image.open(tmp_path / f"out{count}" / "contact_sheet.jpg") as sheet:
            sizes[count] = sheet.size
    assert sizes[30][0] == sizes[12][0]
    assert sizes[30][1] <= sizes[12][1]


def test_json(cli: Cli, picture: Path, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    ran = cli("predict", picture, clip, "--weights", onnx_path, "--out", tmp_path / "out", "--json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [(line["path"], line["frame"]) for line in lines] == [(str(picture), 0), *((str(clip), n) for n in range(6))]
    for line in lines:
        assert set(line) == {"version", "path", "frame", "time_s", "ms", "files", "height", "width", "shares"}
        assert set(line["ms"]) == STAGES | {"describe"}
        assert min(line["ms"].values()) >= 0
        assert list(line["shares"]) == list(CAMVID.names)
        assert sum(line["shares"].values()) == pytest.approx(1, abs=1e-4)
    class_map = np.asarray(Image.open(tmp_path / "out" / "street.png"))
    assert lines[0]["shares"]["road"] == pytest.approx((class_map == 3).mean(), abs=1e-6)
    assert "7 frames" in ran.err  # the summary: standard output is JSON only


def test_size(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    class_maps = {}
    for size in ("96x128", "360x488"):
        cli("predict", picture, "--weights", onnx_path, "--out", tmp_path / size, "--size", size)
        class_maps[size] = np.asarray(Image.open(tmp_path / size / "street.png"))
        height, width = map(int, size.split("x"))
        expected = bcpnet.load(onnx_path, size_hw=(height, width))(picture).class_map
        np.testing.assert_array_equal(class_maps[size], expected)
    assert (class_maps["96x128"] != class_maps["360x488"]).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_names_itself(
    backend: str, cli: Cli, picture: Path, onnx_path: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip({"pytorch": "torch"}.get(backend, backend))
    weights: Path | str = request.getfixturevalue("checkpoint") if backend == "pytorch" else onnx_path
    if backend == "native":
        if library() is None:
            pytest.skip("the C library was not compiled here (no C compiler)")
        weights = "camvid"
    out = tmp_path / "out"
    ran = cli("predict", picture, "--weights", weights, "--out", out, "--backend", backend, "--threads", 1)
    assert ran.code == 0
    assert f"({backend}; 1 at once, 1 thread each)" in ran.out
    expected = bcpnet.load(weights, backend=backend)(picture).class_map
    assert (np.asarray(Image.open(out / "street.png")) == expected).mean() > 0.99


def test_cityscapes_submission(cli: Cli, cityscapes_onnx: Path, tmp_path: Path) -> None:
    name = "ulm_000000_000019"
    source = tmp_path / f"{name}_leftImg8bit.png"
    Image.fromarray(noise(64, 128)).save(source)
    out = tmp_path / "out"
    ran = cli("predict", source, "--weights", cityscapes_onnx, "--out", out, "--format", "cityscapes")
    assert ran.code == 0
    assert files(out) == {f"{name}_labelIds.png"}
    expected = np.array(CITYSCAPES_LABEL_IDS)[bcpnet.load(cityscapes_onnx)(source).class_map]
    np.testing.assert_array_equal(np.asarray(Image.open(out / f"{name}_labelIds.png")), expected)
    assert len(CITYSCAPES) == 19


def test_a_bad_file_among_good_ones(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    bad = picture.with_name("bad.png")
    bad.write_text("not an image")
    good = picture.with_name("good.png")
    Image.fromarray(noise(45, 61)).save(good)
    out = tmp_path / "out"
    missing = tmp_path / "missing.png"
    ran = cli("predict", missing, picture.parent, "--weights", onnx_path, "--out", out, "--save", "classmap", "--json")
    assert ran.code == 1
    complaints = [line for line in ran.err.splitlines() if line.startswith("bcpnet: ")]
    assert len(complaints) == 2
    assert str(missing) in complaints[0]
    assert str(bad) in complaints[1]
    assert files(out) == {"good.png", "street.png"}
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["path"] for line in lines] == [str(missing), str(bad), str(good), str(picture)]
    assert ["error" in line for line in lines] == [True, True, False, False]


def test_a_video_with_a_broken_tail(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 40)
    clip.write_bytes(clip.read_bytes()[:-2000])  # its index is in front
    out = tmp_path / "out"
    ran = cli("predict", clip, picture, "--weights", onnx_path, "--out", out, "--save", "overlay", "classmap")
    assert ran.code == 1
    (complaint,) = ran.err.splitlines()
    assert complaint.startswith(f"bcpnet: {clip}: ")
    class_maps = sorted(name for name in files(out) if name.startswith("clip_0"))
    assert 1 <= len(class_maps) < 40
    assert len(list(read_video(out / "clip_overlay.mp4"))) == len(class_maps)
    assert files(out) == {*class_maps, "clip_overlay.mp4", "street.png", "street_overlay.jpg"}


def test_equal_names_from_two_folders(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        Image.fromarray(noise(40, 50)).save(tmp_path / side / "x.png")
    out = tmp_path / "out"
    cli("predict", tmp_path / "left", tmp_path / "right", "--weights", onnx_path, "--out", out, "--save", "classmap")
    assert files(out) == {"left_x.png", "right_x.png"}


def test_a_source_is_never_overwritten(cli: Cli, picture: Path, onnx_path: Path) -> None:
    before = picture.read_bytes()
    ran = cli("predict", picture, "--weights", onnx_path, "--out", picture.parent, "--save", "classmap")
    assert ran.code == 2
    assert "write elsewhere" in ran.err
    assert picture.read_bytes() == before
    assert files(picture.parent) == {"street.png"}


def test_ground_truth_beside_the_images_is_kept(cli: Cli, picture: Path, onnx_path: Path) -> None:
    image, truth = picture.with_suffix(".jpg"), picture  # street.jpg and street.png
    Image.fromarray(noise(45, 61)).save(image)
    before = truth.read_bytes()
    arguments = ("predict", image, "--weights", onnx_path, "--out", picture.parent)
    ran = cli(*arguments)
    assert ran.code == 1
    assert ran.err == f"bcpnet: {truth}: is there, and not a result of bcpnet's: kept; --overwrite replaces it\n"
    assert "1 frame in " in ran.out
    assert truth.read_bytes() == before
    assert files(picture.parent) == {"street.png", "street.jpg", "street_overlay.jpg"}
    assert cli(*arguments, "--overwrite").code == 0
    assert truth.read_bytes() != before
    again = cli(*arguments)  # own results need no flag
    assert (again.code, again.err) == (0, "")


def test_a_foreign_contact_sheet_is_kept(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "out" / "contact_sheet.jpg"
    sheet.parent.mkdir()
    Image.fromarray(noise(45, 61)).save(sheet)
    before = sheet.read_bytes()
    ran = cli("predict", picture, "--weights", onnx_path, "--out", sheet.parent, "--save", "sheet", "ids")
    assert ran.code == 1
    assert_one_line(ran.err)
    assert str(sheet) in ran.err
    assert "1 frame in " in ran.out
    assert sheet.read_bytes() == before
    assert files(sheet.parent) == {"contact_sheet.jpg", "street_ids.png"}


def test_results_of_a_video_that_cannot_be_written_are_not_told_one_by_one(
    cli: Cli, clip: Path, picture: Path, onnx_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for index in range(5):
        (out / f"clip_{index:06}.png").mkdir(parents=True)
    ran = cli("predict", clip, picture, "--weights", onnx_path, "--out", out, "--save", "classmap", "--json")
    assert ran.code == 1
    complaints = [line for line in ran.err.splitlines() if line.startswith("bcpnet: ")]
    assert [line.count(".png: is there") for line in complaints] == [1, 1, 1, 0]
    assert complaints[3] == f"bcpnet: {clip}: 2 more of its results are missing"
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert sum("error" in line for line in lines) == 5
    assert sum("shares" in line for line in lines) == 7
    assert (out / "clip_000005.png").is_file()
    assert (out / "street.png").is_file()


def test_one_result_that_cannot_be_written_does_not_end_it(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "c"):
        Image.fromarray(noise(40, 50)).save(folder / f"{name}.png")
    Image.new("RGB", (66_000, 32)).save(folder / "b.png")  # more than JPEG takes
    ran = cli("predict", folder, "--weights", onnx_path, "--out", out)
    assert ran.code == 1
    assert_one_line(ran.err)
    assert "b_overlay.jpg: cannot write 66000x32 pixels as JPEG" in ran.err
    assert files(out) == {"a.png", "a_overlay.jpg", "b.png", "c.png", "c_overlay.jpg"}


def test_videos_of_any_name_in_a_folder(cli: Cli, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    for name in ("a.m2ts", "b", "c.jpg"):
        clip.with_name(name).write_bytes(clip.read_bytes())
    clip.with_name("notes.txt").write_text("words")
    out = tmp_path / "out"
    ran = cli("predict", clip.parent, "--weights", onnx_path, "--out", out, "--save", "colour")
    assert (ran.code, ran.err) == (0, "")
    assert files(out) == {f"{stem}_colour.mp4" for stem in ("a", "b", "c", "clip")}


def test_two_results_of_one_name_are_refused(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    picture.with_name("street_colour.png").write_bytes(picture.read_bytes())
    ran = cli(
        "predict", picture.parent, "--weights", onnx_path, "--out", tmp_path / "out", "--save", "classmap", "colour"
    )
    assert ran.code == 2
    assert "street_colour.png" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_kind_named_twice_is_saved_once(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli("predict", picture, "--weights", onnx_path, "--out", out, "--save", "colour", "colour").code == 0
    assert files(out) == {"street_colour.png"}


def test_nothing_to_save(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    ran = cli("predict", picture, "--weights", onnx_path, "--out", tmp_path / "out", "--save")
    assert (ran.code, ran.err) == (0, "")
    assert "results in" not in ran.out.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["overlay", "ids"])
def test_an_interrupted_video_is_kept_as_far_as_it_is_done(
    signum: int, kind: str, cli: Cli, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bcpnet.segmenter import Segmenter

    segment = Segmenter.__call__
    calls: list[int] = []

    def interrupted(self: Segmenter, image: npt.NDArray[np.uint8]) -> bcpnet.Segmentation:
        calls.append(1)
        if len(calls) == 10:
            os.kill(os.getpid(), signum)
        time.sleep(0.01)
        return segment(self, image)

    monkeypatch.setattr(Segmenter, "__call__", interrupted)
    out, clip = tmp_path / "out", write_clip(tmp_path / "clip.mp4", 60)
    ran = cli("predict", clip, "--weights", onnx_path, "--out", out, "--threads", 2, "--save", kind)
    assert ran.code == 128 + signum
    assert_one_line(ran.err)
    if kind == "overlay":
        assert files(out) == {"clip_overlay.mp4"}
        frames = len(list(read_video(out / "clip_overlay.mp4")))
        assert 2 < frames < 20
        assert ran.err == f"bcpnet: interrupted: kept the {frames} frames done in {out / 'clip_overlay.mp4'}\n"
    else:  # whole PNGs, a few frames beyond the tenth at most; no leftover
        written = sorted(files(out))
        assert len(written) < 26
        assert written == [f"clip_{index:06}_ids.png" for index in range(len(written))]
        for name in written:
            assert np.asarray(Image.open(out / name)).shape == (48, 64)
        assert ran.err == "bcpnet: interrupted\n"


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_speed_only(threads: int, cli: Cli, clip: Path, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = cli("predict", clip, "--weights", onnx_path, "--out", out, "--threads", threads, "--save", "classmap")
    assert ran.out.startswith("6 frames in ")
    assert f"({threads} at once, 1 thread each)" in ran.out.replace("onnxruntime; ", "")
    segmenter = bcpnet.load(onnx_path, threads=1)
    for index, frame in enumerate(read_video(clip)):
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"clip_{index:06}.png")), segmenter(frame).class_map)


def test_the_base_install_is_enough(picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bcpnet", "predict", picture, "--weights", onnx_path,
         "--out", tmp_path / "out", "--save", "overlay", "classmap", "colour", "sheet"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    assert {"bcpnet", "onnxruntime", "av"} <= loaded
    extras = {"torch", "lightning", "lightning_fabric", "openvino", "onnx", "safetensors", "tensorboard", "scipy"}
    assert not loaded & extras


def test_a_reader_that_goes_away(picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bcpnet", "predict", str(picture), "--weights", str(onnx_path),
               "--out", str(tmp_path / "out"), "--json"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_names_are_checked_before_anything_is_written(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(noise(40, 48)).save(tmp_path / f"{name}.png")
    before = files(tmp_path)
    assert cli("predict", tmp_path, "--weights", onnx_path, "--out", tmp_path).code == 2
    assert files(tmp_path) == before


def test_a_foreign_name_does_not_stop_a_submission(cli: Cli, cityscapes_onnx: Path, tmp_path: Path) -> None:
    for name in ("ulm_000000_000001_leftImg8bit", "ulm_notes", "ulm_000000_000002_leftImg8bit"):
        Image.fromarray(noise(40, 48)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    ran = cli("predict", tmp_path, "--weights", cityscapes_onnx, "--out", out, "--format", "cityscapes")
    assert ran.code == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "ulm_000000_000001_labelIds.png",
        "ulm_000000_000002_labelIds.png",
    ]
