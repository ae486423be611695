"""Batches: every sample once an epoch, the same from any step on, wherever the samples are kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from fake_training import CLASSES, Shades
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.data.base import Sample
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE
from bcpnet.preprocess import preprocess
from bcpnet.training import batches
from bcpnet.training.batches import Batch, Batches, RunSampler, collate, label_of, mix, resized, steps_per_epoch

CPU = torch.device("cpu")
MIXED = ((32, 48), (48, 32), (32, 40))

a_number = st.integers(1, 12)


@given(samples=st.integers(1, 60), batch=a_number, seed=st.integers(0, 3))
def test_every_epoch_is_a_permutation_of_its_own(samples: int, batch: int, seed: int) -> None:
    per_epoch = steps_per_epoch(samples, batch)
    sampler = RunSampler(samples, batch, batch, range(0), seed)
    epochs = []
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        epochs.append([index for step in steps for index in sampler.of_step(step)])
        counts = Counter(epochs[-1])
        assert set(counts) <= set(range(samples))
        # Less than a batch is left out; a split smaller than a batch is repeated as evenly as can be.
        if samples >= batch:
            assert max(counts.values()) == 1
            assert samples - len(counts) < batch
        else:
            assert len(counts) == samples
            assert max(counts.values()) - min(counts.values()) <= 1
    if samples >= 20:
        assert epochs[0] != epochs[1] != epochs[2]


@given(
    samples=st.integers(1, 60), micro=a_number, accumulate=a_number, world=st.integers(1, 4), step=st.integers(0, 99)
)
def test_ranks_and_micro_batches_share_a_step(samples: int, micro: int, accumulate: int, world: int, step: int) -> None:
    batch = micro * accumulate * world
    whole = RunSampler(samples, batch, micro, range(0), 0).of_step(step)
    dealt = []
    for rank in range(world):
        lists = list(RunSampler(samples, batch, micro, range(step, step + 1), 0, rank, world))
        assert [len(one) for one in lists] == [micro] * accumulate
        dealt += [index for one in lists for index in one]
    assert Counter(dealt) == Counter(whole)


@given(start=st.integers(0, 20), seed=st.integers(0, 3))
def test_from_any_step_on_it_is_the_same_run(start: int, seed: int) -> None:
    whole = list(RunSampler(13, 4, 2, range(20), seed))
    rest = list(RunSampler(13, 4, 2, range(start, 20), seed))
    assert rest == whole[2 * start :]


def test_another_seed_is_another_order() -> None:
    assert list(RunSampler(50, 5, 5, range(10), 0)) != list(RunSampler(50, 5, 5, range(10), 1))


def test_seeds_are_spread() -> None:
    seeds = {mix(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert mix(3, 5) == mix(3, 5)
    assert mix(-1) >= 0


def _run(dataset: Shades, workers: int = 0, short_side: int = 32) -> list[Batch]:
    feed = Batches(dataset, short_side, CPU, workers)
    return list(feed.run(RunSampler(len(dataset), 4, 2, range(1, 6), 0)))


@pytest.mark.parametrize("sizes_hw", [((32, 48),), MIXED])
@pytest.mark.parametrize("workers", [0, 2])
def test_kept_in_memory_or_read_ahead_is_the_same(
    sizes_hw: tuple[tuple[int, int], ...], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Shades(9, sizes_hw)
    kept = _run(dataset)
    assert sorted(set(dataset.read)) == list(range(9))
    decoded = len(dataset.read)
    monkeypatch.setattr(batches, "_MEMORY_BYTES", 0)
    dataset.read.clear()
    before = torch.get_rng_state()
    ahead = _run(dataset, workers)
    # A resumed run, which skips the steps done, must find the global generator as the whole one does.
    assert torch.equal(torch.get_rng_state(), before)
    assert len(kept) == len(ahead) == 10
    for one, other in zip(kept, ahead, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert decoded <= 10  # each sample once, one more to learn the size


def test_batches_are_the_samples_of_the_sampler() -> None:
    dataset = Shades(9)
    for indices, (images, labels, _) in zip(RunSampler(9, 4, 2, range(1, 6), 0), _run(dataset), strict=True):
        for index, image, label in zip(indices, images, labels, strict=True):
            assert np.array_equal(image.permute(1, 2, 0).numpy(), dataset.samples[index].image)
            assert np.array_equal(label.numpy(), dataset.samples[index].label)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_soft_labels_stay_with_their_samples(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MEMORY_BYTES", memory)
    soft = np.random.default_rng(0).integers(0, 256, (9, 3, 8, 12), np.uint8)
    sampler = RunSampler(9, 4, 2, range(1, 6), 0)
    for indices, batch in zip(sampler, Batches(Shades(9), 32, CPU, 1, soft).run(sampler), strict=True):
        assert batch.soft is not None
        assert np.array_equal(batch.soft.numpy(), soft[indices])


def test_mixed_sizes_are_padded_right_and_below() -> None:
    small = Batch(torch.full((3, 2, 5), 7, dtype=torch.uint8), torch.ones(2, 5, dtype=torch.uint8), None)
    tall = Batch(torch.full((3, 4, 3), 9, dtype=torch.uint8), torch.zeros(4, 3, dtype=torch.uint8), None)
    images, labels, soft = collate([small, tall])
    assert soft is None
    assert images.shape == (2, 3, 4, 5)
    assert labels.shape == (2, 4, 5)
    assert torch.equal(images[0, :, :2], small[0])
    assert torch.equal(labels[1, :, :3], tall[1])
    outside = labels == IGNORE
    assert outside.sum() == 2 * 5 + 4 * 2
    assert (images.permute(0, 2, 3, 1)[outside] == 128).all()  # the mean: zero after normalisation


def test_images_are_resized_as_prediction_does() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 90, 3), np.uint8)
    label = rng.integers(0, 3, (50, 90), np.uint8)
    small, small_label = resized(image, label, 32)
    assert small.shape == (32, 56, 3)
    expected = preprocess(image, (32, 56))
    assert np.array_equal(small, expected)
    assert small_label.shape == (32, 56)
    assert set(np.unique(small_label)) <= {0, 1, 2}
    same = resized(small, small_label, 32)
    assert same[0] is small
    assert same[1] is small_label


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_pixels_per_class(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MEMORY_BYTES", memory)
    dataset = Shades(6, MIXED)
    stacked = np.concatenate([np.ravel(sample.label) for sample in dataset.samples])
    expected = [int((stacked == index).sum()) for index in range(len(CLASSES))]
    assert Batches(dataset, 32, CPU, 0).pixels_per_class().tolist() == expected


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match="training split is empty"):
        Batches(Shades(0), 32, CPU, 0)


def test_labels_are_checked() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    label = np.array([[0, 2], [IGNORE, 1]], np.uint8)
    assert label_of(Sample(image, label, "fine"), 3) is label
    with pytest.raises(InputError, match=r"^fine: label value 2: the classes are 0 to 1, 255 is ignored$"):
        label_of(Sample(image, label, "fine"), 2)
    with pytest.raises(InputError, match=r"^bare: has no label$"):
        label_of(Sample(image, None, "bare"), 2)


@pytest.mark.parametrize("memory", [0, 1 << 30])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_sample_is_one_clear_line(memory: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MEMORY_BYTES", memory)
    dataset = Shades(8)
    wrong = dataset.samples[5]._replace(label=np.full((32, 48), 7, np.uint8))
    dataset.samples[5] = wrong
    with pytest.raises(InputError) as raised:
        _run(dataset, workers)
    assert str(raised.value) == "shades_5: label value 7: the classes are 0 to 2, 255 is ignored"
