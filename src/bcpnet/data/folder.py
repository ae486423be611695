"""A dataset of your own: images and masks in folders, described by one small YAML file.

    name: my-streets              # what the class set is called
    root: .                       # where the patterns start, relative to this file; default: its folder
    classes:                      # in the order of the train ids, 1 to 255 of them
      - {name: road, colour: [128, 64, 128]}
      - {name: car, colour: [0, 0, 142]}
      - {name: other, colour: [70, 70, 70]}
    masks: index                  # index (default): one id a pixel; colour: the colours of the classes
    ids: {7: road, 26: car, 1: 2} # index masks: value in the mask -> class, by name or by train id;
                                  # default: the values are the train ids
    ignore: [0]                   # values (index masks) or colours (colour masks) that do not count
    splits:
      train: {images: "train/images/*.jpg", masks: "train/masks/{stem}.png"}
      val: {images: "val/images/*.jpg", masks: "val/masks/{stem}.png"}
      test: {images: "test/*.jpg"}  # no masks: images only

`name`, `classes` and `splits` are required, and no other keys are taken. Where no class has a colour, a class
may be just its name; the classes get distinct colours. `images` is a glob pattern; `masks` is the path of one
image's mask, where `{stem}` stands for the image's file name without its suffix. In index masks 255 does not
count either, unless `ids` names it. A value or colour that is left unnamed is an error when a mask has it.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bcpnet.data.files import (
    ColourLabels,
    FileDataset,
    IdLabels,
    Item,
    LabelReader,
    by_stem,
    check_label_files,
    check_split,
    with_ignore,
)
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE, ClassSet, Colour


class Folder(FileDataset):
    """One split of the dataset that a YAML file describes; the schema is in the module's docstring."""

    def __init__(self, path: Path, split: str) -> None:
        """`path`: the YAML file; `split`: one of those it names.

        Raises:
            UsageError: no such split.
            InputError: the YAML is not as described, no image matches, or a mask is missing.
        """
        path = Path(path)
        try:
            top = _load(path)
            _check_keys(top, "the file", ("name", "classes", "splits"), ("root", "masks", "ids", "ignore"))
            classes = _classes(_text(top["name"], "name"), top["classes"])
            root = path.parent / _text(top.get("root", "."), "root")
            read_label = _label_reader(top, classes)
            splits = _splits(top["splits"])
            check_split(split, splits, str(path))
            items = _items(root, f"splits.{split}", *splits[split])
        except _SchemaError as error:
            raise InputError(f"{path}: {error}") from error
        super().__init__(classes, check_label_files(items), read_label)


class _SchemaError(Exception):
    """An entry of the file is wrong."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key is there twice", node.start_mark)
        return mapping


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "the file"
        raise _SchemaError(line, f"not the YAML it should be: {error.problem}") from error
    except yaml.YAMLError as error:
        raise _SchemaError("the file", "not a YAML text file") from error


def _check_keys(value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise _SchemaError(where, f"need {', '.join(required)}; got {value!r}")
    for key in value:
        if key not in required + optional:
            raise _SchemaError(where, f"unknown key {key!r}; known are {', '.join(required + optional)}")
    for key in required:
        if key not in value:
            raise _SchemaError(where, f"no key {key!r}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _SchemaError(where, f"need a text, in quotes if YAML takes it for something else; got {value!r}")
    return value


def _byte(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise _SchemaError(where, f"{value!r} is not a number 0..255")
    return value


def _colour(value: Any, where: str) -> Colour:
    if not isinstance(value, list) or len(value) != 3:
        raise _SchemaError(where, f"{value!r} is not a colour [red, green, blue]")
    red, green, blue = (_byte(channel, where) for channel in value)
    return red, green, blue


def _classes(name: str, entries: Any) -> ClassSet:
    if not isinstance(entries, list) or not 1 <= len(entries) <= IGNORE:
        raise _SchemaError("classes", f"need a list of 1 to {IGNORE} classes")
    entries = [entry if isinstance(entry, dict) else {"name": entry} for entry in entries]
    names: dict[str, int] = {}
    colours: dict[Colour, int] = {}
    for index, entry in enumerate(entries):
        where = f"classes[{index}]"
        _check_keys(entry, where, ("name",), ("colour",))
        if ("colour" in entry) != ("colour" in entries[0]):
            raise _SchemaError(where, "either every class has a colour or none has")
        class_name = _text(entry["name"], f"{where}.name")
        colour = _colour(entry["colour"], f"{where}.colour") if "colour" in entry else _default_colour(index)
        if class_name in names:
            raise _SchemaError(f"{where}.name", f"{class_name!r} is that of classes[{names[class_name]}]")
        if colour in colours:
            raise _SchemaError(f"{where}.colour", f"{list(colour)} is that of classes[{colours[colour]}]")
        names[class_name] = colours[colour] = index
    return ClassSet(name, tuple(names), tuple(colours))


def _default_colour(train_id: int) -> Colour:
    """Pascal VOC's colours, all different: the bits of an id dealt out to the channels, from the top."""
    red, green, blue = (
        sum((((train_id + 1) >> (3 * place + channel)) & 1) << (7 - place) for place in range(3))
        for channel in range(3)
    )
    return red, green, blue


def _label_reader(top: dict[str, Any], classes: ClassSet) -> LabelReader:
    masks = top.get("masks", "index")
    if masks not in ("index", "colour"):
        raise _SchemaError("masks", f"{masks!r} is neither index nor colour")
    ignore = top.get("ignore", [])
    if not isinstance(ignore, list):
        raise _SchemaError("ignore", f"need a list, got {ignore!r}")
    if masks == "colour":
        return _colour_reader(top, classes, ignore)
    ids = _ids(top["ids"], classes) if "ids" in top else {index: index for index in range(len(classes))}
    for index, value in enumerate(ignore):
        if _byte(value, f"ignore[{index}]") in ids:
            raise _SchemaError(f"ignore[{index}]", f"{value} is the value of a class")
    return IdLabels(with_ignore({**ids, **dict.fromkeys(ignore, IGNORE)}))


def _colour_reader(top: dict[str, Any], classes: ClassSet, ignore: list[Any]) -> LabelReader:
    if "ids" in top:
        raise _SchemaError("ids", "belongs to index masks; these are masks in colours")
    first = top["classes"][0]
    if not isinstance(first, dict) or "colour" not in first:
        raise _SchemaError("masks", "masks in colours need a colour for every class")
    train_ids = {colour: train_id for train_id, colour in enumerate(classes.colours)}
    ignored = [_colour(value, f"ignore[{index}]") for index, value in enumerate(ignore)]
    for index, colour in enumerate(ignored):
        if colour in train_ids:
            raise _SchemaError(f"ignore[{index}]", f"{list(colour)} is the colour of a class")
    return ColourLabels({**train_ids, **dict.fromkeys(ignored, IGNORE)})


def _ids(value: Any, classes: ClassSet) -> dict[int, int]:
    if not isinstance(value, dict) or not value:
        raise _SchemaError("ids", f"need value: class, ...; got {value!r}")
    train_ids: dict[int, int] = {}
    for key, target in value.items():
        where = f"ids.{key}"
        if isinstance(target, str) and target in classes.names:
            train_ids[_byte(key, where)] = classes.names.index(target)
        elif type(target) is int and 0 <= target < len(classes):
            train_ids[_byte(key, where)] = target
        else:
            raise _SchemaError(where, f"{target!r} is neither the name nor the train id of a class")
    return train_ids


def _splits(value: Any) -> dict[str, tuple[str, str | None]]:
    """Split -> (glob pattern of the images, path of a mask with {stem} in it)."""
    if not isinstance(value, dict) or not value:
        raise _SchemaError("splits", f"need split: {{images: ..., masks: ...}}, ...; got {value!r}")
    splits: dict[str, tuple[str, str | None]] = {}
    for name, entry in value.items():
        where = f"splits.{name}"
        _check_keys(entry, where, ("images",), ("masks",))
        images = _text(entry["images"], f"{where}.images")
        masks = _text(entry["masks"], f"{where}.masks") if "masks" in entry else None
        if Path(images).is_absolute():
            raise _SchemaError(f"{where}.images", f"{images} is absolute; write it relative to root")
        if masks is not None and "{stem}" not in masks:
            raise _SchemaError(f"{where}.masks", f"{masks} has no {{stem}} for the name of the image")
        splits[_text(name, where)] = images, masks
    return splits


def _items(root: Path, where: str, images: str, masks: str | None) -> list[Item]:
    found = by_stem(path for path in root.glob(images) if path.is_file())
    if not found:
        raise _SchemaError(f"{where}.images", f"no file matches {root / images}")
    return [
        Item(stem, image, None if masks is None else root / masks.replace("{stem}", stem))
        for stem, image in found.items()
    ]
