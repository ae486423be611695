"""The folder of a run: recipe.json, history.jsonl, best.safetensors, last.safetensors, state.pt, TensorBoard files."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.checkpoint import save_checkpoint
from bcpnet.data.base import Dataset
from bcpnet.errors import InputError, UsageError
from bcpnet.files import write_bytes
from bcpnet.metadata import Metadata
from bcpnet.training.module import Trained
from bcpnet.training.recipes import Recipe

_FILES = ("recipe.json", "history.jsonl", "best.safetensors", "last.safetensors", "state.pt")


def check_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Raises UsageError unless `recipe` can start in folder `run` or, with `resume`, go on there."""
    if not resume:
        if (run / "state.pt").exists():
            raise UsageError(f"{run} already holds a run: add --resume to go on, or choose another --out")
        return
    saved = run / "recipe.json"
    if not saved.is_file():
        raise UsageError(f"{run}: no run to resume")
    try:
        before = dict(json.loads(saved.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{saved}: cannot be read: {error}") from error
    now = json.loads(recipe.to_json())
    changed = [f"{key} was {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]
    if changed:
        raise UsageError(f"{run} was started with another recipe: {'; '.join(changed)}")


def open_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Makes the folder, writes recipe.json, clears what a killed run left. Raises InputError where that cannot be."""
    write_bytes(run / "recipe.json", recipe.to_json().encode())
    for name in _FILES:  # the temporary names of files.atomic_path
        for temporary in run.glob(f".{Path(name).stem}.{'[0-9a-f]' * 8}{Path(name).suffix}"):
            temporary.unlink(missing_ok=True)
    if not resume:  # a run killed before it saved a state may have left its history
        (run / "history.jsonl").unlink(missing_ok=True)


def metadata_of(recipe: Recipe, train: Dataset) -> Metadata:
    """What goes into the checkpoints of a run."""
    initial = "random weights" if recipe.pretrained == "none" else Path(recipe.pretrained).name
    return Metadata(
        network=recipe.network,
        options=recipe.options,
        classes=train.classes,
        short_side=recipe.short_side,
        provenance=(
            f"{recipe.dataset} {recipe.train_split}, {len(train)} images, {recipe.epochs} epochs from {initial}"
        ),
        licence="unstated; the terms of the training data and of the initial weights apply",
    )


def save(run: Path, trained: Trained, metadata: Metadata) -> None:
    """Writes last.safetensors and state.pt. Raises InputError where that cannot be.

    The state comes last: whatever kills the process in between, resuming repeats the steps and writes both again.
    """
    save_checkpoint(run / "last.safetensors", trained.evaluated, metadata)
    trained.save(run / "state.pt")


def record(run: Path, line: dict[str, float]) -> None:
    """Adds a line to history.jsonl, in place of those that a resumed run repeats. Raises InputError where it cannot.

    Args:
        run: the folder.
        line: one evaluation; "step" orders them.
    """
    history = run / "history.jsonl"
    lines = history.read_text().splitlines() if history.exists() else []
    kept = [old for old in lines if json.loads(old)["step"] < line["step"]]
    write_bytes(history, "".join(f"{text}\n" for text in [*kept, json.dumps(line)]).encode())
