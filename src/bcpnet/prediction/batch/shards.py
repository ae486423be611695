"""The Parquet files that results are written to: each whole, under a name that its unit alone decides."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bcpnet.errors import InputError, UsageError
from bcpnet.prediction.batch.files import copy_there, joined, list_folder, opened
from bcpnet.prediction.batch.units import Item, Unit, units_of
from bcpnet.prediction.tables import Output, Row
from bcpnet.storage.files import atomic_path

_KEY = b"bcpnet"  # in a file's metadata: settings and items
_NAME = re.compile(r"part-([0-9a-f]{24})\.parquet")
_ROW_GROUP = 256  # rows held in memory


def schema_of(class_names: Sequence[str], output: Output) -> pa.Schema:
    """The columns of a shard: those of `BatchSegmenter`, with a field for each class in "shares" and "rle"."""
    fields: dict[str, Any] = {
        "path": pa.string(),
        "frame": pa.int64(),
        "time_s": pa.float64(),
        "height": pa.int32(),
        "width": pa.int32(),
        "shares": pa.struct([(name, pa.float64()) for name in class_names]),
        "confidence": pa.float32(),
        "ms": pa.float32(),
        "error": pa.string(),
    }
    if output == "rle":
        fields["rle"] = pa.struct([(name, pa.string()) for name in class_names])
    elif output == "png":
        fields["png"] = pa.binary()
    return pa.schema(fields)


def write_shard(folder: str, unit: Unit, settings: object, schema: pa.Schema, rows: Iterable[Row]) -> None:
    """Writes the rows of a unit as one file, whole or not at all. Raises InputError where it cannot."""
    name = f"part-{unit.digest(settings)}.parquet"
    about = json.dumps({"settings": settings, "items": [astuple(item) for item in unit.items]})
    schema = schema.with_metadata({_KEY: about.encode()})
    if "://" not in folder:
        with atomic_path(Path(folder, name)) as temporary:
            _write(temporary, schema, rows)
        return
    with tempfile.TemporaryDirectory(prefix="bcpnet-") as here:
        _write(Path(here, name), schema, rows)
        with Path(here, name).open("rb") as file:
            copy_there(file, joined(folder, name))


def units_left(folder: str, items: Sequence[Item], settings: object) -> tuple[list[Unit], int]:
    """The units that no shard in `folder` has, and the number of items that some shard has.

    Where inputs were added since the shards were written, units are made of what is new only.

    Raises:
        UsageError: there are shards of other weights or options.
        InputError: the folder, or a shard in it, cannot be read.
    """
    units = {unit.digest(settings): unit for unit in units_of(items)}
    written = [match[1] for name in list_folder(folder) if (match := _NAME.fullmatch(name))]
    if set(written) <= set(units):
        left = [unit for digest, unit in units.items() if digest not in set(written)]
    else:
        done = {item for digest in written for item in _items_of(joined(folder, f"part-{digest}.parquet"), settings)}
        left = units_of(item for item in items if item not in done)
    return left, len(items) - sum(len(unit.items) for unit in left)


def _items_of(name: str, settings: object) -> list[Item]:
    with opened(name) as file:
        about: dict[str, Any] = {}
        with suppress(ValueError, TypeError):
            about = json.loads((pq.read_metadata(file).metadata or {}).get(_KEY, b"{}"))
    if not about:
        raise InputError(f"{name}: not written by bcpnet batch: choose another --out")
    if about["settings"] != settings:
        raise UsageError(f"{name}: written with other weights or options: choose another --out")
    return [Item(*item) for item in about["items"]]


def _in_utf8(row: Row) -> Row:
    """A path may hold bytes that are none: "?" in their place."""
    texts = {name: row[name].encode(errors="replace").decode() for name in ("path", "error") if row.get(name)}
    return {**row, **texts}


def _write(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> None:
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            source = iter(rows)
            while group := list(islice(source, _ROW_GROUP)):
                writer.write_table(pa.Table.from_pylist([_in_utf8(row) for row in group], schema))
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot write: {error}") from error
