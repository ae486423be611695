"""Units done by processes that may be killed: no row is lost, none is there twice, none is half written."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")

from archives import SIZE_HW, expected_rows, keys, read_rows, write_archive, write_weights

import bcpnet
from bcpnet.errors import InputError, UsageError
from bcpnet.prediction.batch.local import run_local
from bcpnet.prediction.batch.shards import units_left
from bcpnet.prediction.batch.units import Item, Unit, find_items
from bcpnet.prediction.batch.work import Done, GivenUp, Work

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")


@dataclass(frozen=True)
class Fragile(Work):
    """Work whose process is killed while it writes the shard of some items, so many times."""

    deadly: str = ""
    deaths: int = 0

    def __call__(self, unit: Unit) -> Done | InputError:
        for number in range(self.deaths):
            mark = Path(f"{self.out}-death-{number}")
            if self.deadly in unit.items[0].path and not mark.exists():
                mark.touch()
                Path(self.out).mkdir(exist_ok=True)
                Path(self.out, ".bcpnet-0123456789abcdef.parquet").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(unit)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "in")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work("unset", "digest", write_weights(tmp_path_factory.mktemp("weights")), "rle", SIZE_HW)


def test_a_killed_process_loses_no_row_and_doubles_none(tmp_path: Path, archive: Path, work: Work) -> None:
    out = tmp_path / "out"
    items = find_items([str(archive)])
    fragile = Fragile(str(out), "digest", work.weights, "rle", SIZE_HW, deadly="clip", deaths=2)
    units, _ = units_left(str(out), items, fragile.settings)
    with closing(run_local(fragile, units, workers=2)) as results:
        done = list(results)
    assert not multiprocessing.active_children()
    assert len(list(tmp_path.glob("out-death-*"))) == 2
    assert len(done) == len(units)
    rows = read_rows(out)
    assert keys(rows) == expected_rows(archive)
    assert sum(unit.rows for unit in done if isinstance(unit, Done)) == len(rows)
    assert units_left(str(out), items, fragile.settings) == ([], len(items))
    segmenter = bcpnet.load(work.weights, size_hw=SIZE_HW)
    for row in rows:
        if row["path"].endswith("4.png"):
            coco = segmenter(row["path"]).to_coco("4.png")
            names = {category["id"]: category["name"] for category in coco["categories"]}
            codes = {names[entry["category_id"]]: entry["segmentation"]["counts"] for entry in coco["annotations"]}
            assert {name: code for name, code in row["rle"].items() if code is not None} == codes


def test_what_always_kills_is_given_up(tmp_path: Path, archive: Path, work: Work) -> None:
    fragile = Fragile(str(tmp_path / "out"), "digest", work.weights, "none", SIZE_HW, deadly="0.png", deaths=99)
    deadly, good = Unit((Item(str(archive / "0.png")),)), Unit((Item(str(archive / "1.png")),))
    with closing(run_local(fragile, [deadly, good], workers=1)) as results:
        first, second = results
    assert first == GivenUp(deadly)
    assert isinstance(second, Done)
    assert second.rows == 1
    assert len(list(tmp_path.glob("out-death-*"))) == 3


def test_stopped_early_no_process_is_left(tmp_path: Path, archive: Path, work: Work) -> None:
    items = find_items([str(archive)])
    work = replace(work, out=str(tmp_path / "out"))
    units, _ = units_left(work.out, items, work.settings)
    with closing(run_local(work, units, workers=2)) as results:
        next(results)
    assert not multiprocessing.active_children()
    left, before = units_left(work.out, items, work.settings)
    assert before >= 1
    list(run_local(work, left, 2))
    assert keys(read_rows(tmp_path / "out")) == expected_rows(archive)


def test_new_inputs_are_added_and_nothing_is_done_again(tmp_path: Path, archive: Path, work: Work) -> None:
    work = replace(work, out=str(tmp_path / "out"))
    names = sorted(str(path) for path in archive.glob("*.png"))
    for inputs in (names[1:], names, names):
        units, before = units_left(work.out, find_items(inputs), work.settings)
        for unit in units:
            assert isinstance(work(unit), Done)
        assert len(units) == (0 if before == len(names) else 1)
    assert [row["path"] for row in read_rows(tmp_path / "out")] == names
    with pytest.raises(UsageError, match="written with other weights or options"):
        units_left(work.out, find_items(names), replace(work, digest="other").settings)


def test_a_folder_that_cannot_be_written_ends_the_run(tmp_path: Path, archive: Path, work: Work) -> None:
    (tmp_path / "file").write_text("in the way")
    work = replace(work, out=str(tmp_path / "file"))
    with (
        pytest.raises(InputError, match="is not a folder"),
        closing(run_local(work, [Unit((Item(str(archive / "0.png")),))], 1)) as results,
    ):
        list(results)
    assert not multiprocessing.active_children()
