"""Batches: every sample once an epoch, the same from any step on, wherever the samples are kept."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
import torch
from fake_training import CLASSES, Shades
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.data.base import Sample
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.labels import IGNORE
from bcpnet.training import batches
from bcpnet.training.batches import Batches, Example, Examples, RunSampler, label_of, mix, shrunk, steps_per_epoch

CPU = torch.device("cpu")
MIXED = ((32, 48), (48, 32), (32, 40))

a_number = st.integers(1, 12)


def _assert_permutations(epochs: list[list[int]], samples: int, batch: int) -> None:
    """Each epoch has every sample once. Less than a batch is left out; fewer samples than a batch are repeated as
    evenly as can be.
    """
    for epoch in epochs:
        counts = Counter(epoch)
        assert set(counts) <= set(range(samples))
        if samples >= batch:
            assert max(counts.values()) == 1
            assert samples - len(counts) < batch
        else:
            assert len(counts) == samples
            assert max(counts.values()) - min(counts.values()) <= 1
    if samples >= 20:
        assert epochs[0] != epochs[1] != epochs[2]


@given(samples=st.integers(1, 60), batch=a_number, seed=st.integers(0, 3))
def test_every_epoch_is_a_permutation_of_its_own(samples: int, batch: int, seed: int) -> None:
    per_epoch = steps_per_epoch(samples, batch)
    sampler = RunSampler(samples, batch, batch, range(0), seed)
    epochs = [
        [index for step in range(epoch * per_epoch, (epoch + 1) * per_epoch) for index in sampler.of_step(step)]
        for epoch in range(3)
    ]
    _assert_permutations(epochs, samples, batch)


@given(
    samples=st.integers(1, 60), labelled=a_number, unlabelled=st.integers(1, 60), others=a_number,
    seed=st.integers(0, 3),
)  # fmt: skip
def test_unlabelled_samples_have_epochs_of_their_own(
    samples: int, labelled: int, unlabelled: int, others: int, seed: int
) -> None:
    """Beside them a run sees what it sees without them, in the same order."""
    batch = labelled + others
    sampler = RunSampler(samples, batch, batch, range(0), seed, unlabelled=unlabelled, unlabelled_batch=others)
    alone = RunSampler(samples, labelled, labelled, range(0), seed)
    per_epoch = steps_per_epoch(unlabelled, others)
    epochs: list[list[int]] = [[], [], []]
    for step in range(3 * per_epoch):
        indices = sampler.of_step(step)
        assert [index for index in indices if index < samples] == alone.of_step(step)
        of_step = [index - samples for index in indices if index >= samples]
        assert len(of_step) == others
        epochs[step // per_epoch] += of_step
    _assert_permutations(epochs, unlabelled, others)


def test_unlabelled_samples_do_not_follow_the_labelled_ones() -> None:
    """Were both in one order, an image would meet the same others in every epoch."""
    sampler = RunSampler(40, 20, 20, range(0), 0, unlabelled=40, unlabelled_batch=10)
    for epoch in range(3):
        indices = sampler.of_step(4 * epoch)
        assert {index for index in indices if index < 40} != {index - 40 for index in indices if index >= 40}


@pytest.mark.parametrize("world", [1, 2])
@given(micro=st.integers(2, 8), accumulate=st.integers(1, 4), data=st.data())
def test_every_micro_batch_has_its_share_of_both(world: int, micro: int, accumulate: int, data: st.DataObject) -> None:
    """Batch norm sees both kinds together, and the labels count alike on every device."""
    batch = micro * accumulate * world
    others = data.draw(st.integers(1, batch - 1))
    for rank in range(world):
        mixed = {"unlabelled": 60, "unlabelled_batch": others}
        for indices in RunSampler(60, batch, micro, range(1), 0, rank, world, **mixed):
            assert abs(sum(index >= 60 for index in indices) - micro * others / batch) <= 1


@given(
    samples=st.integers(1, 60), micro=a_number, accumulate=a_number, world=st.integers(1, 4), step=st.integers(0, 99),
    data=st.data(),
)  # fmt: skip
def test_ranks_and_micro_batches_share_a_step(
    samples: int, micro: int, accumulate: int, world: int, step: int, data: st.DataObject
) -> None:
    batch = micro * accumulate * world
    mixed = {"unlabelled": 50, "unlabelled_batch": data.draw(st.integers(0, batch - 1))}
    whole = RunSampler(samples, batch, micro, range(0), 0, **mixed).of_step(step)
    dealt = []
    for rank in range(world):
        lists = list(RunSampler(samples, batch, micro, range(step, step + 1), 0, rank, world, **mixed))
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


def _examples(dataset: Shades, unlabelled: Shades | None = None) -> Examples:
    return Examples(dataset, 32, unlabelled=unlabelled)


def _sampler(dataset: Shades, unlabelled: Shades | None = None) -> RunSampler:
    """Five steps of two micro-batches; one of two samples has no label where there are such."""
    others = 0 if unlabelled is None else len(unlabelled)
    return RunSampler(len(dataset), 4, 2, range(1, 6), 0, unlabelled=others, unlabelled_batch=2 if others else 0)


def _run(dataset: Shades, workers: int = 0, unlabelled: Shades | None = None) -> list[list[Example]]:
    return list(Batches(_examples(dataset, unlabelled), CPU, workers).run(_sampler(dataset, unlabelled)))


@pytest.mark.parametrize("unlabelled", [None, Shades(5, ((40, 56), (32, 32)), seed=1)], ids=["alone", "unlabelled"])
@pytest.mark.parametrize("sizes_hw", [((32, 48),), MIXED])
@pytest.mark.parametrize("workers", [0, 2])
def test_kept_in_memory_or_read_ahead_is_the_same(
    sizes_hw: tuple[tuple[int, int], ...], workers: int, unlabelled: Shades | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Shades(9, sizes_hw)
    kept = _run(dataset, unlabelled=unlabelled)
    assert sorted(set(dataset.read)) == list(range(9))
    decoded = len(dataset.read)
    monkeypatch.setattr(batches, "_MEMORY_BYTES", 0)
    dataset.read.clear()
    before = torch.get_rng_state()
    ahead = _run(dataset, workers, unlabelled)
    # A resumed run, which skips the steps done, must find the global generator as the whole one does.
    assert torch.equal(torch.get_rng_state(), before)
    assert len(kept) == len(ahead) == 10
    for one, other in zip(kept, ahead, strict=True):
        for example, same in zip(one, other, strict=True):
            assert torch.equal(example.image, same.image)
            assert torch.equal(example.label, same.label)
    assert decoded <= 10  # each sample once, one more to learn the size


def test_batches_are_the_samples_of_the_sampler() -> None:
    """Whatever their sizes: nothing is padded, and nothing smaller than the short side is resized."""
    dataset, unlabelled = Shades(9, (*MIXED, (24, 40))), Shades(5, ((32, 56), (16, 24)), seed=1)
    for indices, examples in zip(_sampler(dataset, unlabelled), _run(dataset, unlabelled=unlabelled), strict=True):
        for index, (image, label, soft) in zip(indices, examples, strict=True):
            sample = dataset.samples[index] if index < 9 else unlabelled.samples[index - 9]
            assert soft is None
            assert image.dtype == label.dtype == torch.uint8
            assert np.array_equal(image.permute(1, 2, 0).numpy(), sample.image)
            # What its own folder says is no label of this training's classes.
            expected = sample.label if index < 9 else np.full(sample.image.shape[:2], IGNORE)
            assert np.array_equal(label.numpy(), expected)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_soft_labels_stay_with_their_samples(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MEMORY_BYTES", memory)
    dataset, unlabelled = Shades(9), Shades(5, MIXED, seed=1)
    soft = np.random.default_rng(0).integers(0, 256, (14, 3, 8, 12), np.uint8)
    sampler = _sampler(dataset, unlabelled)
    feed = list(Batches(Examples(dataset, 32, soft, unlabelled), CPU, 1).run(sampler))
    seen = set()
    for indices, examples in zip(sampler, feed, strict=True):
        for index, example in zip(indices, examples, strict=True):
            assert example.soft is not None
            assert np.array_equal(example.soft.numpy(), soft[index])
        seen |= {*indices}
    assert max(seen) >= 9 > min(seen)


def test_larger_images_are_shrunk_as_prediction_does() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 90, 3), np.uint8)
    label = rng.integers(0, 3, (50, 90), np.uint8)
    small, small_label = shrunk(image, label, 32)
    assert small.shape == (32, 56, 3)
    assert np.array_equal(small, preprocess(image, (32, 56)))
    rows, columns = ((np.arange(32) + 0.5) * 50 / 32).astype(int), ((np.arange(56) + 0.5) * 90 / 56).astype(int)
    assert np.array_equal(small_label, label[rows][:, columns])  # the nearest of the pixels
    same = shrunk(small, small_label, 32)
    assert same[0] is small
    assert same[1] is small_label


@given(height=st.integers(8, 100), width=st.integers(8, 100), short_side=st.sampled_from([32, 48, 64]))
def test_no_image_is_enlarged(height: int, width: int, short_side: int) -> None:
    """That is for the crop to do, once. A larger one ends at the short side, label and all."""
    image, label = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    small, small_label = shrunk(image, label, short_side)
    assert small.shape[:2] == small_label.shape
    if min(height, width) <= short_side:
        assert small is image
        assert small_label is label
    else:
        assert small.shape[:2] == network_size_hw((height, width), short_side)
        assert min(small.shape[:2]) == short_side


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_pixels_per_class(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the labelled samples alone: the others have no say in how rare a class is."""
    monkeypatch.setattr(batches, "_MEMORY_BYTES", memory)
    dataset = Shades(6, MIXED)
    stacked = np.concatenate([np.ravel(sample.label) for sample in dataset.samples])
    expected = [int((stacked == index).sum()) for index in range(len(CLASSES))]
    for unlabelled in (None, Shades(5, seed=1)):
        assert Batches(_examples(dataset, unlabelled), CPU, 0).pixels_per_class().tolist() == expected


def test_an_empty_split_is_refused() -> None:
    for unlabelled in (None, Shades(5)):
        with pytest.raises(InputError, match="training split is empty"):
            _examples(Shades(0), unlabelled)


def test_labels_are_checked() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    label = np.array([[0, 2], [IGNORE, 1]], np.uint8)
    assert label_of(Sample(image, label, "fine"), 3) is label
    with pytest.raises(InputError, match=r"^fine: label value 2: the classes are 0 to 1, 255 is ignored$"):
        label_of(Sample(image, label, "fine"), 2)
    with pytest.raises(InputError, match=r"^bare: has no label$"):
        label_of(Sample(image, None, "bare"), 2)


def test_reading_ahead_needs_no_process_and_no_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which a container may have little; and closed early, it leaves no thread."""
    monkeypatch.setattr(batches, "_MEMORY_BYTES", 0)
    before = set(threading.enumerate())
    with closing(Batches(_examples(Shades(9)), CPU, 2).run(_sampler(Shades(9)))) as feed:
        assert len(next(feed)) == 2
        assert multiprocessing.active_children() == []
        assert set(threading.enumerate()) > before
        assert not any(example.image.is_shared() for example in next(feed))
    assert set(threading.enumerate()) == before


class _Unreadable(Shades):
    """Its second image is broken."""

    def __getitem__(self, index: int) -> Sample:
        if index == 1:
            raise InputError("broken.png: not an image")
        return super().__getitem__(index)


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
    with pytest.raises(InputError, match=r"^broken\.png: not an image$"):
        _run(Shades(8), workers, _Unreadable(4))
