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

import unicodedata
from pathlib import Path
from typing import Any

from bcpnet.data.files import ColourLabels, FileDataset, IdLabels, LabelReader, check_split, with_ignore
from bcpnet.data.find import Item, by_stem, find_files
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE, ClassSet, Colour
from bcpnet.storage.damaged import reason
from bcpnet.storage.yaml_file import SchemaError, load_yaml, plain, shown

_LONGEST_TEXT = 1000
_MOST_PARTS = 64  # of a pattern: pathlib calls itself for each
_MOST_DEPTHS = 3  # each looks through all folders below each folder of the one before


class Folder(FileDataset):
    """One split of the dataset that a YAML file describes; the schema is in the module's docstring."""

    def __init__(self, path: Path, split: str, complete: bool = True) -> None:
        """`path`: the YAML file; `split`: one of those it names; `complete`: as of `FileDataset`.

        Raises:
            UsageError: no such split.
            InputError: the YAML is not as described, no image matches, or a file is missing.
        """
        path = Path(path)
        try:
            top = _top(path)
            classes = _classes(_text(top["name"], "name"), top["classes"])
            root = path.parent / _text(top.get("root", "."), "root")
            read_label = _label_reader(top, classes)
            splits = _splits(top["splits"])
            check_split(split, splits, str(path))
            items = _items(root, f"splits.{split}", *splits[split])
        except SchemaError as error:
            raise InputError(f"{path}: {error}") from error
        super().__init__(classes, items, read_label, complete)


def splits_of(path: Path) -> list[str]:
    """Names of the splits in a YAML file. Raises InputError where it is not as described."""
    try:
        return list(_splits(_top(path)["splits"]))
    except SchemaError as error:
        raise InputError(f"{path}: {error}") from error


def _top(path: Path) -> dict[str, Any]:
    top: dict[str, Any] = load_yaml(path)
    _check_keys(top, "the file", ("name", "classes", "splits"), ("root", "masks", "ids", "ignore"))
    return top


def _check_keys(value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise SchemaError(where, f"need {', '.join(required)}; got {shown(value)}")
    for key in value:
        if key not in required + optional:
            raise SchemaError(where, f"unknown key {shown(key)}; known are {', '.join(required + optional)}")
    for key in required:
        if key not in value:
            raise SchemaError(where, f"no key {shown(key)}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SchemaError(where, f"need a text, in quotes if YAML takes it for something else; got {shown(value)}")
    if len(value) > _LONGEST_TEXT:
        raise SchemaError(where, f"longer than {_LONGEST_TEXT} letters: {shown(value)}")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        raise SchemaError(where, f"{shown(value)} has letters that cannot be printed")
    return value


def _byte(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise SchemaError(where, f"{shown(value)} is not a number 0..255")
    return value


def _colour(value: Any, where: str) -> Colour:
    if not isinstance(value, list) or len(value) != 3:
        raise SchemaError(where, f"{shown(value)} is not a colour [red, green, blue]")
    red, green, blue = (_byte(channel, where) for channel in value)
    return red, green, blue


def _classes(name: str, entries: Any) -> ClassSet:
    if not isinstance(entries, list) or not 1 <= len(entries) <= IGNORE:
        raise SchemaError("classes", f"need a list of 1 to {IGNORE} classes")
    entries = [entry if isinstance(entry, dict) else {"name": entry} for entry in entries]
    names: dict[str, int] = {}
    colours: dict[Colour, int] = {}
    for index, entry in enumerate(entries):
        where = f"classes[{index}]"
        _check_keys(entry, where, ("name",), ("colour",))
        if ("colour" in entry) != ("colour" in entries[0]):
            raise SchemaError(where, "either every class has a colour or none has")
        class_name = _text(entry["name"], f"{where}.name")
        colour = _colour(entry["colour"], f"{where}.colour") if "colour" in entry else _default_colour(index)
        if class_name in names:
            raise SchemaError(f"{where}.name", f"{shown(class_name)} is that of classes[{names[class_name]}]")
        if colour in colours:
            raise SchemaError(f"{where}.colour", f"{list(colour)} is that of classes[{colours[colour]}]")
        names[class_name] = colours[colour] = index
    try:
        return ClassSet(name, tuple(names), tuple(colours))
    except ValueError as error:
        raise SchemaError("classes", str(error)) from error


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
        raise SchemaError("masks", f"{shown(masks)} is neither index nor colour")
    ignore = top.get("ignore", [])
    if not isinstance(ignore, list):
        raise SchemaError("ignore", f"need a list, got {shown(ignore)}")
    if masks == "colour":
        return _colour_reader(top, classes, ignore)
    ids = _ids(top["ids"], classes) if "ids" in top else {index: index for index in range(len(classes))}
    for index, value in enumerate(ignore):
        if _byte(value, f"ignore[{index}]") in ids:
            raise SchemaError(f"ignore[{index}]", f"{value} is the value of a class")
    return IdLabels(with_ignore({**ids, **dict.fromkeys(ignore, IGNORE)}), classes if _coloured(top) else None)


def _colour_reader(top: dict[str, Any], classes: ClassSet, ignore: list[Any]) -> LabelReader:
    if "ids" in top:
        raise SchemaError("ids", "belongs to index masks; these are masks in colours")
    if not _coloured(top):
        raise SchemaError("masks", "masks in colours need a colour for every class")
    train_ids = {colour: train_id for train_id, colour in enumerate(classes.colours)}
    ignored = [_colour(value, f"ignore[{index}]") for index, value in enumerate(ignore)]
    for index, colour in enumerate(ignored):
        if colour in train_ids:
            raise SchemaError(f"ignore[{index}]", f"{list(colour)} is the colour of a class")
    return ColourLabels({**train_ids, **dict.fromkeys(ignored, IGNORE)})


def _coloured(top: dict[str, Any]) -> bool:
    """Whether the file gives the classes colours."""
    first = top["classes"][0]
    return isinstance(first, dict) and "colour" in first


def _ids(value: Any, classes: ClassSet) -> dict[int, int]:
    if not isinstance(value, dict) or not value:
        raise SchemaError("ids", f"need value: class, ...; got {shown(value)}")
    train_ids: dict[int, int] = {}
    for key, target in value.items():
        where = f"ids.{plain(key)}"
        if isinstance(target, str) and target in classes.names:
            train_ids[_byte(key, where)] = classes.names.index(target)
        elif type(target) is int and 0 <= target < len(classes):
            train_ids[_byte(key, where)] = target
        else:
            raise SchemaError(where, f"{shown(target)} is neither the name nor the train id of a class")
    return train_ids


def _splits(value: Any) -> dict[str, tuple[str, str | None]]:
    """Split -> (glob pattern of the images, path of a mask with {stem} in it)."""
    if not isinstance(value, dict) or not value:
        raise SchemaError("splits", f"need split: {{images: ..., masks: ...}}, ...; got {shown(value)}")
    splits: dict[str, tuple[str, str | None]] = {}
    for name, entry in value.items():
        where = f"splits.{plain(name)}"
        _check_keys(entry, where, ("images",), ("masks",))
        images = _pattern(entry["images"], f"{where}.images")
        masks = _text(entry["masks"], f"{where}.masks") if "masks" in entry else None
        if masks is not None and "{stem}" not in masks:
            raise SchemaError(f"{where}.masks", f"{plain(masks)} has no {{stem}} for the name of the image")
        splits[_text(name, where)] = images, masks
    return splits


def _pattern(value: Any, where: str) -> str:
    """A glob pattern that pathlib takes."""
    pattern = Path(_text(value, where))
    if pattern.is_absolute():
        raise SchemaError(where, f"{plain(value)} is absolute; write it relative to root")
    if not pattern.parts:
        raise SchemaError(where, f"{plain(value)} is a folder; write which files in it, as in *.jpg")
    if any("**" in part and part != "**" for part in pattern.parts):
        raise SchemaError(where, f"{shown(value)}: ** stands for folders, and for itself between two /")
    if len(pattern.parts) > _MOST_PARTS:
        raise SchemaError(where, f"{plain(value)}: more than {_MOST_PARTS} folders")
    if pattern.parts.count("**") > _MOST_DEPTHS:
        raise SchemaError(where, f"{shown(value)}: ** stands there more than {_MOST_DEPTHS} times")
    return str(value)


def _items(root: Path, where: str, images: str, masks: str | None) -> list[Item]:
    try:
        found = by_stem(find_files(root, images))
    except OSError as error:  # such as a name that is too long
        raise SchemaError(f"{where}.images", f"{root / images}: {reason(error)}") from error
    if not found:
        raise SchemaError(f"{where}.images", f"no file matches {root / images}")
    return [
        Item(stem, image, None if masks is None else root / masks.replace("{stem}", stem))
        for stem, image in found.items()
    ]
