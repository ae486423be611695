"""Files in, results out, without the command line: order, laziness, errors and what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from media_files import noise, write_clip
from PIL import Image

from bcpnet.drawing import pictures as draw
from bcpnet.labels import ClassSet
from bcpnet.media.sources import BadFrame, MediaItem, find_media, read_image, read_video, save_image, video_info
from bcpnet.media.video import ALL, Cut, video_frames
from bcpnet.metadata import Metadata
from bcpnet.prediction.predict import Outputs, Prediction, Stopped, predict
from bcpnet.segmenter import Segmenter

CLASSES = ClassSet("primary", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


class BrightestChannel:
    """Logits at stride 8: the colours of every eighth pixel."""

    name = "onnxruntime"
    metadata = Metadata("bcpnet", {}, CLASSES, short_side=32)

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(images[:, 4::8, 4::8].transpose(0, 3, 1, 2), np.float32)


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(BrightestChannel())


@pytest.fixture
def items(tmp_path: Path) -> list[MediaItem]:
    """Two videos with an image and a broken file between them."""
    folder = tmp_path / "in"
    write_clip(folder / "1.mp4", 7)
    save_image(folder / "2.png", noise(40, 56))
    (folder / "3.png").write_text("not a picture")
    write_clip(folder / "4.mp4", 3, 10)
    return find_media([folder])


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_frame_in_order_and_every_file_whole(
    workers: int, items: list[MediaItem], segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results = list(predict(items, segmenter, Outputs(out, ("overlay", "classmap", "colour"), 0.25), workers))
    stems = [*(f"1_{index:06}" for index in range(7)), "2", None, *(f"4_{index:06}" for index in range(3))]
    assert [result.frame.stem if isinstance(result, Prediction) else None for result in results] == stems
    videos = {f"{stem}_{kind}.mp4" for stem in "14" for kind in ("overlay", "colour")}
    assert files(out) == {f"{stem}.png" for stem in stems if stem} | videos | {"2_overlay.jpg", "2_colour.png"}
    assert video_info(out / "4_overlay.mp4").fps == 10
    for result in results:
        if isinstance(result, BadFrame):
            assert result.item.path.name == "3.png"
            continue
        expected = segmenter(result.frame.image)
        np.testing.assert_array_equal(result.segmentation.class_map, expected.class_map)
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{result.frame.stem}.png")), expected.class_map)
        clear = draw.clear_colours(CLASSES.names)
        overlay = draw.overlay_with_contours(result.frame.image, expected.class_map, CLASSES.names, clear, 0.25)
        np.testing.assert_array_equal(result.pictures["overlay"], overlay)
        np.testing.assert_array_equal(result.pictures["colour"], draw.colour_map(expected.class_map, CLASSES.palette()))
        assert list(result.timings_ms) == ["decode", "pre", "network", "post", "draw", "write"]
        assert min(result.timings_ms.values()) >= 0
    encoded = list(read_video(out / "1_colour.mp4"))
    for image, result in zip(encoded, results[:7], strict=True):
        assert isinstance(result, Prediction)
        assert np.abs(image.astype(int) - result.pictures["colour"]).mean() < 30  # in its place; colours bleed


def test_a_video_is_whole_when_the_next_file_comes(
    items: list[MediaItem], segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for result in predict(items, segmenter, Outputs(out, ("overlay",))):
        assert ("1_overlay.mp4" in files(out)) == (result.item.path.name != "1.mp4")
    assert files(out) == {"1_overlay.mp4", "2_overlay.jpg", "4_overlay.mp4"}


def test_a_video_whose_size_changes(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = tmp_path / "in" / "clip.ts"
    clip.parent.mkdir()
    for first, (height, width) in ((0, (48, 64)), (4, (56, 80))):  # as when a broadcast goes on in another size
        with av.open(tmp_path / "part.ts", "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(first, first + 4):
                frame = av.VideoFrame.from_ndarray(noise(height, width), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with clip.open("ab") as file:
            file.write((tmp_path / "part.ts").read_bytes())
    save_image(clip.with_name("later.png"), noise(40, 56))
    items = find_media([clip.parent])
    results = list(predict(items, segmenter, Outputs(tmp_path / "out", ("colour", "classmap"))))
    (bad,) = (result for result in results if isinstance(result, BadFrame))
    assert "clip.ts: its size changes to 56x80 at frame 4: " in str(bad.error)
    assert len(results) == 4 + 1 + 4 + 1
    assert [image.shape for image in read_video(tmp_path / "out" / "clip_colour.mp4")] == [(48, 64, 3)] * 4
    assert {f"clip_{index:06}.png" for index in range(8)} | {"later.png"} <= files(tmp_path / "out")
    assert all(isinstance(result, Prediction) for result in predict(items, segmenter, Outputs(tmp_path, ("classmap",))))


def test_stopping_early_leaves_no_half_of_a_video(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(predict(items, segmenter, Outputs(out, ("overlay", "colour")), workers=2)) as results:
        for _ in range(3):
            next(results)
    assert files(out) == set()


def test_nothing_is_asked_for_nothing_is_written(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    results = list(predict(items, segmenter, Outputs(tmp_path / "out")))
    assert len(results) == 12
    assert not (tmp_path / "out").exists()


def test_overlays_in_the_datasets_colours(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "out", ("overlay",), 1.0, palette="dataset", legend=False)
    result = next(result for result in predict(items, segmenter, outputs) if isinstance(result, Prediction))
    colours = result.pictures["overlay"].reshape(-1, 3)
    assert {tuple(colour) for colour in colours.tolist()} <= {*CLASSES.colours, (24, 26, 30)}  # and the lines


def test_videos_may_have_other_results_than_images(
    items: list[MediaItem], segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results = list(predict(items, segmenter, Outputs(out, ("ids",), video_kinds=("overlay", "ids")), cut=Cut(every=3)))
    stems = ["1_000000", "1_000003", "1_000006", "2", "4_000000"]
    assert [result.frame.stem for result in results if isinstance(result, Prediction)] == stems
    assert files(out) == {f"{stem}_ids.png" for stem in stems} | {"1_overlay.mp4", "4_overlay.mp4"}
    with Image.open(out / "2_ids.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.array(picture), segmenter(noise_of(items, "2.png")).class_map)
    assert len(list(read_video(out / "1_overlay.mp4"))) == 3


def noise_of(items: list[MediaItem], name: str) -> npt.NDArray[np.uint8]:
    (item,) = (item for item in items if item.path.name == name)
    return read_image(item.path)


def test_ctrl_c_keeps_the_frames_done(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = predict(items, segmenter, Outputs(out, ("overlay", "colour")), workers=2)
    for _ in range(3):
        next(results)
    with pytest.raises(Stopped) as stopped:
        results.throw(KeyboardInterrupt())
    assert stopped.value.frames == 3
    assert stopped.value.videos == [out / "1_overlay.mp4", out / "1_colour.mp4"]
    assert files(out) == {"1_overlay.mp4", "1_colour.mp4"}
    assert [len(list(read_video(video))) for video in stopped.value.videos] == [3, 3]


def test_ctrl_c_without_a_video(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    results = predict(items, segmenter, Outputs(tmp_path / "out", ("classmap",)))
    next(results)
    with pytest.raises(KeyboardInterrupt) as stopped:
        results.throw(KeyboardInterrupt())
    assert not isinstance(stopped.value, Stopped)
    assert files(tmp_path / "out") <= {f"1_{index:06}.png" for index in range(3)}  # those worked on, whole


@pytest.mark.parametrize("cut", [ALL, Cut(start_s=0.1, end_s=0.5), Cut(start_s=0.1, every=2)])
def test_times_and_sound_reach_the_video(cut: Cut, segmenter: Segmenter, tmp_path: Path) -> None:
    ticks = [0, 40, 100, 110, 300, 340, 500, 520]  # milliseconds
    film = write_film(tmp_path / "in" / "film.mp4", ticks)
    out = tmp_path / "out"
    results = list(predict(find_media([film]), segmenter, Outputs(out, ("overlay",)), cut=cut))
    shown = [round(1000 * result.frame.time_s) for result in results if isinstance(result, Prediction)]
    assert shown == [tick for tick in ticks if cut.start_s * 1000 <= tick < (cut.end_s or 9) * 1000][:: cut.every]
    written = [round(1000 * frame.time_s) for frame in video_frames(out / "film_overlay.mp4")]
    assert written == [tick - shown[0] for tick in shown]
    with av.open(out / "film_overlay.mp4") as container, av.open(film) as source:
        sound = container.streams.audio[0]
        expected = (cut.end_s or 0.6) - cut.start_s
        assert float(sound.duration * sound.time_base) == pytest.approx(float(expected), abs=0.05)
        packets = [bytes(packet) for packet in container.demux(sound) if packet.size]
        assert set(packets) <= {bytes(packet) for packet in source.demux(audio=0)}


def write_film(path: Path, ticks: list[int]) -> Path:
    """Frames at these milliseconds, and 0.6 s of noise to be heard."""
    path.parent.mkdir()
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(noise(48, 64), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for block in range(28):
            heard = np.random.default_rng(block).uniform(-0.5, 0.5, (1, 1024)).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(heard, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 48000, 1024 * block, Fraction(1, 48000)
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    return path
