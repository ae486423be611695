"""What is counted as a flip, and the whole measurement on short drives."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bcpnet import load
from bcpnet.benchmark import stability
from bcpnet.benchmark.stability import flips, format_stability, measure_stability
from bcpnet.cli import main
from bcpnet.data.streets import drive_with_motion


def test_a_flip_is_left_and_back_in_the_next_frame() -> None:
    sequences = {"AABAA": [0, 1, 0], "AABBA": [0, 0, 0], "ABABA": [1, 1, 1], "AABCA": [0, 0, 0], "ABBBB": [0, 0, 0]}
    for letters, expected in sequences.items():
        maps = [np.full((1, 1), ord(letter), np.uint8) for letter in letters]
        assert flips(maps)[:, 0, 0].tolist() == [bool(flip) for flip in expected], letters


def test_labels_are_right_consistent_and_have_no_false_flips() -> None:
    drive = list(drive_with_motion(6, (96, 160), seed=2))
    sums = stability._Sums(11)
    sums.add([moving.sample.label for moving in drive], drive)
    found = sums.stability()
    assert found.miou == found.consistency == 1
    assert found.false_flips == 0
    assert found.flips > 0  # poles that pass


def test_noise_is_counted() -> None:
    drive = list(drive_with_motion(5, (96, 160), seed=2))
    maps = [moving.sample.label.copy() for moving in drive]
    maps[2][:10] = 3  # road in the sky, in one frame
    sums = stability._Sums(11)
    sums.add(maps, drive)
    found = sums.stability()
    share = (drive[2].sample.label[:10] != 3).sum() / (96 * 160) / 3
    assert found.false_flips == pytest.approx(share, rel=0.1)
    assert found.miou < 1
    assert found.consistency < found.miou


def test_smoothing_makes_it_steadier() -> None:
    segmenter = load("camvid", size_hw=(96, 160), threads=1)
    row = measure_stability("camvid", segmenter, 1, 8, [(2, 0.0), (3, 0.2)], (96, 160))
    assert row.smoothed.false_flips < row.plain.false_flips / 2
    assert row.smoothed.consistency > row.plain.consistency
    assert row.frame_ms > 0
    assert json.loads(json.dumps(row.as_dict()))["drives"] == [[2, 0.0], [3, 0.2]]
    assert format_stability([row]).count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "19"], "stability: not with"),
        (["--frames", "2"], "needs at least 3"),
        (["--save", "ids"], "stability: not with"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "stability", *arguments]) == 2
    assert message in capsys.readouterr().err
