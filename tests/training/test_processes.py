"""Several processes: what one of them says when another fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from bcpnet.errors import InputError
from bcpnet.training.processes import clear_failures

SCRIPT = """
import os, sys
from pathlib import Path

sys.path.insert(0, {tests!r})
import fake_training
from bcpnet.errors import InputError
from bcpnet.training import batches
from bcpnet.training.fit import fit

bad, where = int(sys.argv[1]), sys.argv[2]
batches._MEMORY_BYTES = 0  # read while training


class Samples(fake_training.Shades):
    def __getitem__(self, index):
        if os.environ.get("LOCAL_RANK", "0") == str(bad) and len(self.read) > 2:
            raise InputError("broken.png: not an image")
        return super().__getitem__(index)


train, val = (Samples if where == name else fake_training.Shades for name in ("train", "val"))
recipe = fake_training.tiny_recipe(micro_batch=2)
try:
    fit(recipe, train(16), val(12, seed=1), Path("run"), devices=2, accelerator="cpu")
except InputError as error:
    print("rank", os.environ.get("LOCAL_RANK", "0"), error, flush=True)
    sys.exit(1)
"""


@pytest.mark.parametrize(("bad", "where"), [(1, "train"), (1, "val"), (0, "train")])
def test_a_sample_that_one_process_cannot_read(bad: int, where: str, tmp_path: Path) -> None:
    """Each process says one clear line at most, and nothing else is said."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    ran = subprocess.run(
        [sys.executable, str(script), str(bad), where],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode, ran.stdout
    own = f"rank {bad} broken.png: not an image"
    other = f"rank {1 - bad} another process of this run failed; its message is above"
    # Lightning looks every five seconds for a child that failed, and kills the first process: it may say nothing.
    assert set(ran.stdout.splitlines()) in ({own, other}, {own}), ran.stdout


def test_other_errors_stay_as_they_are() -> None:
    for error in (RuntimeError("a bug"), InputError("a.png: broken"), RuntimeError("gloo, with one process")):
        with pytest.raises(type(error)) as raised, clear_failures(Fabric(accelerator="cpu")):
            raise error
        assert raised.value is error
