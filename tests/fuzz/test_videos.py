"""A small part of the fuzzer of videos, and that it would notice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import videos

from bcpnet.errors import InputError
from bcpnet.media.video import read_video


def test_a_few() -> None:
    run = subprocess.run(
        [sys.executable, videos.__file__, "--count", "60", "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout)
    assert (counts["files"], counts["faults"]) == (60, 0)
    assert counts["read"] > 40
    assert counts["InputError"] > 40


def test_the_videos_are_good_and_the_damage_is_the_seeds(tmp_path: Path) -> None:
    files = videos.good_videos()
    assert len(files) >= 8
    for number, data in enumerate(files):
        (tmp_path / str(number)).write_bytes(data)
        assert [image.shape for image in read_video(tmp_path / str(number))] == [(48, 64, 3)] * videos.FRAMES
        assert videos.what_happens(tmp_path / str(number), tmp_path / "copy.mp4") == ["read"] * 4
    assert videos.damaged(files, random.Random("3")) == videos.damaged(files, random.Random("3"))
    assert videos.damaged(files, random.Random("3")) != videos.damaged(files, random.Random("4"))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InputError("{path}: damaged"), "InputError"),
        (InputError("damaged"), "message"),
        (InputError("{path}: two\nlines"), "message"),
        (AssertionError("x"), "AssertionError: x"),
    ],
)
def test_it_would_notice(error: Exception, outcome: str, tmp_path: Path) -> None:
    told = type(error)(str(error).format(path=tmp_path / "x"))

    def use() -> None:
        raise told

    assert videos._outcome(use, tmp_path / "x", tmp_path / "y").startswith(outcome)


def test_a_hang_and_a_crash_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    work = """
import os, sys, time
first, last = int(sys.argv[4]), int(sys.argv[5])
for number in range(first, last):
    if number == 1: os.abort()
    if number == 3: time.sleep(60)
    print(f'[{number}, ["read"], 5]', flush=True)
"""
    script = Path(videos.__file__)
    popen = subprocess.Popen

    def start(command: list[str], **options: object) -> subprocess.Popen[str]:
        assert command[1] == str(script)
        return popen([command[0], "-c", work, *command[2:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(videos.subprocess, "Popen", start)
    monkeypatch.setattr(videos, "LONGEST_S", 3)
    assert videos.run(5, 0) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {"files": 5, "read": 3, "InputError": 0, "faults": 2, "most_mib": 5}
    assert [line.split(": ")[1] for line in err.splitlines()] == ["ended with -6", "hang"]


def test_the_memory_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(videos, "MOST_MIB", 1)
    assert videos.run(2, 0) == 1
    assert "MiB of memory" in capsys.readouterr().err
