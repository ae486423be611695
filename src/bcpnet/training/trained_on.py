"""Which splits the weights of a run have seen: its own, and those of the weights that it starts from or learns from."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from safetensors import safe_open

from bcpnet.backends import open_backend
from bcpnet.data.seen import UNKNOWN, split_name
from bcpnet.errors import InputError
from bcpnet.labels import ClassSet
from bcpnet.metadata import KEY, Metadata
from bcpnet.storage.damaged import damage_told
from bcpnet.training.recipe import Recipe
from bcpnet.weights import resolve


def trained_on(recipe: Recipe, classes: ClassSet) -> tuple[str, ...]:
    """Names of the splits, for `Metadata.trained_on`; with UNKNOWN where a file does not tell, or is gone by now.

    Args:
        recipe: of the run.
        classes: of its training split.
    """
    parts = ("train", "val") if recipe.train_split == "trainval" else (recipe.train_split,)
    names = [split_name(recipe.dataset, part, classes) for part in parts]
    for source in (recipe.pretrained, *recipe.teacher.split(",")):
        if source not in ("none", "required"):
            names += _seen_by(source)
    return tuple(dict.fromkeys(names))


@cache
def _seen_by(weights: str) -> tuple[str, ...]:
    """What a checkpoint or ONNX file, weights that ship, a run or its soft labels hand on."""
    try:
        if weights.endswith(".npy"):
            return _beside(Path(weights))
        path = resolve(weights, ".onnx")
        if path.suffix.lower() != ".safetensors":
            return open_backend(path).metadata.trained_on or (UNKNOWN,)
        with damage_told(path, "safetensors", "not a safetensors file"), safe_open(path, "np") as file:
            entries = file.metadata() or {}
        if KEY not in entries:
            return ()  # an encoder from elsewhere
        return Metadata.from_json(entries[KEY], weights).trained_on or (UNKNOWN,)
    except InputError:
        return (UNKNOWN,)


def _beside(soft_labels: Path) -> tuple[str, ...]:
    """What the teachers of soft labels saw, from the file that `write_soft_labels` puts beside them."""
    path = soft_labels.with_suffix(".json")
    with damage_told(path, "json", "not what comes with soft labels"):
        values = json.loads(path.read_bytes())
    names = values.get("trained_on") if isinstance(values, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: not what comes with soft labels")
    return tuple(names)
