"""What an item holds, as the columns that `BatchSegmenter` takes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bcpnet.errors import InputError
from bcpnet.media.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from bcpnet.prediction.batch.files import opened
from bcpnet.prediction.batch.units import Item, Unit
from bcpnet.storage.damaged import damage, reason

Columns = dict[str, list[Any]]

_BATCH = 16  # pictures in memory at once, encoded
_MOST_BYTES = 1 << 30  # of a file inside a tar file


def batches(unit: Unit) -> Iterator[Columns | InputError]:
    """The unit's pictures and videos, some at a time; in the place of what cannot be read, why not."""
    for item in unit.items:
        try:
            if item.kind == "tar":
                yield from _of_tar(item)
            elif item.kind == "parquet":
                yield from _of_parquet(item)
        except InputError as error:
            yield error
    plain = [item for item in unit.items if item.kind in ("image", "video")]
    for first in range(0, len(plain), _BATCH):
        part = plain[first : first + _BATCH]
        yield {
            "path": [item.path for item in part],
            "start_s": [item.start for item in part],
            "end_s": [item.end for item in part],
        }


def _of_tar(item: Item) -> Iterator[Columns | InputError]:
    """WebDataset's: pictures among other files, which are passed over."""
    with opened(item.path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|*") as members:
                for member in members:
                    if not (member.isfile() and member.name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))):
                        continue
                    name = f"{item.path}#{member.name}"
                    content = members.extractfile(member)
                    if content is None or member.size > _MOST_BYTES:
                        yield InputError(f"{name}: more than {_MOST_BYTES >> 30} GiB")
                        continue
                    yield {"path": [name], "bytes": [content.read()]}
        except damage("tarfile") as error:
            raise InputError(f"{item.path}: damaged, or not a tar file ({reason(error)})") from error


def _of_parquet(item: Item) -> Iterator[Columns | InputError]:
    """A column of bytes, or of structs with "bytes" in them as Hugging Face writes them; "path" names the pictures."""
    with opened(item.path) as file:
        table = pq.ParquetFile(file)
        groups = range(item.start, table.num_row_groups if item.end is None else item.end)
        number = sum(table.metadata.row_group(group).num_rows for group in range(item.start))
        column = _image_column(item.path, table.schema_arrow)
        has_paths = "path" in table.schema_arrow.names and pa.types.is_string(table.schema_arrow.field("path").type)
        columns = [column, "path"] if has_paths else [column]
        for batch in table.iter_batches(_BATCH, row_groups=list(groups), columns=columns):
            contents = batch.column(column).to_pylist()
            if pa.types.is_struct(batch.column(column).type):
                contents = [None if content is None else content["bytes"] for content in contents]
            names = batch.column("path").to_pylist() if has_paths else [None] * len(contents)
            names = [name or f"{item.path}#{row}" for row, name in enumerate(names, number)]
            number += len(contents)
            there = [index for index, content in enumerate(contents) if content is not None]
            yield from (
                InputError(f"{name}: no picture in this row")
                for name, content in zip(names, contents, strict=True)
                if content is None
            )
            yield {"path": [names[index] for index in there], "bytes": [contents[index] for index in there]}


def _image_column(path: str, schema: pa.Schema) -> str:
    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            name: str = field.name
            return name
    raise InputError(f"{path}: no column with the bytes of pictures, only {', '.join(schema.names)}")
