"""The weights that the service runs, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcpnet.errors import UsageError
from bcpnet.segmenter import Segmenter, load
from bcpnet.serving.bounds import RefusedError
from bcpnet.weights import shipped

VERSION = "1"  # of every model: KServe's addresses have one


@dataclass(frozen=True)
class Model:
    """Weights that are open.

    Attributes:
        name: in addresses: that of weights that ship, else the file's name without suffix.
        segmenter: runs them on one thread, called from several at once.
    """

    name: str
    segmenter: Segmenter

    def describe(self) -> dict[str, Any]:
        """What GET /v1/models says."""
        metadata, size_hw = self.segmenter.backend.metadata, self.segmenter.size_hw
        classes = zip(metadata.classes.names, metadata.classes.colours, strict=True)
        return {
            "name": self.name,
            "network": metadata.network,
            "backend": self.segmenter.backend.name,
            "classes": [{"id": i, "name": name, "colour": list(colour)} for i, (name, colour) in enumerate(classes)],
            "short_side": metadata.short_side,
            "size_hw": None if size_hw is None else list(size_hw),
            "licence": metadata.licence,
            "provenance": metadata.provenance,
        }


class Models:
    """All of them; the first one is the one meant by requests that name none."""

    def __init__(self, models: Sequence[Model]) -> None:
        """At least one, each of another name."""
        self._by_name = {model.name: model for model in models}

    def get(self, name: str | None) -> Model:
        """Raises RefusedError (404) for an unknown name."""
        if name is None:
            return next(iter(self._by_name.values()))
        if name not in self._by_name:
            raise RefusedError(404, f"no such model: this service has {', '.join(self._by_name)}")
        return self._by_name[name]

    def describe(self) -> list[dict[str, Any]]:
        """Of each one `Model.describe`."""
        return [model.describe() for model in self._by_name.values()]


def names_of(weights: Sequence[str]) -> list[str]:
    """The names of models: of each one of `weights`, as `bcpnet.load` takes them.

    Raises:
        UsageError: none, or two of one name.
    """
    names = [text if text in shipped() else Path(text).stem or text for text in weights]
    if not names:
        raise UsageError("no weights to serve: name some, such as camvid")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two models would be called {name}: give their files different names")
    return names


def open_models(weights: Sequence[str], backend: str | None, size_hw: tuple[int, int] | None) -> Models:
    """Opens all weights, each for calls on one thread, and segments an image by each, so that the first is as quick.

    Raises:
        UsageError, InputError: as `bcpnet.load`, and as `names_of`.
    """
    models = [
        Model(name, load(text, backend=backend, size_hw=size_hw, threads=1))
        for name, text in zip(names_of(weights), weights, strict=True)
    ]
    for model in models:
        model.segmenter(np.zeros((64, 64, 3), np.uint8))
    return Models(models)
