"""What cannot be written, and what must not be: the rest is written, and nothing is lost."""

from __future__ import annotations

import os
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from media_files import noise, scene, write_clip
from PIL import Image
from test_predict_files import BrightestChannel

from bcpnet.errors import InputError, UsageError
from bcpnet.media.sources import find_media, read_video, save_image, video_info
from bcpnet.media.video import VideoWriter, video_frames
from bcpnet.prediction.predict import Kind, Outputs, Prediction, predict
from bcpnet.segmenter import Segmenter


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(BrightestChannel())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image, a video of five frames, another image."""
    folder = tmp_path / "in"
    save_image(folder / "1.jpg", noise(40, 56))
    write_clip(folder / "2.mp4", 5)
    save_image(folder / "3.jpg", noise(40, 56))
    return folder


def run(
    sources: Path | list[Path], segmenter: Segmenter, outputs: Outputs, workers: int = 2
) -> tuple[list[str], list[str]]:
    """Stems of the frames that were done, and what was told."""
    done, told = [], []
    for result in predict(find_media(sources if isinstance(sources, list) else [sources]), segmenter, outputs, workers):
        if isinstance(result, Prediction):
            done.append(result.frame.stem)
        else:
            told.append(str(result.error))
            assert "\n" not in told[-1]
    return done, told


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


STEMS = ["1", *(f"2_{index:06}" for index in range(5)), "3"]


def test_where_nothing_can_be_written_nothing_is_begun(folder: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(InputError, match=r"cannot write: .*out is not a folder"):
            run(folder, segmenter, Outputs(out, ("classmap", "overlay")))
    assert run(folder, segmenter, Outputs(tmp_path / "out")) == (STEMS, [])  # nothing to write


def test_a_folder_that_is_closed_to_us(folder: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(InputError, match="cannot write: no permission"):
        run(folder, segmenter, Outputs(closed / "out", ("classmap",)))


@pytest.mark.parametrize("name", ["1.png", "2_000003.png", "3.png"])
@pytest.mark.parametrize("in_the_way", ["foreign", "folder", "dangling link", "pipe"])
def test_what_bcpnet_did_not_write_is_kept(
    name: str, in_the_way: str, folder: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    target = tmp_path / "out" / name
    target.parent.mkdir()
    if in_the_way == "foreign":
        Image.fromarray(noise(40, 56)).save(target)
    elif in_the_way == "folder":
        target.mkdir()
    elif in_the_way == "dangling link":
        target.symlink_to(tmp_path / "nothing")
    else:
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes on this system")
        os.mkfifo(target)
    before = target.read_bytes() if in_the_way == "foreign" else None
    done, told = run(folder, segmenter, Outputs(target.parent, ("classmap",)))
    assert done == STEMS
    assert len(told) == 1
    assert told[0].startswith(f"{target}: ")
    assert "--overwrite" in told[0]
    assert files(target.parent) == {f"{stem}.png" for stem in STEMS}
    assert before is None or target.read_bytes() == before
    assert target.is_symlink() == (in_the_way == "dangling link")


KINDS: tuple[Kind, ...] = ("overlay", "classmap", "ids", "colour")


def test_results_of_an_earlier_run_are_replaced(folder: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder, segmenter, Outputs(out, KINDS, 0.1)) == (STEMS, [])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(folder, segmenter, Outputs(out, KINDS, 0.9)) == (STEMS, [])
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"1_overlay.jpg", "2_overlay.mp4", "3_overlay.jpg"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_foreign_files_unless_told(
    kind: Kind, folder: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    assert run(folder, segmenter, Outputs(tmp_path / "names", (kind,)))[1] == []
    names = files(tmp_path / "names")
    out = tmp_path / "out"
    out.mkdir()
    for name in names:
        (out / name).write_text("mine")
    done, told = run(folder, segmenter, Outputs(out, (kind,)))
    assert done == STEMS
    assert {Path(line.split(": ")[0]).name for line in told} == names
    assert {path.read_text() for path in out.iterdir()} == {"mine"}
    assert run(folder, segmenter, Outputs(out, (kind,), overwrite=True)) == (STEMS, [])
    assert not any(path.read_bytes() == b"mine" for path in out.iterdir())


def test_a_source_that_a_frame_would_overwrite(segmenter: Segmenter, tmp_path: Path) -> None:
    """Of a video the names are known only as its frames come. Not even `overwrite` loses a source."""
    write_clip(tmp_path / "x.mp4", 4)
    save_image(tmp_path / "x_000002.png", noise(8, 8))
    before = (tmp_path / "x_000002.png").read_bytes()
    done, told = run(tmp_path / "x.mp4", segmenter, Outputs(tmp_path, ("classmap",), overwrite=False))
    assert (len(done), told) == (4, [])  # the file is bcpnet's own, and here no source
    (tmp_path / "x_000002.png").write_bytes(before)
    sources = [tmp_path / "x.mp4", tmp_path / "x_000002.png"]
    done, told = run(sources, segmenter, Outputs(tmp_path, ("ids",), overwrite=True))
    assert (len(done), told) == (5, [])
    (tmp_path / "x_000001_ids.png").write_bytes(before)
    sources = [tmp_path / "x.mp4", tmp_path / "x_000001_ids.png"]
    done, told = run(sources, segmenter, Outputs(tmp_path, ("ids",), overwrite=True))
    assert len(done) == 5
    assert len(told) == 1
    assert "write elsewhere" in told[0]
    assert (tmp_path / "x_000001_ids.png").read_bytes() == before


def test_sources_known_beforehand_stop_it(segmenter: Segmenter, tmp_path: Path) -> None:
    save_image(tmp_path / "x.png", noise(40, 56))
    with pytest.raises(UsageError, match="write elsewhere"):
        run(tmp_path, segmenter, Outputs(tmp_path, ("classmap",)))


class FailsAt(BrightestChannel):
    """Refuses one call."""

    def __init__(self, call: int, error: Exception) -> None:
        self.calls, self.call, self.error = 0, call, error

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.calls += 1
        if self.calls == self.call:
            raise self.error
        return super().__call__(images)


@pytest.mark.parametrize("error", [InputError("the network cannot"), MemoryError("9 GiB")])
def test_a_frame_that_cannot_be_segmented(error: Exception, folder: Path, tmp_path: Path) -> None:
    segmenter = Segmenter(FailsAt(4, error))
    done, told = run(folder, segmenter, Outputs(tmp_path / "out", ("overlay",)), workers=1)
    assert done == [stem for stem in STEMS if stem != "2_000002"]
    (line,) = told
    assert line.startswith(f"{folder / '2.mp4'}: ")
    assert str(error) in line
    times = [round(1000 * frame.time_s) for frame in video_frames(tmp_path / "out" / "2_overlay.mp4")]
    assert times == [0, 40, 120, 160]  # its place stays free


def test_our_own_faults_are_not_taken_for_bad_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="ours"):
        run(folder, Segmenter(FailsAt(2, TypeError("ours"))), Outputs(tmp_path / "out", ("overlay",)))
    assert not (tmp_path / "out" / "2_overlay.mp4").exists()


@pytest.mark.parametrize("when", ["opened", "written", "finished"])
def test_a_video_that_cannot_be_written_stops_no_other(
    when: str, folder: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"opened": "__enter__", "written": "_write", "finished": "_finish"}[when]
    right = getattr(VideoWriter, method)

    def fail(self: VideoWriter, *arguments: object) -> object:
        if self.path.name == "2_overlay.mp4" and (when != "written" or self.frames == 3):
            with self._stack if when == "finished" else nullcontext():
                raise InputError(f"{self.path}: cannot write: No space left on device")
        return right(self, *arguments)

    monkeypatch.setattr(VideoWriter, method, fail)
    done, told = run(folder, segmenter, Outputs(tmp_path / "out", ("overlay", "colour", "ids")))
    assert done == STEMS
    assert told == [f"{tmp_path / 'out' / '2_overlay.mp4'}: cannot write: No space left on device"]
    assert "2_overlay.mp4" not in files(tmp_path / "out")
    assert len(list(read_video(tmp_path / "out" / "2_colour.mp4"))) == 5
    assert len(files(tmp_path / "out")) == 1 + 3 * 2 + 5
    assert not [name for name in files(tmp_path / "out") if name.startswith(".")]


def write_slow(path: Path, ticks: list[int]) -> Path:
    """A Matroska file with frames at these milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(scene(index), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_frames_too_far_apart_for_mp4_are_told(segmenter: Segmenter, tmp_path: Path) -> None:
    day = 24 * 3600 * 1000
    film = write_slow(tmp_path / "in" / "x.mkv", [0, day, 2 * day, 12 * day, 13 * day])
    done, told = run(film, segmenter, Outputs(tmp_path / "out", ("overlay", "colour")))
    assert len(done) == 5
    assert len(told) == 1
    assert "before frame 3 would be shown until 1.0368e+06 s, longer than MP4 allows" in told[0]
    for name in ("x_overlay.mp4", "x_colour.mp4"):
        times = [round(1000 * frame.time_s) for frame in video_frames(tmp_path / "out" / name)]
        assert times == [0, day, 2 * day]


def test_pixel_aspect_reaches_the_results(segmenter: Segmenter, tmp_path: Path) -> None:
    film = tmp_path / "in" / "x.mp4"
    with VideoWriter(film, (48, 64), 25, pixel_aspect=Fraction(16, 11)) as writer:
        for index in range(3):
            writer.write(scene(index))
    run(film, segmenter, Outputs(tmp_path / "out", ("overlay",)))
    assert video_info(tmp_path / "out" / "x_overlay.mp4").pixel_aspect == Fraction(16, 11)
