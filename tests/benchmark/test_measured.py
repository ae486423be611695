"""Beside time: multiply-adds, ceilings. And what is measured at all: scenes, videos, prepared networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.backends import open_backend
from bcpnet.benchmark.ceilings import CeilingMeter, Ceilings
from bcpnet.benchmark.macs import count_macs
from bcpnet.benchmark.scenes import draw_scenes, write_clip
from bcpnet.benchmark.table import format_ceilings, format_stages, format_video
from bcpnet.benchmark.timing import FrameTimes, Timing
from bcpnet.benchmark.video import time_video
from bcpnet.errors import InputError, UsageError
from bcpnet.media.video import read_video
from bcpnet.native import LEVELS, kernels, library
from bcpnet.native.int8 import LEVELS as INT8_LEVELS
from bcpnet.native.int8 import int8_kernels


@pytest.mark.parametrize("size_hw", [(64, 96), (45, 67)])
def test_multiply_adds_are_those_that_pytorch_counts(size_hw: tuple[int, int]) -> None:
    pytest.importorskip("torch", reason="the other count is PyTorch's")
    from bcpnet.networks import info
    from bcpnet.networks.checkpoint import load_checkpoint
    from bcpnet.networks.fold import fold
    from bcpnet.weights import path_of

    network, _ = load_checkpoint(path_of("camvid", ".safetensors"))
    macs = info.count_macs(fold(network).to("meta"), size_hw)
    assert count_macs("camvid", size_hw) == (macs, False)
    assert count_macs("camvid-int8", size_hw) == (macs, True)


def test_multiply_adds_of_a_checkpoint_are_not_known(tmp_path: Path) -> None:
    assert count_macs(tmp_path / "any.safetensors", (64, 64)) is None


def test_ceilings_are_the_best_that_was_seen() -> None:
    with CeilingMeter(1) as meter:
        meter.measure()
        meter.measure()
        best = meter.best()
        assert best.threads == 1
        peaks, copied, int8_peaks = zip(*meter._seen, strict=True)
        assert best.copy_gb_per_s == max(copied)
        assert 0 < best.copy_gb_per_s < 10_000
        if library() is None:
            assert best.peak_gflops is best.int8_peak_gops is best.int8_level is None
        else:
            assert best.peak_gflops == max(peaks)
            assert 0 < best.peak_gflops < 10_000
            assert best.int8_peak_gops == max(int8_peaks)
            assert 0 < best.int8_peak_gops < 100_000
            assert best.int8_level in INT8_LEVELS


def test_share_of_the_peak() -> None:
    assert Ceilings(1, 50.0, 1.0).share_of_peak(macs=100_000_000, ms=8.0) == pytest.approx(0.5)
    assert Ceilings(1, None, 1.0).share_of_peak(macs=100_000_000, ms=8.0) is None


def test_the_share_of_8_bit_rows_is_of_the_integer_peak() -> None:
    ceilings = Ceilings(1, 50.0, 1.0, 200.0, "avx2")
    assert ceilings.share_of_peak(macs=100_000_000, ms=8.0, int8=True) == pytest.approx(0.125)
    assert Ceilings(1, 50.0, 1.0).share_of_peak(macs=100_000_000, ms=8.0, int8=True) is None
    text = format_ceilings(ceilings)
    assert "50 GFLOP/s (float32" in text
    assert "200 GOP/s (8-bit multiply-adds, avx2)" in text


@pytest.mark.parametrize("level", INT8_LEVELS)
def test_the_integer_peak_counts_what_was_done(level: str) -> None:
    loaded, handle = library(), int8_kernels(level)
    if loaded is None or handle is None:
        pytest.skip(f"this CPU has no {level}")
    for count in (0, 1, 12_345):
        done = loaded.bcpnet_int8_multiply_adds(handle, count)
        assert count < done <= count + 10 * 64
        assert done % (4 * loaded.bcpnet_int8_lanes(handle)) == 0


@pytest.mark.skipif(library() is None, reason="the C library is not compiled")
@pytest.mark.parametrize("level", LEVELS)
def test_the_peak_counts_what_was_done(level: str) -> None:
    """By how many multiply-adds it says it did: at least as many as asked for, and no whole round more."""
    loaded, handle = library(), kernels(level)
    if handle is None:
        pytest.skip(f"this CPU has no {level}")
    assert loaded is not None
    for count in (0, 1, 12_345):
        done = loaded.bcpnet_multiply_adds(handle, count)
        assert count < done <= count + 10 * 16
        assert done % loaded.bcpnet_lanes(handle) == 0


def test_scenes_differ() -> None:
    scenes = draw_scenes((40, 64))
    assert {scene.shape for scene in scenes} == {(40, 64, 3)}
    assert len({scene.tobytes() for scene in scenes}) == len(scenes) > 1


def test_a_video_as_predict_sees_it_and_stage_by_stage(onnx_path: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, (48, 64), 8)
    assert len(list(read_video(clip))) == 8
    row = time_video(clip, str(onnx_path), "onnxruntime", size_hw=(32, 64), threads=2, save=("overlay", "classmap"))
    assert (row.ran, row.frame_hw, row.overlapped.frames, row.one_by_one.frames) == ("onnxruntime", (48, 64), 8, 5)
    assert row.overlapped.workers * row.overlapped.threads <= 2
    assert {"decode", "pre", "network", "post", "draw"} <= set(row.overlapped.stage_ms)
    stages = row.one_by_one.stages
    assert list(stages) == ["decode", "pre", "network", "post", "draw", "encode", "other"]
    assert sum(times.mean_ms for times in stages.values()) == pytest.approx(row.one_by_one.wall.mean_ms)
    assert row.as_dict()["fps"] == pytest.approx(8 / row.overlapped.wall_s)
    text = format_video(row)
    assert "48x64 video, network at 32x64, overlay classmap" in text
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_nothing_saved_and_an_unknown_kind(onnx_path: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, (48, 64), 5)
    row = time_video(clip, str(onnx_path), "onnxruntime", size_hw=(32, 64))
    assert list(row.one_by_one.stages) == ["decode", "pre", "network", "post", "other"]
    with pytest.raises(UsageError, match="'sheet'"):
        time_video(clip, str(onnx_path), "onnxruntime", save=("sheet",))  # type: ignore[arg-type]


def test_videos_that_cannot_be_timed(onnx_path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    write_clip(short, (48, 64), 3)
    with pytest.raises(InputError, match=r"short\.mp4: too short to time: 3 frames, need more than 3"):
        time_video(short, str(onnx_path), "onnxruntime")
    write_clip(tmp_path / "another.mp4", (48, 64), 3)
    with pytest.raises(InputError, match=r"\*\.mp4: need one video file"):
        time_video(tmp_path / "*.mp4", str(onnx_path), "onnxruntime")


def test_the_table_of_stages() -> None:
    samples = []
    for network in (10.0, 20.0):
        stages = {"pre": 1.0, "network": network, "post": 2.0, "other": 0.5}
        samples.append(FrameTimes(stages, sum(stages.values()), sum(stages.values())))
    lines = format_stages(Timing.of(samples)).splitlines()
    assert lines[2].split() == ["network", "15.00", "15.00", "19.50", "19.90", "81.1", "%"]
    assert lines[-2].split() == ["wall", "18.50", "18.50", "23.00", "23.40", "100.0", "%"]
    assert lines[-1] == "54.1 frames/s from frame in to class map out, 54.1 with every stage (2 frames)"


@pytest.fixture(scope="module")
def scenes() -> list[npt.NDArray[np.uint8]]:
    return draw_scenes((96, 160))


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export takes seconds, and tests of its own and of the command line go through it."""
    pytest.importorskip("torch", reason="networks need PyTorch")
    from bcpnet.benchmark import networks

    monkeypatch.setattr(networks, "export_onnx", lambda *_: 0.0)


@pytest.mark.usefixtures("no_export")
def test_a_network_of_random_weights(scenes: list[npt.NDArray[np.uint8]], tmp_path: Path) -> None:
    from bcpnet.benchmark.networks import random_network

    prepared = random_network("bcpnet", 19, scenes, tmp_path)
    assert prepared.parameters == 607_826
    logits = open_backend(prepared.weights("pytorch"), "pytorch")(scenes[0][None])
    assert logits.shape == (1, 19, 12, 20)
    assert 0.1 < logits.std() < 100  # signals neither die on the way nor explode
    assert {prepared.weights(name).name for name in (None, "native", "auto", "baseline")} == {"bcpnet.onnx"}


@pytest.mark.usefixtures("no_export")
def test_weights_with_more_classes(scenes: list[npt.NDArray[np.uint8]], tmp_path: Path) -> None:
    """Twins share the pixels of their class, and nothing else changes."""
    from bcpnet.benchmark.networks import widen

    wide = open_backend(widen("camvid", 19, tmp_path).weights("pytorch"))
    assert len(wide.metadata.classes) == 19
    images = np.stack(scenes)
    new_logits, old_logits = wide(images), open_backend("camvid", "pytorch")(images)
    assert np.abs(new_logits[:, :11] - old_logits).max() < 1e-3
    new, before = new_logits.argmax(1), old_logits.argmax(1)
    assert (new >= 11).any()
    assert np.mean(new % 11 == before) > 0.9  # a twin can outdo a rival that its class does not


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize("classes", [10, 23])
def test_more_classes_than_twice(classes: int, tmp_path: Path) -> None:
    from bcpnet.benchmark.networks import widen

    with pytest.raises(UsageError, match="up to 22"):
        widen("camvid", classes, tmp_path)
