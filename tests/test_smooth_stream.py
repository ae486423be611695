"""`Segmenter.stream(smooth=True)` and `bcpnet predict --smooth`: in order, video by video, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from media_files import write_clip
from test_segmenter import BrightestChannel

from bcpnet.errors import InputError
from bcpnet.frames.confidence import softmax
from bcpnet.frames.smoothing import Smoother
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.media.sources import BadFrame, find_media
from bcpnet.prediction.outputs import Outputs
from bcpnet.prediction.predict import Prediction, predict
from bcpnet.segmenter import Segmentation, Segmenter

Frame = npt.NDArray[np.uint8]


class Flickering(BrightestChannel):
    """Says "blue" now and then, as networks do."""

    def __call__(self, images: Frame) -> npt.NDArray[np.float32]:
        logits = super().__call__(images) / 32
        noise = np.random.default_rng(int(images.sum())).normal(0, 2, logits.shape)
        return (logits + noise).astype(np.float32)


def frames(count: int = 12, height: int = 64, width: int = 96) -> list[Frame]:
    """A still picture, whose noise makes every frame another."""
    rng = np.random.default_rng(0)
    picture = np.repeat(np.repeat(rng.integers(60, 200, (height // 8, width // 8, 3)), 8, 0), 8, 1)
    return [np.clip(picture + rng.normal(0, 1, picture.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def changes(maps: list[npt.NDArray[np.uint8]]) -> float:
    return float(np.mean([np.mean(a != b) for a, b in pairwise(maps)]))


@pytest.mark.parametrize("workers", [1, 3])
def test_steadier_and_the_same_with_any_number_of_workers(workers: int) -> None:
    segmenter = Segmenter(Flickering(), size_hw=(64, 96))
    plain = [result.class_map for result in segmenter.stream(frames(), workers)]
    smooth = list(segmenter.stream(frames(), workers, smooth=True))
    assert changes([result.class_map for result in smooth]) < changes(plain) / 2
    smoother = Smoother()
    for frame, result in zip(frames(), smooth, strict=True):
        expected = smoother(frame, Flickering()(frame[None])[0])
        np.testing.assert_allclose(result.probabilities, expected / expected.sum(axis=0), atol=1e-5)
        np.testing.assert_array_equal(result.class_map, upsample_argmax(expected, (64, 96)))
        assert result.class_map.shape == (64, 96)
        assert list(result.timings_ms) == ["pre", "network", "smooth", "post"]


def test_streams_and_calls_know_nothing_of_each_other() -> None:
    segmenter = Segmenter(Flickering(), size_hw=(64, 96))
    first, second = ([result.class_map for result in segmenter.stream(frames(), smooth=True)] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    alone = segmenter(frames()[5]).class_map
    assert (alone != first[5]).any()
    np.testing.assert_array_equal(segmenter.batch(frames()[5:6])[0].class_map, alone)


@pytest.mark.parametrize("workers", [1, 3])
def test_sizes_may_change_and_an_error_comes_at_its_place(workers: int) -> None:
    def source() -> Iterator[Frame]:
        yield from frames(2)
        yield from frames(2, 128, 64)
        yield np.zeros((3, 3), np.uint8)
        yield from frames(6)

    with closing(Segmenter(Flickering()).stream(source(), workers, smooth=True)) as results:
        shapes = [next(results).class_map.shape for _ in range(4)]
        assert shapes == [(64, 96)] * 2 + [(128, 64)] * 2
        with pytest.raises(InputError, match=r"\(3, 3\)"):
            next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_predict_smooths_each_video_by_itself(tmp_path: Path, workers: int) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_clip(tmp_path / "in" / f"{name}.mp4", count=5)
    segmenter = Segmenter(Flickering(), size_hw=(64, 96))

    def results(smooth: bool, *names: str) -> list[Segmentation]:
        items = find_media([str(tmp_path / "in" / name) for name in names])
        outputs = Outputs(tmp_path / "out", [], video_kinds=[])
        found = list(predict(items, segmenter, outputs, workers, smooth=smooth))
        assert all(isinstance(result, Prediction) for result in found)
        return [result.segmentation for result in found if not isinstance(result, BadFrame)]

    both = results(True, "a.mp4", "b.mp4")
    assert len(both) == 10
    for result, alone in zip(both[5:], results(True, "b.mp4"), strict=True):
        np.testing.assert_array_equal(result.class_map, alone.class_map)
    plain = results(False, "b.mp4")
    np.testing.assert_allclose(both[5].probabilities, softmax(plain[0].logits), atol=1e-5)
    assert any((a.class_map != b.class_map).any() for a, b in zip(both[6:], plain[1:], strict=True))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bcpnet.cli import main

    clip = write_clip(tmp_path / "clip.mp4", count=3, size_hw=(64, 96))
    out = str(tmp_path / "out")
    assert main(["predict", str(clip), "--smooth", "--json", "--save", "ids", "--out", out, "--size", "64x96"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert all("smooth" in line["ms"] for line in lines)
