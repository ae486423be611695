"""Laws of the synthetic street scenes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from bcpnet.data.streets import Streets, drive, drive_with_motion
from bcpnet.errors import UsageError
from bcpnet.labels import CAMVID, IGNORE

SMALL = (96, 128)


def digest(sample):
    return hashlib.sha256(sample.image.tobytes() + sample.label.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def scenes():
    return list(Streets("train", SMALL, length=40))


def test_same_bytes_whatever_was_drawn_before_and_in_another_process():
    late = digest(Streets("train", SMALL)[3])
    others = Streets("train", SMALL)
    assert digest(others[0]) != digest(others[3])
    assert digest(others[3]) == late
    code = (
        "import hashlib; from bcpnet.data.streets import Streets; s = Streets('train', (96, 128))[3];"
        "print(hashlib.sha256(s.image.tobytes() + s.label.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == late


@pytest.mark.parametrize("size_hw", [(32, 32), (33, 47), (200, 40), (40, 200), (360, 480)])
def test_any_size(size_hw):
    sample = Streets("test", size_hw)[0]
    assert sample.image.shape == (*size_hw, 3)
    assert sample.image.dtype == np.uint8
    assert sample.label.shape == size_hw
    assert sample.label.dtype == np.uint8
    assert len(np.unique(sample.label)) >= 4


def test_a_size_shows_the_same_street():
    """Sizes differ in sampling only: the larger label, reduced, is nearly the smaller one."""
    small, large = Streets("train", (96, 128))[5].label, Streets("train", (288, 384))[5].label
    assert np.mean(small == large[1::3, 1::3]) > 0.85


def test_labels_are_train_ids(scenes):
    values = np.unique([scene.label for scene in scenes])
    assert set(values.tolist()) <= {*range(len(CAMVID)), IGNORE}


def test_every_class_is_common(scenes):
    for train_id, name in enumerate(CAMVID.names):
        share = np.mean([(scene.label == train_id).sum() >= 5 for scene in scenes])
        assert share > 0.5, f"{name} is in {share:.0%} of the scenes"


def test_no_class_takes_over(scenes):
    shares = np.bincount(np.concatenate([s.label.ravel() for s in scenes]), minlength=11) / (40 * 96 * 128)
    assert shares.max() < 0.5  # CamVid's road: a third
    assert shares.min() > 0.001


def test_splits_and_seeds_share_no_scene():
    seen = [
        digest(sample)
        for split, seed in (("train", 0), ("val", 0), ("test", 0), ("train", 1))
        for sample in Streets(split, (48, 64), length=6, seed=seed)
    ]
    assert len(set(seen)) == len(seen)


def test_a_sequence_with_unique_names_that_ends():
    data = Streets("val", (32, 32), length=3)
    assert len(data) == 3
    assert len({sample.name for sample in data}) == 3
    for index in (3, -1):
        with pytest.raises(IndexError):
            data[index]
    assert [len(Streets(split)) for split in ("train", "val", "test")] == [200, 50, 50]


def test_longer_only_adds():
    assert digest(Streets("val", (32, 48), length=9)[2]) == digest(Streets("val", (32, 48), length=3)[2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: Streets("trian"),
        lambda: Streets("train", (31, 64)),
        lambda: Streets("train", length=-1),
        lambda: Streets("train", seed=-1),
        lambda: next(drive(1, (0, 64))),
        lambda: next(drive(-1)),
        lambda: next(drive(1, seed=-1)),
        lambda: next(drive(1, metres_per_frame=-1.0)),
    ],
)
def test_wrong_call(call):
    with pytest.raises(UsageError, match="streets"):
        call()


def test_unknown_split_is_told_the_splits():
    with pytest.raises(UsageError, match=r"'trian'.*train, val, test"):
        Streets("trian")


def test_label_edges_are_image_edges(scenes):
    ratios = []
    for scene in scenes:
        grey = scene.image.astype(np.float32).mean(2)
        step = np.abs(np.diff(grey, axis=1))
        edge = np.diff(scene.label.astype(int), axis=1) != 0
        ratios.append(step[edge].mean() / step[~edge].mean())
    assert np.mean(ratios) > 3


def test_a_label_edge_is_at_the_very_pixel(scenes):
    """Shifting the label by one or two pixels loses contrast between its sides."""

    def contrast(shift):
        total = 0.0
        for scene in scenes:
            grey = scene.image.astype(np.float32).mean(2)
            edge = np.roll(np.diff(scene.label.astype(int), axis=1) != 0, shift, axis=1)
            total += np.abs(np.diff(grey, axis=1))[edge].mean()
        return total

    assert contrast(0) > 1.3 * max(contrast(-2), contrast(2))
    assert contrast(0) > max(contrast(-1), contrast(1))


def test_a_drive_moves_on_smoothly():
    frames = list(drive(12, (96, 160), seed=2))
    assert len({digest(frame) for frame in frames}) == 12
    assert len({frame.name for frame in frames}) == 12
    agreement = [np.mean(a.label == b.label) for a, b in pairwise(frames)]
    assert min(agreement) > 0.85
    assert np.mean(frames[0].label == frames[-1].label) < min(agreement)


def test_a_drive_is_reproducible_and_seeded():
    first, again, other = (digest(list(drive(3, (48, 64), seed=s))[-1]) for s in (4, 4, 5))
    assert first == again != other
    assert list(drive(0)) == []


def test_textures_stay_with_the_street():
    """Standing still, frames differ by sensor noise and by those who move; the rest stays put."""
    first, second = list(drive(2, (96, 160), seed=3, metres_per_frame=0.0))
    change = np.abs(first.image.astype(int) - second.image).max(2)
    assert np.median(change) < 12
    assert np.mean(first.label == second.label) > 0.97


def test_the_frames_of_a_drive_are_the_same_with_motion():
    with_motion = [moving.sample for moving in drive_with_motion(3, (48, 64), seed=4)]
    assert [digest(sample) for sample in with_motion] == [digest(sample) for sample in drive(3, (48, 64), seed=4)]


@pytest.mark.parametrize("pan", [0.0, 0.3])
def test_motion_says_where_things_were(pan):
    """What a pixel shows has the label, and about the colour, that it had where it was."""
    frames = list(drive_with_motion(4, (180, 320), seed=5, pan=pan))
    assert frames[0].before is None
    for earlier, later in pairwise(frames):
        seen = ~np.isnan(later.before[..., 0])
        assert seen.mean() > 0.7
        row, column = np.rint(later.before[seen]).astype(int).T
        assert (earlier.sample.label[row, column] == later.sample.label[seen]).all()
        image, past = later.sample.image.astype(int), earlier.sample.image.astype(int)
        along = np.abs(image[seen] - past[row, column]).mean()
        assert along < 0.6 * np.abs(image - past)[seen].mean()


def test_a_pan_moves_everything_but_the_sky():
    moved = list(drive_with_motion(2, (90, 160), seed=5, metres_per_frame=0.0, pan=0.3))[1]
    seen = ~np.isnan(moved.before[..., 0])
    steps = (moved.before - np.stack(np.mgrid[:90, :160], 2))[..., 1]
    is_sky = moved.sample.label == 0
    assert (steps[seen & is_sky] == 0).all()
    focal = 1.05 * np.sqrt(4 / 3 * 90 * 160)
    expected = focal * np.tan(0.3 * np.sin(2 * np.pi / 50))
    ahead = seen & ~is_sky & (np.abs(np.mgrid[:90, :160][1] - 80) < 10)
    assert np.median(steps[ahead]) == pytest.approx(expected, rel=0.2)
