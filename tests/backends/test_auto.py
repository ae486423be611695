"""The fastest backend: which one wins, what is remembered, and what makes a new trial."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from one_convolution import METADATA

import bcpnet
from bcpnet.backends import auto
from bcpnet.backends.auto import Choice, choose
from bcpnet.errors import InputError, UsageError
from bcpnet.metadata import Metadata


class Clock(threading.local):
    """A time that only calls of a FakeBackend make pass: no load of the machine changes who wins."""

    now_s = 0.0

    def perf_counter(self) -> float:
        """As that of `time`."""
        return self.now_s


CLOCK = Clock()


@dataclass
class FakeBackend:
    """Takes as long as TAKES_S says of its name."""

    name: str
    metadata: Metadata = METADATA
    calls: int = 0

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert images.shape == (1, 64, 96, 3)
        assert images.dtype == np.uint8
        self.calls += 1
        CLOCK.now_s += TAKES_S[self.name]
        return np.zeros((1, 11, 8, 12), np.float32)


TAKES_S = {"fast": 0.002, "slow": 0.006, "hopeless": 0.05}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[FakeBackend]:
    """Backends "slow", "missing", "fast" and "hopeless"; those that trials have opened so far."""
    opened: list[FakeBackend] = []

    def open_fake(weights: str | Path, name: str, _: int | None) -> FakeBackend:
        if name not in TAKES_S:
            raise UsageError(f"{weights}: the backend {name} is not installed")
        opened.append(FakeBackend(name))
        return opened[-1]

    monkeypatch.setattr(auto, "BACKENDS", ("slow", "missing", "fast", "hopeless"))
    monkeypatch.setattr(auto, "open_backend", open_fake)
    monkeypatch.setattr(auto, "weights_suffix", lambda _: ".onnx")
    monkeypatch.setattr(auto, "_TRIAL_S", 0.1)
    monkeypatch.setattr(auto, "time", CLOCK)
    return opened


def test_the_fastest_wins_and_is_remembered(opened: list[FakeBackend], onnx_path: Path, tmp_path: Path) -> None:
    first = choose(onnx_path, (64, 96), 1, tmp_path)
    assert (first.backend, first.remembered) == ("fast", False)
    assert list(first.latency_ms) == ["slow", "fast", "hopeless"]
    calls = {backend.name: backend.calls for backend in opened}
    assert calls["hopeless"] == 3  # two to wake it, one in the trial
    assert calls["fast"] > calls["hopeless"]
    again = choose(onnx_path, (64, 96), 1, tmp_path)
    assert again == Choice(first.latency_ms, (64, 96), remembered=True)
    assert len(opened) == 3


@pytest.mark.usefixtures("opened")
def test_another_case_is_another_trial(onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remembered(weights: Path = onnx_path, threads: int | None = 1) -> bool:
        return choose(weights, (64, 96), threads, tmp_path / "outcomes").remembered

    assert [remembered(), remembered()] == [False, True]
    assert [remembered(threads=2), remembered(threads=2)] == [False, True]
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(onnx_path.read_bytes())
    assert remembered(copy)  # the content counts, not the name
    copy.write_bytes(onnx_path.read_bytes() + b"\0")
    assert not remembered(copy)
    monkeypatch.setattr(auto, "package_versions", lambda: {"onnxruntime": "99"})
    assert not remembered()
    monkeypatch.setattr(auto, "describe_processor", lambda: {"cpu": "another"})
    assert [remembered(), remembered()] == [False, True]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"\xff", b'{"key": 1}', b"null", b"[" * 100_000,
        {"latency_ms": {"tensorrt": 1.0}},  # a backend that this version does not have
        {"latency_ms": {"fast": 0.0, "slow": 1.0}}, {"latency_ms": {"fast": 10**400}}, {"latency_ms": {}},
        {"size_hw": ["a", "b"]}, {"size_hw": [None, 96]}, {"size_hw": [float("inf"), 96]},
    ],
)  # fmt: skip
def test_what_is_remembered_can_be_damaged(content: bytes | dict[str, object], onnx_path: Path, tmp_path: Path) -> None:
    choose(onnx_path, (64, 96), 1, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = json.loads(path.read_bytes())
    path.write_bytes(content if isinstance(content, bytes) else json.dumps({**whole, **content}).encode())
    assert not choose(onnx_path, (64, 96), 1, tmp_path).remembered
    assert json.loads(path.read_bytes())["key"] == whole["key"]


@pytest.mark.usefixtures("opened")
def test_a_folder_that_cannot_be_written(onnx_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        choice = choose(onnx_path, (64, 96), 1, tmp_path / "file" / "below")
        assert (choice.backend, choice.remembered) == ("fast", False)


@pytest.mark.usefixtures("opened")
def test_several_at_once(onnx_path: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        choices = list(pool.map(lambda _: choose(onnx_path, (64, 96), 1, tmp_path), range(8)))
    assert {choice.backend for choice in choices} <= set(TAKES_S)
    assert len(list(tmp_path.iterdir())) == 1  # nor a temporary file left
    assert choose(onnx_path, (64, 96), 1, tmp_path).remembered


def test_nobody_runs_them(
    opened: list[FakeBackend], onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "BACKENDS", ("missing", "gone"))
    with pytest.raises(UsageError, match="missing is not installed"):
        choose(onnx_path, (64, 96), 1, tmp_path)
    assert opened == []


def test_bad_weights_are_told_before_a_missing_runtime(
    onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_fake(weights: str | Path, name: str, _: int | None) -> FakeBackend:
        raise UsageError("not compiled") if name == "native" else InputError(f"{weights}: damaged")

    monkeypatch.setattr(auto, "open_backend", open_fake)
    with pytest.raises(InputError, match=r"network\.onnx: damaged"):
        choose(onnx_path, (64, 96), 1, tmp_path)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (
            Choice({"a": 30.0, "b": 10.0, "c": 20.0}, (64, 96), False),
            "backend b: 2.00 times as fast as c at 64x96, by a trial just now",
        ),
        (
            Choice({"a": 5.0, "b": 10.0}, (64, 96), True),
            "backend a: 2.00 times as fast as b at 64x96, remembered from an earlier trial",
        ),
        (Choice({"a": 5.0}, (64, 96), True), "backend a: no other is installed and runs these weights"),
    ],
)
def test_what_is_said(choice: Choice, text: str) -> None:
    assert str(choice) == text


def test_real_backends(onnx_path: Path, cache_folder: Path) -> None:
    """The class map is the same whichever wins; a frame's size is taken as 16:9 where none is given."""
    frame = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    fastest = bcpnet.load(onnx_path, backend="auto", size_hw=(40, 64), threads=1)
    assert fastest.backend.name in ("native", "onnxruntime", "openvino")
    expected = bcpnet.load(onnx_path, backend="onnxruntime", size_hw=(40, 64), threads=1)(frame)
    assert np.mean(fastest(frame).class_map == expected.class_map) > 0.999
    assert len(list(cache_folder.rglob("*.json"))) == 1
    assert choose(onnx_path).size_hw == (360, 640)


def test_weights_that_are_none(tmp_path: Path, cache_folder: Path) -> None:
    with pytest.raises(InputError, match=r"[Nn]o such file"):
        bcpnet.load(tmp_path / "missing.onnx", backend="auto")
    with pytest.raises(UsageError, match="unknown weights 'mine'"):
        bcpnet.load("mine", backend="auto")
    assert not list(cache_folder.rglob("*"))
