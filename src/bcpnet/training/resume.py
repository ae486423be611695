"""Whether a run may start in a folder, or go on there. Needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.errors import UsageError
from bcpnet.storage.damaged import damage_told
from bcpnet.training.recipe import Recipe

# May change from one part of a run to the next: where its data lie, and what does not change what is computed.
_FREE = ("root", "save_seconds", "workers")


def saved_recipe(run: Path) -> Recipe:
    """The recipe of the run in folder `run`. Raises UsageError where there is none, InputError if it is unreadable."""
    path = run / "recipe.json"
    if not path.is_file():
        raise UsageError(f"{run}: no run to resume: it holds no recipe.json")
    with damage_told(path, "json", "not the recipe of a run"):
        text = path.read_text(encoding="utf-8")
    return Recipe.from_json(text, str(path))


def check_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Raises UsageError unless `recipe` can start in folder `run` or, with `resume`, go on there.

    InputError where the recipe that lies there cannot be read.
    """
    if not resume:
        if (run / "state.pt").exists():
            raise UsageError(
                f"{run} already holds a run: go on with `bcpnet train --resume {run}`, or choose another --out"
            )
        if any((run / name).exists() for name in ("last.safetensors", "best.safetensors")):
            raise UsageError(f"{run} holds the weights of a run: choose another --out, or remove them")
        return
    before, now = (json.loads(one.with_absolute_paths().to_json()) for one in (saved_recipe(run), recipe))
    differ = [key for key in now if before[key] != now[key] and key not in _FREE]
    changed = [f"{key} was {before[key]!r}, now {now[key]!r}" for key in differ]
    if changed:
        raise UsageError(
            f"{run} was started with another recipe: {'; '.join(changed)}. A run keeps its recipe to the end; "
            f"for another one, start a new run from its weights: --pretrained {run} --out NEW"
        )
