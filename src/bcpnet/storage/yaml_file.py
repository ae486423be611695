"""YAML files that people write by hand: read within bounds, and quoted within bounds in messages."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from reprlib import Repr
from typing import Any

import yaml

from bcpnet.errors import InputError
from bcpnet.storage.damaged import damage, reason, shortened

# A description of 255 classes and as many ids takes 20,000 bytes and 2,000 values.
_MOST_BYTES = 1 << 18
_MOST_VALUES = 10_000  # each alias counts as all that it stands for
_DEEPEST = 16
_LONGEST_NUMBER = 100  # letters; also of dates and the like
# Numbers that people write in tens and YAML reads otherwise: 010 to the base of 8, 1:30 to that of 60.
_OTHER_BASE = re.compile(r"[-+]?0[0-9_]|[^:]*:")
_MERGE = "tag:yaml.org,2002:merge"

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 60


class SchemaError(Exception):
    """An entry of a file is wrong. What the message quotes of the file must be `shown`."""

    def __init__(self, where: str, message: str) -> None:
        """`where`: the line, or the entry as "splits.train"."""
        super().__init__(f"{where}: {message}")


def load_yaml(path: Path) -> Any:
    """The file's content as plain Python values. A key that stands there twice is an error.

    Raises:
        SchemaError: not YAML, a value that is not what its tag says, or more than 256 KiB, 10,000 values (each alias
            counts as all that it stands for) or 16 levels.
        InputError: the file cannot be read.
    """
    try:
        if path.is_fifo():  # opening it would wait for its writer, and what came would be gone
            raise InputError(f"{path}: cannot read: a pipe, not a file")
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"{path}: cannot read: {reason(error)}") from error
    if len(text) > _MOST_BYTES:
        raise SchemaError("the file", f"larger than {_MOST_BYTES >> 10} KiB; this should be a small YAML file")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "the file"
        raise SchemaError(line, f"not the YAML it should be: {shortened(error.problem)}") from error
    except yaml.YAMLError as error:
        raise SchemaError("the file", "not a YAML text file") from error
    except damage("yaml") as error:
        raise SchemaError("the file", f"not the YAML it should be: {reason(error)}") from error


def shown(value: object) -> str:
    """A value for a message: its repr, abridged where it is long, wide or deep."""
    try:
        return shortened(_REPR.repr(value))
    except ValueError:  # an integer with more digits than Python prints
        return "a number of thousands of digits"


def plain(value: object) -> str:
    """The same, but text stands without quotes, as in "splits.train"."""
    return shortened(value) if isinstance(value, str) else shown(value)


class _Loader(yaml.SafeLoader):
    """Safe values only, each key once, and no more of them than the bounds."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self._depth = self._values = 0
        self._sizes: dict[int, int] = {}  # by id of a node: how many values it stands for

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias, before = self.check_event(yaml.AliasEvent), self._values
        self._values += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {_DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias:
            if id(node) not in self._sizes:  # it has not ended yet
                raise yaml.composer.ComposerError(None, None, "an alias of what it is a part of", mark)
            self._values = before + self._sizes[id(node)]
        self._sizes[id(node)] = self._values - before
        if self._values > _MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"more than {_MOST_VALUES} values", mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            if isinstance(node, yaml.ScalarNode) and kind != "str" and len(node.value) > _LONGEST_NUMBER:
                raise ValueError  # it could take long to make
            if kind in ("int", "float") and _OTHER_BASE.match(node.value):
                number = super().construct_object(node)
                problem = f"YAML takes {shown(node.value)} for {number}: write {number}, or the number that is meant"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except damage("yaml") as error:  # such as 2001-13-45, which YAML takes for a date
            problem = f"{shown(node.value)} is no {kind}; put a text in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        entries = node.value if isinstance(node, yaml.MappingNode) else []  # a tag may say what it is not
        own = [key for key, _ in entries if key.tag != _MERGE]  # before what "<<" brings, which they may replace
        mapping = super().construct_mapping(node, deep=deep)
        if len({self.construct_object(key) for key in own}) != len(own):
            raise yaml.constructor.ConstructorError(None, None, "a key is there twice", node.start_mark)
        return mapping
