"""One unit, from its files to its shard: what an engine runs in each of its processes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bcpnet.errors import InputError
from bcpnet.prediction.batch.contents import batches
from bcpnet.prediction.batch.shards import schema_of, write_shard
from bcpnet.prediction.batch.units import Unit
from bcpnet.prediction.tables import BatchSegmenter, Output, Row

MOST_TRIES = 3  # of a unit whose process is lost


@dataclass
class Done:
    """What came of a unit.

    Attributes:
        rows: written.
        errors: those of them that are errors.
        first_error: the text of the first.
        ms: to decode and segment all of them, in milliseconds.
        shares: by class name, added up over the frames.
        seen_in: by class name, the number of frames that it is in.
    """

    rows: int = 0
    errors: int = 0
    first_error: str | None = None
    ms: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    seen_in: dict[str, int] = field(default_factory=dict)

    def add_row(self, row: Row) -> None:
        """Counts one row."""
        self.rows += 1
        if row.get("error") is not None:
            self.errors += 1
            self.first_error = self.first_error or row["error"]
            return
        self.ms += row["ms"]
        for name, share in row["shares"].items():
            self.shares[name] = self.shares.get(name, 0.0) + share
            self.seen_in[name] = self.seen_in.get(name, 0) + (share > 0)

    def add(self, other: Done) -> None:
        """Counts another unit, too."""
        self.rows += other.rows
        self.errors += other.errors
        self.first_error = self.first_error or other.first_error
        self.ms += other.ms
        for name, share in other.shares.items():
            self.shares[name] = self.shares.get(name, 0.0) + share
            self.seen_in[name] = self.seen_in.get(name, 0) + other.seen_in[name]


@dataclass(frozen=True)
class GivenUp:
    """A unit whose process was lost each time.

    Attributes:
        unit: of which there is no shard.
    """

    unit: Unit


@dataclass(frozen=True)
class Work:
    """What is to be done with each unit; a call does it. It can be pickled.

    Attributes:
        out: the folder of the shards, or its address.
        digest: of the weights' file.
        weights, output, size_hw: as `BatchSegmenter` takes them.
    """

    out: str
    digest: str
    weights: str = "camvid"
    output: Output = "rle"
    size_hw: tuple[int, int] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What decides on the rows beside the inputs: shards of others are none of this work's."""
        size = None if self.size_hw is None else list(self.size_hw)
        return {"weights": self.digest, "output": self.output, "size": size}

    def __call__(self, unit: Unit) -> Done | InputError:
        """Writes the shard of a unit; or says why it cannot be written."""
        try:
            segmenter = _segmenter(self.weights, self.output, self.size_hw)
            done = Done()
            with closing(_rows(segmenter, unit, done)) as rows:
                write_shard(self.out, unit, self.settings, schema_of(segmenter.class_names, self.output), rows)
        except InputError as error:
            return error
        return done


@lru_cache(maxsize=1)  # a process has many units
def _segmenter(weights: str, output: Output, size_hw: tuple[int, int] | None) -> BatchSegmenter:
    return BatchSegmenter(weights, output, size_hw)


def _rows(segmenter: BatchSegmenter, unit: Unit, done: Done) -> Generator[Row, None, None]:
    for batch in batches(unit):
        for row in [_error_row(unit, batch)] if isinstance(batch, InputError) else segmenter.rows(batch):
            done.add_row(row)
            yield row


def _error_row(unit: Unit, error: InputError) -> Row:
    return {"path": unit.items[0].path, "error": str(error)}
