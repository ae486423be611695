"""Backends in other processes: pickled, they open anew; after a fork, nobody waits for threads that are not there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

import bcpnet
from bcpnet import weights
from bcpnet.backends import BACKENDS, open_backend
from bcpnet.errors import InputError

PACKAGES = {"pytorch": "torch", "native": "bcpnet"}


@pytest.fixture(params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(PACKAGES.get(request.param, request.param))
    if "camvid" not in weights.shipped():
        pytest.skip("no weights ship in this checkout")
    return str(request.param)


def test_pickled_and_copied_it_opens_anew(name: str) -> None:
    segmenter = bcpnet.load("camvid", backend=name, size_hw=(64, 96), threads=1)
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    expected = segmenter(frame)
    sent = pickle.dumps(segmenter)
    assert len(sent) < 1000  # the name of the weights, not the weights
    assert str(Path(weights.__file__).parent).encode() not in sent
    for other in (pickle.loads(sent), deepcopy(segmenter)):
        assert (other.backend.name, other.size_hw) == (name, (64, 96))
        np.testing.assert_array_equal(other(frame).class_map, expected.class_map)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(expected)).class_map, expected.class_map)


def test_a_file_stays_a_path_wherever_the_other_process_is(
    onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(onnx_path.parent)
    sent = pickle.dumps(open_backend(onnx_path.name, "onnxruntime", threads=1))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(sent)(np.zeros((1, 40, 48, 3), np.uint8)).shape == (1, 11, 5, 6)


def test_weights_that_went_are_told(onnx_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(onnx_path.read_bytes())
    sent = pickle.dumps(bcpnet.load(path, backend="onnxruntime"))
    path.unlink()
    with pytest.raises(InputError, match=r"mine\.onnx: no such file"):
        pickle.loads(sent)


FORKS = """
import os, sys, threading, time
import numpy as np
import bcpnet

name, does = sys.argv[1:]
frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


def load():
    return bcpnet.load("camvid", backend=name, size_hw=(64, 96), threads=2)


segmenter = load()
expected = segmenter(frame).class_map
stop = threading.Event()
busy = threading.Thread(target=lambda: [segmenter(frame) for _ in iter(stop.is_set, True)])
busy.start()
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        stop.set()
        same = True
        if does == "segments":
            same = np.mean(segmenter(frame).class_map == expected) > 0.999
        if does == "loads":
            same = np.mean(load()(frame).class_map == expected) > 0.999
        if does == "drops":
            del segmenter
        sys.exit(0 if same else 3)  # through the end of Python, where all is freed
    children.append(pid)
until = time.monotonic() + 60
codes = []
while children and time.monotonic() < until:
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            children.remove(pid)
            codes.append(os.waitstatus_to_exitcode(status))
    time.sleep(0.01)
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
stop.set()
busy.join()
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("does", ["segments", "loads", "drops"])
def test_a_process_forked_while_a_thread_segments_goes_on(name: str, does: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, name, does],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ran.stdout == "[0, 0, 0]\n", ran.stderr
