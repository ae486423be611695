"""The training loop: it learns, it stops and resumes to the bit, it shares its work, and it says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import make_camvid, save
from fake_training import CLASSES, Shades, pointwise, tiny_recipe
from random_networks import random_network
from safetensors.torch import load_file, save_file

from bcpnet.data.base import Sample
from bcpnet.data.camvid import Camvid
from bcpnet.errors import InputError, UsageError
from bcpnet.evaluation.evaluate import evaluate
from bcpnet.labels import ClassSet
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.training import batches
from bcpnet.training import fit as fit_module
from bcpnet.training import initial_weights as initial
from bcpnet.training.fit import Progress, RunInterruptedError, fit
from bcpnet.training.module import learning_rate
from bcpnet.training.recipe import Recipe
from bcpnet.training.resume import saved_recipe

LONG = tiny_recipe(epochs=8, eval_epochs=3)
TRAIN, VAL = Shades(16), Shades(3, ((40, 48),), seed=1)


def _fit(recipe: Recipe, run: Path, **options: Any) -> list[Progress]:
    """Trains on the CPU; the progress of every step."""
    seen: list[Progress] = []
    report: Callable[[Progress], None] = options.pop("report", lambda _: None)

    def both(progress: Progress) -> None:
        seen.append(progress)
        report(progress)

    arguments = {"train": TRAIN, "val": VAL, "accelerator": "cpu", **options}
    fit(recipe, run=run, report=both, **arguments)
    return seen


def _stop_at(step: int, signum: int = signal.SIGTERM) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signum)

    return report


def _state(run: Path) -> dict[str, Any]:
    """All that a run needs to go on, flattened."""

    def flatten(value: Any, name: str = "") -> dict[str, Any]:
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            return {key: leaf for index, part in pairs for key, leaf in flatten(part, f"{name}/{index}").items()}
        return {name: value}

    return flatten({**torch.load(run / "state.pt", weights_only=True), "seconds": 0})


def _assert_same_run(one: Path, other: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    states = _state(one), _state(other)
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, states[1][key]), key
        else:
            assert value == states[1][key], key
    histories = [[{**line, "seconds": 0} for line in _history(run)] for run in (one, other)]
    assert histories[0] == histories[1]


def _history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """A run of eight epochs of four steps, evaluated after every third and at the end."""
    run = tmp_path_factory.mktemp("finished") / "run"
    return run, _fit(LONG, run)


def test_it_learns(finished: tuple[Path, list[Progress]]) -> None:
    losses = [progress.loss for progress in finished[1]]
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:4])


def test_what_a_run_leaves(finished: tuple[Path, list[Progress]]) -> None:
    run, _ = finished
    names = {
        "recipe.json", "last.safetensors", "best.safetensors", "history.jsonl", "samples", "tensorboard", "state.pt"
    }  # fmt: skip
    assert {path.name for path in run.iterdir()} == names
    assert {path.name for path in (run / "samples").iterdir()} == {f"epoch_000{epoch}.jpg" for epoch in (3, 6, 8)}
    assert Recipe(**json.loads((run / "recipe.json").read_text())) == LONG
    _, metadata = load_checkpoint(run / "last.safetensors")
    assert metadata.classes == CLASSES
    assert metadata.short_side == 32
    done = "camvid train, 16 images, from random weights; step 32 of 32 (epoch 8 of 8), seed 0"
    assert metadata.provenance == done
    _, metadata = load_checkpoint(run / "best.safetensors")
    best = max((line for line in _history(run) if "miou" in line), key=lambda line: line["miou"])
    assert metadata.provenance == (
        "camvid train, 16 images, from random weights; "
        f"step {best['step']} of 32 (epoch {best['epoch']} of 8), seed 0, chosen on val"
    )


def test_history_has_one_line_per_epoch(finished: tuple[Path, list[Progress]]) -> None:
    run, seen = finished
    history = _history(run)
    assert [(line["step"], line["epoch"]) for line in history] == [(4 * epoch, epoch) for epoch in range(1, 9)]
    assert [line["epoch"] for line in history if "miou" in line] == [3, 6, 8]
    by_step = {progress.step: progress for progress in seen}
    for line in history:
        step = int(line["step"])
        assert line["loss"] == pytest.approx(np.mean([by_step[step - back].loss for back in range(4)]), rel=1e-12)
        assert line.get("miou", by_step[step].miou) == by_step[step].miou
        assert line["lr"] == learning_rate(LONG, step - 1, 32)


def test_tensorboard_shows_the_history(finished: tuple[Path, list[Progress]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _ = finished
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    for tag, key, unit in (("train/loss", "loss", 1), ("lr", "lr", 1), ("val/miou", "miou", 100)):
        expected = [(line["step"], unit * line[key]) for line in _history(run) if key in line]
        shown = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in shown] == [step for step, _ in expected]
        assert [value for _, value in shown] == pytest.approx([value for _, value in expected], rel=1e-6)
    for name in CLASSES.names:
        shares = [(line["step"], line["iou"][name]) for line in _history(run) if "iou" in line]
        shown = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(f"val/iou/{name}")]
        assert shown == [(step, 100 * share) for step, share in shares if share is not None]
    assert [event.step for event in events.Images("val/samples")] == [12, 24, 32]


def test_seconds_go_on_after_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), tmp_path, val=None, report=_stop_at(5))
    state = torch.load(tmp_path / "state.pt")
    assert state["seconds"] > 0
    torch.save({**state, "seconds": 1000.0}, tmp_path / "state.pt")
    _fit(tiny_recipe(), tmp_path, val=None, resume=True)
    first, last = _history(tmp_path)
    assert first["seconds"] < 1000 <= last["seconds"]


def test_provenance_of_an_interrupted_run(tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        _fit(LONG, tmp_path, report=_stop_at(5))
    _, metadata = load_checkpoint(tmp_path / "last.safetensors")
    assert metadata.provenance.endswith("; step 5 of 32 (epoch 1 of 8), seed 0")


def test_provenance_names_the_run_it_went_on_from(finished: tuple[Path, list[Progress]], tmp_path: Path) -> None:
    first = tmp_path / "first" / "last.safetensors"
    first.parent.mkdir()
    first.write_bytes((finished[0] / "last.safetensors").read_bytes())
    _fit(tiny_recipe(epochs=1, pretrained=str(first)), tmp_path / "second")
    _, metadata = load_checkpoint(tmp_path / "second" / "last.safetensors")
    assert "16 images, from first/last.safetensors; " in metadata.provenance


class _Stopping(Shades):
    """Sends a signal as its second sample is read for the first time."""

    def __getitem__(self, index: int) -> Sample:
        if index == 1 and 1 not in self.read:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_signal_ends_an_evaluation(epochs: int, tmp_path: Path) -> None:
    """Which is made up for after resuming, at the end of the run too: all is as if never stopped."""
    recipe = tiny_recipe(epochs=epochs, ema_decay=0.9)
    _fit(recipe, tmp_path / "whole", val=Shades(12, ((40, 48),), seed=1))
    val = _Stopping(12, ((40, 48),), seed=1)
    with pytest.raises(RunInterruptedError, match=f"stopped at step 4 of {4 * epochs}"):
        _fit(recipe, tmp_path / "halves", val=val)
    assert 2 <= len(val.read) < 6  # some are read ahead
    assert not (tmp_path / "halves" / "history.jsonl").exists()
    seen = _fit(recipe, tmp_path / "halves", val=val, resume=True)
    assert [progress.step for progress in seen] == list(range(5, 4 * epochs + 1))
    _assert_same_run(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_is_one_clear_line(error: RuntimeError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("bcpnet.training.step.training_loss", full)
    with pytest.raises(InputError, match=r"^out of memory: choose a smaller --micro-batch$"):
        _fit(tiny_recipe(), tmp_path)


def test_progress_counts(finished: tuple[Path, list[Progress]]) -> None:
    _, seen = finished
    assert [progress.step for progress in seen] == list(range(1, 33))
    assert [progress.epoch for progress in seen[:8]] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert {(progress.steps, progress.epochs) for progress in seen} == {(32, 8)}
    assert [progress.miou is None for progress in seen] == [True] * 11 + [False] * 21
    assert seen[-1].eta_s == 0
    assert all(progress.images_per_s > 0 for progress in seen)


def test_its_scores_are_those_of_evaluate(finished: tuple[Path, list[Progress]]) -> None:
    """While training and afterwards, through checkpoint, folding and backend: one number."""
    from bcpnet.backends.pytorch import PytorchBackend

    run, _ = finished
    history = _history(run)
    scores = [line["miou"] for line in history if "miou" in line]
    last = evaluate(PytorchBackend(run / "last.safetensors"), VAL)
    assert last.scores.miou == pytest.approx(history[-1]["miou"], abs=1e-6)
    assert last.scores.iou == pytest.approx(history[-1]["iou"], abs=1e-6)
    best = evaluate(PytorchBackend(run / "best.safetensors"), VAL)
    assert best.scores.miou == pytest.approx(max(scores), abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.9, "jitter": 0.3, "class_weights": "log", "ohem": 0.5},
        {"optimizer": "adamw", "lr": 2e-3, "micro_batch": 2},
        {"precision": "bf16-mixed"},
    ],
    ids=["average", "accumulation", "bf16"],
)
def test_interrupted_and_resumed_it_ends_the_same_to_the_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    recipe = tiny_recipe(**changes)
    _fit(recipe, tmp_path / "whole")
    with pytest.raises(RunInterruptedError, match=r"stopped at step 3 of 8; saved in .*halves"):
        _fit(recipe, tmp_path / "halves", report=_stop_at(3))
    seen = _fit(recipe, tmp_path / "halves", resume=True)
    assert [progress.step for progress in seen] == [4, 5, 6, 7, 8]
    _assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_resuming_repeats_what_was_not_saved(tmp_path: Path) -> None:
    """As after `kill -9`: an older state beside newer files. Nothing is listed twice, everything ends the same."""
    recipe = tiny_recipe(ema_decay=0.9)
    _fit(recipe, tmp_path / "whole")
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "halves", report=_stop_at(3))
    state = (tmp_path / "halves" / "state.pt").read_bytes()
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "halves", report=_stop_at(6), resume=True)
    assert [line["step"] for line in _history(tmp_path / "halves")] == [4]
    (tmp_path / "halves" / "state.pt").write_bytes(state)
    _fit(recipe, tmp_path / "halves", resume=True)
    _assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_read_ahead_it_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(epochs=1)
    _fit(recipe, tmp_path / "kept")
    monkeypatch.setattr(batches, "_MEMORY_BYTES", 0)
    recipe = dataclasses.replace(recipe, workers=1)
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "ahead", report=_stop_at(2))
    _fit(recipe, tmp_path / "ahead", resume=True)
    _assert_same_run(tmp_path / "kept", tmp_path / "ahead")


def _with_unlabelled(folder: Path) -> Recipe:
    """Half of each batch is of a folder of seven images of two sizes, one larger than what it is trained at."""
    teacher = folder / "teacher.safetensors"
    save_checkpoint(teacher, random_network("bcpnet", len(CLASSES)), Metadata("bcpnet", {}, CLASSES, 32))
    for index, sample in enumerate(Shades(7, ((24, 40), (64, 48)), seed=2).samples):
        save(sample.image, folder / "streets" / f"{index}.png")
    return tiny_recipe(
        epochs=1, micro_batch=2, unlabelled=str(folder / "streets"), unlabelled_batch=2, teacher=str(teacher),
        class_weights="log", ema_decay=0.9,
    )  # fmt: skip


def test_with_unlabelled_images_it_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept in memory as a whole, read ahead in halves; an epoch is a pass over what is labelled."""
    recipe = _with_unlabelled(tmp_path)
    seen = _fit(recipe, tmp_path / "whole")
    assert [progress.step for progress in seen] == list(range(1, 9))
    monkeypatch.setattr(batches, "_MEMORY_BYTES", 0)
    recipe = dataclasses.replace(recipe, workers=1)
    with pytest.raises(RunInterruptedError, match=r"stopped at step 3 of 8"):
        _fit(recipe, tmp_path / "halves", report=_stop_at(3))
    _fit(recipe, tmp_path / "halves", resume=True)
    _assert_same_run(tmp_path / "whole", tmp_path / "halves")
    _, metadata = load_checkpoint(tmp_path / "halves" / "last.safetensors")
    assert metadata.provenance == (
        "camvid train, 16 images, from random weights; step 8 of 8 (epoch 1 of 1), seed 0, streets without labels, "
        "teacher teacher.safetensors"
    )


def test_unlabelled_images_count(tmp_path: Path) -> None:
    """Other images, or none, are another training."""
    recipe = _with_unlabelled(tmp_path)
    _fit(recipe, tmp_path / "run", val=None)
    save(Shades(1, ((24, 40),), seed=3).samples[0].image, tmp_path / "streets" / "6.png")
    _fit(recipe, tmp_path / "other", val=None)
    alone = dataclasses.replace(recipe, unlabelled="none", unlabelled_batch=0, batch=2)
    _fit(alone, tmp_path / "alone", val=None)
    ends = {(tmp_path / run / "last.safetensors").read_bytes() for run in ("run", "other", "alone")}
    assert len(ends) == 3


def test_soft_labels_serve_again(tmp_path: Path) -> None:
    """Another run with the same images needs no teacher for them, and is the same; so it is when it goes on."""
    recipe = _with_unlabelled(tmp_path)
    _fit(recipe, tmp_path / "first", val=None)
    (tmp_path / "teacher.safetensors").unlink()
    recipe = dataclasses.replace(recipe, teacher=str(tmp_path / "first" / "soft_labels.npy"))
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "second", val=None, report=_stop_at(2))
    _fit(recipe, tmp_path / "second", val=None, resume=True)
    assert not (tmp_path / "second" / "soft_labels.npy").exists()
    first, second = (load_file(tmp_path / run / "last.safetensors") for run in ("first", "second"))
    assert all(torch.equal(second[name], value) for name, value in first.items())
    _, metadata = load_checkpoint(tmp_path / "second" / "last.safetensors")
    assert metadata.provenance.endswith(", teacher first/soft_labels.npy")
    _fit(recipe, tmp_path / "third", train=Shades(12), val=None)  # they are of the folder, whatever the split


@pytest.mark.parametrize("classes", [1, 5])
def test_soft_labels_of_other_classes(classes: int, tmp_path: Path) -> None:
    np.save(tmp_path / "soft.npy", np.zeros((16, classes, 8, 12), np.uint8))
    with pytest.raises(InputError, match=r"soft\.npy: not the soft labels"):
        _fit(tiny_recipe(epochs=1, teacher=str(tmp_path / "soft.npy")), tmp_path / "run", val=None)


def test_resuming_with_fewer_unlabelled_images(tmp_path: Path) -> None:
    recipe = _with_unlabelled(tmp_path)
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "run", val=None, report=_stop_at(1))
    (tmp_path / "streets" / "3.png").unlink()
    with pytest.raises(
        InputError, match=r"soft_labels\.npy: not the soft labels of this run's 6 images and 3 classes$"
    ):
        _fit(recipe, tmp_path / "run", val=None, resume=True)


def test_a_finished_run_resumes_to_nothing(finished: tuple[Path, list[Progress]]) -> None:
    run, _ = finished
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert _fit(LONG, run, resume=True) == []
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_what_a_kill_during_a_save_left_is_cleared(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    theirs = {".bcpnet-mine.pt", ".notes.0123abcd.pt"}
    left = {f".bcpnet-0123456789abcdef.{suffix}" for suffix in ("pt", "safetensors", "npy")}
    for name in left | theirs:
        (run / name).touch()
    _fit(tiny_recipe(epochs=1), run, val=None)
    assert {path.name for path in run.glob(".*")} == theirs


def test_last_weights_are_never_older_than_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two files of a save must leave something that resuming puts right."""
    written: list[str] = []
    replace = Path.replace

    def noted(path: Path, target: Path) -> Path:
        written.append(Path(target).name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    _fit(tiny_recipe(epochs=1), tmp_path / "run", val=None)
    assert written == ["recipe.json", "history.jsonl", "last.safetensors", "state.pt"]


def test_signals_act_as_before_afterwards(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), tmp_path / "run", report=_stop_at(1, signal.SIGINT))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _fit(tiny_recipe(), tmp_path / "run", report=report)


# Which sample is in which micro-batch, on which device, must not change what is drawn for it.
SAME_GEOMETRY = {"options": {}, "scale_min": 1.0, "scale_max": 1.0, "flip": False, "crop_h": 32, "crop_w": 48}


@pytest.mark.parametrize("micro_batch", [2, 1])
def test_accumulation_equals_the_large_batch(micro_batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where samples do not meet (no batch norm) and all pixels count, micro-batches add up to the batch."""
    monkeypatch.setattr(initial, "build", pointwise)
    weights = []
    for size in (4, micro_batch):
        run = tmp_path / str(size)
        _fit(tiny_recipe(micro_batch=size, **SAME_GEOMETRY), run, train=Shades(16, ignored=0.0), val=None)
        weights.append(load_file(run / "last.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-5)


def test_without_validation(tmp_path: Path) -> None:
    seen = _fit(tiny_recipe(epochs=1), tmp_path / "run", val=None)
    assert {progress.miou for progress in seen} == {None}
    names = {"recipe.json", "last.safetensors", "history.jsonl", "tensorboard", "state.pt"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    assert [line.keys() for line in _history(tmp_path / "run")] == [{"step", "epoch", "loss", "lr", "seconds"}]


def test_the_state_is_saved_as_often_as_asked(tmp_path: Path) -> None:
    present = []

    def report(_: Progress) -> None:
        path = tmp_path / "run" / "state.pt"
        present.append(torch.load(path, weights_only=True)["step"] if path.exists() else 0)
        time.sleep(0.01)

    _fit(tiny_recipe(epochs=1, save_seconds=0), tmp_path / "run", val=None, report=report)
    assert present == [0, 1, 2, 3]


def test_pretrained_weights_are_where_it_starts(tmp_path: Path) -> None:
    """With a learning rate of almost nothing the encoder's weights are still those of the file."""
    encoder = build("bcpnet", 3, encoder="mobilenet_v2_050").encoder
    tensors = {}
    for name, layer in encoder.named_modules():
        if isinstance(layer, torch.nn.Sequential):
            tensors[f"{name}.weight"] = layer[0].weight.detach().clone()
            tensors[f"{name}.bias"] = torch.zeros(len(layer[0].weight))
    path = tmp_path / "encoder.safetensors"
    save_file(tensors, path)
    recipe = tiny_recipe(
        options={"encoder": "mobilenet_v2_050", "width": 16}, pretrained=str(path), lr=1e-12, epochs=1, weight_decay=0.0
    )
    train = Shades(16, ((32, 48), (48, 32), (24, 24)))  # all are looked at before it starts
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "run", train=train, report=_stop_at(1))
    path.unlink()  # needed once: a resumed run has its weights
    _fit(recipe, tmp_path / "run", train=train, resume=True)
    trained = load_file(tmp_path / "run" / "last.safetensors")
    torch.testing.assert_close(trained["encoder.stem.0.weight"], tensors["stem.weight"])
    _, metadata = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert "from encoder.safetensors;" in metadata.provenance


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.06}, r"was started with another recipe: lr was 0.1, now 0.06\. .*--pretrained .*run --out NEW$"),
        ({"lr": 0.06, "seed": 3}, r"lr was 0.1, now 0.06; seed was 0, now 3\. "),
        ({"options": {"width": 16}}, r"options was {}, now {'width': 16}\. "),
        ({"epochs": 9}, r"epochs was 2, now 9\. "),
        ({"epochs": 1}, r"epochs was 2, now 1\. "),
        ({"micro_batch": 2}, r"micro_batch was 4, now 2\. "),
    ],
)
def test_resuming_with_another_recipe(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), tmp_path / "run", report=_stop_at(1))
    with pytest.raises(UsageError, match=message):
        _fit(tiny_recipe(**changes), tmp_path / "run", resume=True)


def test_what_may_change_on_resuming(tmp_path: Path) -> None:
    """Where the data lie, how often it is saved, who reads: the run ends the same, and recipe.json tells the newest."""
    recipe = tiny_recipe(root=str(tmp_path / "data"))
    _fit(recipe, tmp_path / "whole")
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "halves", report=_stop_at(3))
    moved = dataclasses.replace(recipe, root=str(tmp_path / "moved"), save_seconds=0, workers=1)
    _fit(moved, tmp_path / "halves", resume=True)
    _assert_same_run(tmp_path / "whole", tmp_path / "halves")
    assert saved_recipe(tmp_path / "halves") == moved


def test_paths_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a run goes on from another working folder, with the same command too."""
    recipe = dataclasses.replace(_with_unlabelled(tmp_path), root="data", unlabelled="streets")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunInterruptedError):
        _fit(recipe, tmp_path / "run", val=None, report=_stop_at(3))
    _fit(recipe, tmp_path / "run", val=None, resume=True)
    kept = saved_recipe(tmp_path / "run")
    assert (kept.root, kept.unlabelled) == (str(tmp_path / "data"), str(tmp_path / "streets"))
    monkeypatch.chdir(Path(__file__).parent)
    assert _fit(kept, tmp_path / "run", val=None, resume=True) == []


def test_resuming_with_other_data(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), run, report=_stop_at(1))
    fewer, renamed = Shades(12), Shades(16)
    renamed.classes = dataclasses.replace(CLASSES, names=("grey", "dark", "light"))
    for train, message in ((fewer, "now there are 12 images"), (renamed, "now there are 16 images.*grey, dark, light")):
        with pytest.raises(InputError, match=rf"trained on 16 images of the classes dark, grey, light; {message}"):
            _fit(tiny_recipe(), run, resume=True, train=train)


def test_a_loss_without_bounds_keeps_the_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    step = fit_module.optimizer_step

    def bad_from_the_third(trained: Any, *arguments: Any) -> torch.Tensor:
        loss = step(trained, *arguments)
        return loss if trained.step < 2 else loss * float("nan")

    monkeypatch.setattr(fit_module, "optimizer_step", bad_from_the_third)
    with pytest.raises(InputError, match=r"^step 3: the loss is no longer a finite number; lower --lr$"):
        _fit(tiny_recipe(save_seconds=0), run)
    assert _state(run)["/step"] == 2
    assert not (run / "history.jsonl").exists()
    with pytest.raises(InputError, match=r"^step 4: "):
        _fit(tiny_recipe(), tmp_path / "seldom saved")
    assert not (tmp_path / "seldom saved" / "last.safetensors").exists()


def test_weights_without_their_state_are_not_written_over(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _fit(tiny_recipe(epochs=1), run, val=None)
    (run / "state.pt").unlink()
    with pytest.raises(UsageError, match="holds the weights of a run"):
        _fit(tiny_recipe(epochs=1), run, val=None)
    (run / "last.safetensors").rename(run / "best.safetensors")
    with pytest.raises(UsageError, match="holds the weights of a run"):
        _fit(tiny_recipe(epochs=1), run, val=None)


def test_a_folder_with_a_run_is_not_written_over(finished: tuple[Path, list[Progress]]) -> None:
    with pytest.raises(
        UsageError, match=r"already holds a run: go on with `bcpnet train --resume .*`, or choose another"
    ):
        _fit(tiny_recipe(), finished[0])


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        _fit(tiny_recipe(), tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_what_was_killed_before_its_first_state_starts_afresh(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text(tiny_recipe(epochs=9).to_json())
    (run / "history.jsonl").write_text('{"step": 1, "miou": 0.9}\n')
    (run / "samples").mkdir()
    for name in ("epoch_0009.jpg", ".epoch_0009.01234567.jpg", "mine.jpg"):
        (run / "samples" / name).touch()
    with pytest.raises(InputError, match=r"was first saved; remove its folder and start again without --resume$"):
        _fit(tiny_recipe(epochs=9), run, resume=True)
    _fit(tiny_recipe(epochs=1), run)
    assert [line["step"] for line in _history(run)] == [4]
    assert json.loads((run / "recipe.json").read_text())["epochs"] == 1
    assert {path.name for path in (run / "samples").iterdir()} == {"epoch_0001.jpg", "mine.jpg"}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # what PyTorch takes a safetensors file for
@pytest.mark.parametrize("content", [b"", b"no state\n" * 50, "truncated", "overwritten", "list", "network", "weights"])
def test_a_broken_state_is_one_clear_line(content: bytes | str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), run, report=_stop_at(1))
    path = run / "state.pt"
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif content == "overwritten":  # PyTorch reads it without a word
        data = path.read_bytes()
        half = len(data) // 2
        path.write_bytes(data[:half] + bytes(byte ^ 255 for byte in data[half : half + 64]) + data[half + 64 :])
    elif content == "list":
        torch.save([1, 2], path)
    elif content == "network":
        torch.save({**torch.load(path), "network": {}}, path)
    elif content == "weights":
        path.write_bytes((run / "last.safetensors").read_bytes())
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.pt: cannot resume from it: .") as raised:
        _fit(tiny_recipe(), run, resume=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", [b'{"step": 4, "ep', b"\xff\xfe\n", b'{"a": 1}\n', b"[1]\n"])
def test_a_damaged_history_is_told_before_the_first_step(damage: bytes, tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(), tmp_path, val=None, report=_stop_at(5))
    history = tmp_path / "history.jsonl"
    whole = history.read_bytes()
    history.write_bytes(whole + damage)
    with pytest.raises(InputError, match=r"history\.jsonl: damaged: mend it, or remove it") as raised:
        _fit(tiny_recipe(), tmp_path, val=None, resume=True, report=lambda _: pytest.fail("it trains"))
    assert "\n" not in str(raised.value)
    history.write_bytes(whole + b"\n")  # an empty line says nothing
    _fit(tiny_recipe(), tmp_path, val=None, resume=True)
    assert [line["step"] for line in _history(tmp_path)] == [4, 8]


def test_a_broken_recipe_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match=r"recipe\.json: cannot be read"):
        _fit(tiny_recipe(), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"pretrained": "required"}, {}, UsageError, "wants pre-trained encoder weights"),
        ({"pretrained": "none.safetensors"}, {}, InputError, r"none\.safetensors: pre-trained weights are for"),
        (
            {"pretrained": "none.safetensors", "options": {"encoder": "mobilenet_v2_050"}},
            {},
            InputError,
            r"none\.safetensors: cannot read pre-trained weights",
        ),
        ({"teacher": "nobody"}, {}, UsageError, "unknown weights 'nobody'"),
        (
            {"unlabelled": "nowhere", "unlabelled_batch": 2, "teacher": "camvid"},
            {},
            InputError,
            r"/nowhere: no images \(\.png \.jpg \.jpeg\) in it$",
        ),
        (
            {"unlabelled": "required", "unlabelled_batch": 2, "teacher": "camvid"},
            {},
            UsageError,
            "wants images without labels: name their folder",
        ),
        ({"network": "unet"}, {}, UsageError, "unknown network 'unet'"),
        ({}, {"accelerator": "abacus"}, UsageError, "cannot train on 1 x abacus"),
        ({}, {"devices": 0}, UsageError, "cannot train on 0 x cpu"),
        ({}, {"devices": -2}, UsageError, "cannot train on -2 x cpu"),
        ({}, {"train": Shades(0)}, InputError, "training split is empty"),
    ],
)
def test_wrong_calls(
    changes: dict[str, Any], options: dict[str, Any], error: type[InputError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as raised:
        _fit(tiny_recipe(**changes), tmp_path / "run", **options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    """Nothing could be wrong: the loss would be 0 and the mIoU 100 %."""
    train = Shades(4)
    train.classes = ClassSet("one", ("dark",), ((0, 0, 0),))
    with pytest.raises(UsageError, match="one class, dark: there is nothing to tell it from"):
        fit(tiny_recipe(), train, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_labels_are_checked(tmp_path: Path) -> None:
    val = Shades(2, seed=1)
    val.samples[1] = val.samples[1]._replace(label=np.full((32, 48), 3, np.uint8))
    with pytest.raises(InputError, match=r"^shades_1: label value 3: the classes are 0 to 2, 255 is ignored$"):
        _fit(tiny_recipe(epochs=1), tmp_path / "run", val=val)


def test_an_unwritable_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: cannot write: .*file is not a folder"):
        _fit(tiny_recipe(), tmp_path / "file")


SCRIPT = """
import json, os, signal, sys
from pathlib import Path

sys.path.insert(0, {tests!r})
import fake_training
from bcpnet.training import initial_weights as initial
from bcpnet.training.fit import RunInterruptedError, fit

run, options = Path(sys.argv[1]), json.loads(sys.argv[2])
second = os.environ.get("LOCAL_RANK") == "1"
initial.build = fake_training.pointwise if options["pointwise"] else initial.build


class Val(fake_training.Shades):
    def __getitem__(self, index):
        if second and options["stop"]:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


try:
    fit(
        fake_training.tiny_recipe(**options["recipe"]),
        fake_training.Shades(16, ignored=0.0),
        Val(3, ((40, 48),), seed=1),
        run,
        resume=options["resume"],
        devices=options["devices"],
        accelerator="cpu",
        report=lambda progress: print("step", progress.step, flush=True),
    )
except RunInterruptedError as stop:
    print(stop, flush=True)
print("back", flush=True)
"""


def _start(
    folder: Path, run: Path, recipe: dict[str, Any], *, devices: int = 1, resume: bool = False, stop: bool = False,
    pointwise: bool = False,
) -> subprocess.Popen[str]:  # fmt: skip
    """A training in a process of its own, or in several; its standard output tells the steps."""
    script = folder / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    options = {"recipe": recipe, "devices": devices, "resume": resume, "stop": stop, "pointwise": pointwise}
    command = [sys.executable, str(script), str(run), json.dumps(options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    )


def test_kill_9_loses_little_and_breaks_nothing(tmp_path: Path) -> None:
    changes = {"save_seconds": 0, "ema_decay": 0.9, "epochs": 50}
    run = tmp_path / "run"
    process = _start(tmp_path, run, changes)
    assert process.stdout is not None
    steps = 0
    for line in process.stdout:
        steps = int(line.split()[1]) if line.startswith("step ") else steps
        if steps == 5:
            break
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert steps == 5
    for name in ("last.safetensors", "best.safetensors"):
        load_checkpoint(run / name)
    saved = torch.load(run / "state.pt", weights_only=True)["step"]
    assert saved >= 4  # the step before, and perhaps some that it went on to
    assert _history(run)[0]["step"] == 4
    seen: list[int] = []
    with pytest.raises(RunInterruptedError):
        _fit(tiny_recipe(**changes), run, resume=True, report=lambda p: seen.append(p.step) or _stop_at(saved + 2)(p))
    assert seen == [saved + 1, saved + 2]


def test_two_processes_train_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without batch norm and random geometry the two see together, each sample once, what one sees alone. Half-way a
    signal reaches the second alone: both stop after that step, and both go on.
    """
    changes = {"micro_batch": 2, "ema_decay": 0.5, **SAME_GEOMETRY}
    run = tmp_path / "two"
    steps = [f"step {step}" for step in range(1, 9)]
    for again, expected in (
        (False, [*steps[:4], f"stopped at step 4 of 8; saved in {run}", "back"]),
        (True, [*steps[4:], "back"]),
    ):
        process = _start(tmp_path, run, changes, devices=2, resume=again, stop=not again, pointwise=True)
        output, _ = process.communicate(timeout=240)
        assert [line for line in output.splitlines() if line.startswith(("step ", "stopped", "back"))] == expected, (
            output
        )
        assert process.returncode == 0

    monkeypatch.setattr(initial, "build", pointwise)
    _fit(tiny_recipe(**{**changes, "micro_batch": 4}), tmp_path / "one", train=Shades(16, ignored=0.0))
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    scores = [[line["miou"] for line in _history(tmp_path / name)] for name in ("one", "two")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


@pytest.mark.parametrize("split", ["trainval", "0016E5", "without-0001TP"])
def test_what_is_trained_on_is_not_scored(split: str, tmp_path: Path) -> None:
    make_camvid(tmp_path / "camvid", "folders")
    train, val = (Camvid(tmp_path / "camvid", name) for name in (split, "val"))
    with pytest.raises(
        UsageError, match=r"2 of the 2 images of val-split are in train-split, too: .* --val-split none"
    ):
        fit(tiny_recipe(), train, val, tmp_path / "run")
    assert not (tmp_path / "run").exists()
