"""`bcpnet predict` of pipes and numbered pictures, and what leaves through pipes and files as it is made."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from command_line import Cli, assert_one_line, bcpnet_process, files
from live_servers import numbered, write_numbered
from PIL import Image

import bcpnet
from bcpnet.media.sources import read_video
from bcpnet.media.video import video_frames

pytestmark = pytest.mark.usefixtures("no_news")


def test_raw_frames_through_a_pipe(onnx_path: Path, tmp_path: Path) -> None:
    """Every one, to the last bit."""
    pictures = [numbered(index) for index in range(5)]
    ran = bcpnet_process("predict", "-", "--pipe-format", "rgb24", "--pipe-size", "48x96", "--save", "ids",
                         "--weights", onnx_path, "--out", tmp_path / "out")  # fmt: skip
    out, error = ran.communicate(b"".join(picture.tobytes() for picture in pictures))
    assert (ran.returncode, error) == (0, b"")
    assert b"5 frames in " in out
    assert b"age of results: p50 " in out
    assert files(tmp_path / "out") == {f"pipe_{index:06d}_ids.png" for index in range(5)}
    segmenter = bcpnet.load(onnx_path)
    for index, picture in enumerate(pictures):
        with Image.open(tmp_path / "out" / f"pipe_{index:06d}_ids.png") as ids:
            np.testing.assert_array_equal(np.asarray(ids), segmenter(picture).class_map)


@pytest.mark.parametrize("container", ["matroska", "mpegts", "yuv4mpegpipe"])
def test_any_container_through_a_pipe(container: str, onnx_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    if container == "yuv4mpegpipe":
        data = b"YUV4MPEG2 W96 H48 F25:1 Ip A1:1 C420jpeg\n"
        for index in range(12):
            data += (
                b"FRAME\n"
                + av.VideoFrame.from_ndarray(numbered(index)).reformat(format="yuv420p").to_ndarray().tobytes()
            )
        path.write_bytes(data)
    else:
        write_numbered(path, 12, container)
    with path.open("rb") as file:
        ran = bcpnet_process("predict", "-", "--json", "--save-to", tmp_path / "over.mp4", "--weights", onnx_path,
                             stdin=file)  # fmt: skip
        out, error = ran.communicate()
    assert ran.returncode == 0, error
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["path"], line["frame"], line["dropped"]) for line in lines] == [
        ("standard input", index, 0) for index in range(12)
    ]
    assert [line["time_s"] for line in lines] == pytest.approx([index / 25 for index in range(12)], abs=0.002)
    times = [float(frame.time_s) for frame in video_frames(tmp_path / "over.mp4")]
    assert times == pytest.approx([index / 25 for index in range(12)], abs=0.002)


@pytest.mark.parametrize(
    "form", ["", "#EXTM3U\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_what_is_no_video_through_a_pipe(form: str, onnx_path: Path, tmp_path: Path) -> None:
    """Lists of files are none, however good the files."""
    listed = form.format(write_numbered(tmp_path / "x.ts", 25, "mpegts"))
    ran = bcpnet_process("predict", "-", "--weights", onnx_path, "--out", tmp_path / "out")
    _, error = ran.communicate(listed.encode())
    assert ran.returncode == 1
    assert_one_line(error.decode())
    assert "standard input" in error.decode()
    assert files(tmp_path / "out") == set()


def test_overlays_through_a_pipe(onnx_path: Path, tmp_path: Path) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", 5)
    ran = bcpnet_process("predict", clip, "--save-to", "-", "--save-as", "rgb24", "--weights", onnx_path)
    out, error = ran.communicate()
    assert b"5 frames in" in error
    segmenter = bcpnet.load(onnx_path)
    overlays = [np.asarray(segmenter(image).overlay()) for image in read_video(clip)]
    assert out == b"".join(overlay.tobytes() for overlay in overlays)


def test_one_bcpnet_feeds_another(onnx_path: Path, tmp_path: Path) -> None:
    clip, out, lines = write_numbered(tmp_path / "clip.mp4", 8), tmp_path / "out", tmp_path / "lines.jsonl"
    first = bcpnet_process("predict", clip, "--save-to", "-", "--weights", onnx_path)
    second = bcpnet_process(
        "predict", "-", "--json-to", lines, "--out", out, "--weights", onnx_path, stdin=first.stdout
    )
    assert first.stdout
    first.stdout.close()
    _, error = second.communicate()
    assert (second.returncode, error) == (0, b"")
    assert first.wait() == 0
    assert len(lines.read_text().splitlines()) == 8
    assert files(out) == {"pipe_overlay.mp4"}
    assert len(list(read_video(out / "pipe_overlay.mp4"))) == 8


def test_a_reader_of_overlays_that_goes_away(onnx_path: Path, tmp_path: Path) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", 60)
    ran = bcpnet_process("predict", clip, "--save-to", "-", "--save-as", "rgb24", "--weights", onnx_path)
    assert ran.stdout
    assert len(ran.stdout.read(48 * 96 * 3)) == 48 * 96 * 3
    ran.stdout.close()
    assert ran.stderr
    assert ran.stderr.read() == b""
    assert ran.wait() == 0


def test_numbered_pictures_are_a_video(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    for index in range(4):
        Image.fromarray(numbered(index)).save(tmp_path / f"shot_{index + 7:03d}.png")
    ran = cli("predict", tmp_path / "shot_%03d.png", "--weights", onnx_path, "--out", tmp_path / "out", "--json")
    assert ran.code == 0
    assert files(tmp_path / "out") == {"shot_overlay.mp4"}
    assert [json.loads(line)["time_s"] for line in ran.out.splitlines()] == [0, 0.04, 0.08, 0.12]


def test_lines_in_a_file(cli: Cli, picture: Path, onnx_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines.jsonl"
    command = ["predict", picture, "--weights", onnx_path, "--save", "--json-to", path]
    ran = cli(*command)
    assert ran.code == 0
    assert "1 frame in" in ran.out
    assert json.loads(path.read_text())["path"] == str(picture)
    assert cli(*command).code == 0  # its own file is replaced
    path.write_text("dear diary\n")
    ran = cli(*command)
    assert ran.code == 1
    assert_one_line(ran.err)
    assert path.read_text() == "dear diary\n"
    assert cli(*command, "--overwrite").code == 0
