"""Units done by Ray: the same rows as in this process, also where a process and a machine are lost on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")
pytest.importorskip("ray", reason="needs Ray: .[ray]")

import ray
from archives import SIZE_HW, expected_rows, keys, read_rows, write_archive, write_weights

from bcpnet.errors import InputError, UsageError
from bcpnet.prediction.batch.on_ray import run_on_ray
from bcpnet.prediction.batch.shards import units_left
from bcpnet.prediction.batch.units import Unit, find_items
from bcpnet.prediction.batch.work import Done, Work


@dataclass(frozen=True)
class Watched(Work):
    """Work that takes a while, tells on which node it is done, and kills its process once."""

    def __call__(self, unit: Unit) -> Done | InputError:
        Path(f"{self.out}-node-{ray.get_runtime_context().get_node_id()}").touch()
        time.sleep(0.3)
        killed = Path(f"{self.out}-killed")
        if "3.png" in unit.items[0].path and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(unit)


@pytest.fixture(autouse=True)
def _ray_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its processes find this module, and none of them outlives the test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])]))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    yield
    ray.shutdown()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "in")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(str(tmp_path / "out"), "digest", write_weights(tmp_path), "rle", SIZE_HW)


def test_rows_are_those_of_this_process(tmp_path: Path, archive: Path, work: Work) -> None:
    items = find_items([str(archive)])
    units, _ = units_left(work.out, items, work.settings)
    here = replace(work, out=str(tmp_path / "here"))
    assert all(isinstance(here(unit), Done) for unit in units)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    with closing(run_on_ray(work, units, workers=2)) as results:
        done = list(results)
    assert len(done) == len(units)
    expected, rows = read_rows(tmp_path / "here"), read_rows(tmp_path / "out")
    assert keys(rows) == expected_rows(archive)
    assert [{**row, "ms": 0} for row in rows] == [{**row, "ms": 0} for row in expected]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="is not a folder"):
        list(run_on_ray(replace(work, out=str(tmp_path / "file")), units[:1], None))
    assert ray.is_initialized()  # it was there before


def test_a_ray_that_does_not_start(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    def refused(**_: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refused)
    with pytest.raises(UsageError, match=r"no cluster answers at RAY_ADDRESS \(nobody there\)"):
        list(run_on_ray(work, [], None))


@pytest.mark.slow
def test_a_lost_process_and_a_lost_machine(tmp_path: Path, archive: Path, work: Work) -> None:
    """Two nodes; a worker is killed with -9 and a node goes, while both are at work."""
    from ray.cluster_utils import Cluster

    units = [Unit((item,)) for item in find_items([str(archive)])]
    watched = Watched(work.out, "digest", work.weights, "rle", SIZE_HW)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        with closing(run_on_ray(watched, units, workers=None)) as results:
            done = []
            is_removed = False
            for result in results:
                done.append(result)
                if not is_removed and len(list(tmp_path.glob("out-node-*"))) == 2:
                    cluster.remove_node(second, allow_graceful=False)
                    is_removed = True
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert is_removed
    assert (tmp_path / "out-killed").exists()
    assert len(done) == len(units)
    assert keys(read_rows(tmp_path / "out")) == expected_rows(archive)
