"""What must travel with weights so that they can be used: network, classes, colours, preprocessing, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bcpnet.errors import InputError
from bcpnet.frames.preprocess import MEAN, SCALE
from bcpnet.labels import ClassSet
from bcpnet.storage.damaged import damage_told, reason, shortened

KEY = "bcpnet"  # the metadata entry in safetensors and ONNX files alike

_UNREADABLE = "its bcpnet metadata cannot be read"
_MOST_CHARACTERS = 1_000_000  # of the whole; those that bcpnet writes have some thousands
_LONGEST_TEXT = 10_000  # characters of the provenance or the licence


@dataclass(frozen=True)
class Metadata:
    """Stored as one JSON object under the key "bcpnet" of a safetensors or ONNX file.

    Attributes:
        network: a name in `bcpnet.networks.NETWORKS`.
        options: keyword arguments the network was built with, beside the number of classes.
        classes: names and colours, in the order of the logits.
        short_side: short side, in pixels (32..16384), of the frames the network was trained for.
        mean, scale: the network input is (pixel - mean) * scale, RGB.
        provenance: one sentence: data, recipe, initial weights.
        licence: terms of the weights.
        trained_on: the splits that these weights have seen, by name ("camvid/train", see `bcpnet.data.seen`): those
            that they were trained on, and those of weights that they started from or learnt from. Empty = not known.
    """

    network: str
    options: dict[str, Any]
    classes: ClassSet
    short_side: int
    provenance: str = "unknown"
    licence: str = "unknown"
    mean: float = field(default=MEAN)
    scale: float = field(default=SCALE)
    trained_on: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON object, keys in a fixed order."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str, where: str) -> Metadata:
        """Reads what `to_json` wrote; `where` names the file in errors.

        Raises:
            InputError: not that JSON, a value of another kind or out of range, or a preprocessing that this
                version does not do.
        """
        if len(text) > _MOST_CHARACTERS:
            raise InputError(f"{where}: {_UNREADABLE} ({len(text)} characters; at most {_MOST_CHARACTERS} are read)")
        with damage_told(where, "json", _UNREADABLE):
            values = json.loads(text)
        try:
            classes = values.pop("classes")
            colours = tuple(tuple(colour) for colour in classes["colours"])
            class_set = ClassSet(classes["name"], tuple(classes["names"]), colours)
            trained_on = values.pop("trained_on", [])
            if not isinstance(trained_on, list) or not all(isinstance(split, str) for split in trained_on):
                raise ValueError(f"trained_on {shortened(repr(trained_on))}: not a list of texts")
            metadata = Metadata(classes=class_set, trained_on=tuple(trained_on), **values)
            _check(metadata)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # other values than ours
            raise InputError(f"{where}: {_UNREADABLE} ({reason(error)})") from error
        if (metadata.mean, metadata.scale) != (MEAN, SCALE):
            raise InputError(
                f"{where}: needs preprocessing (pixel - {shortened(metadata.mean)}) * {shortened(metadata.scale)}, "
                f"this version does (pixel - {MEAN}) * {SCALE}"
            )
        return metadata


def of_onnx(entries: Mapping[str, str], n_classes: int, where: str) -> Metadata:
    """The metadata in an ONNX file's own entries, of a network with `n_classes` logits; `where` names it in errors.

    Raises:
        InputError: none, unreadable, or of another number of classes.
    """
    if KEY not in entries:
        raise InputError(
            f"{where}: ONNX without bcpnet's metadata (classes, colours, preprocessing); "
            "write it with `bcpnet export --weights W OUT.onnx`"
        )
    metadata = Metadata.from_json(entries[KEY], where)
    if n_classes != len(metadata.classes):
        raise InputError(f"{where}: its network has {n_classes} classes, its metadata names {len(metadata.classes)}")
    return metadata


def require_logits(output: str, where: str) -> None:
    """Raises InputError for a file of `bcpnet.onnx.class_map`, told by the name of its output."""
    if output == "class_map":
        raise InputError(f"{where}: returns class maps, for other programs; bcpnet reads exports without --class-map")


def _check(metadata: Metadata) -> None:
    """Raises ValueError for what JSON can hold and a network cannot be used with."""
    if not isinstance(metadata.network, str):
        raise ValueError(f"network {metadata.network!r}: not a text")
    if not isinstance(metadata.options, dict):
        raise ValueError(f"options {metadata.options!r}: not a table of names and values")
    if type(metadata.short_side) is not int or not 32 <= metadata.short_side <= 16384:
        raise ValueError(f"short_side {metadata.short_side!r}: need 32 to 16384 pixels")
    for name, text in (("provenance", metadata.provenance), ("licence", metadata.licence)):
        if not isinstance(text, str):
            raise ValueError(f"{name} {text!r}: not a text")
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"{name}: {len(text)} characters, at most {_LONGEST_TEXT} can be used")
