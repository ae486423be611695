"""Ctrl-C and SIGTERM while something does not answer: the command ends, and leaves no half-written file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# What never answers, and what it is put in the place of: (the main thread's, in C, where no handler of Python's
# runs), (the source's thread's, which the main thread waits for).
STUCK = """
import ctypes, os, sys
from bcpnet.cli import main, predict


def stuck_in_c(*_):
    os.write(2, b"stuck\\n")
    mutex = ctypes.create_string_buffer(64)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)
    lock(mutex)


def stuck_source(*_):
    yield from frames(*_)
    stuck_in_c()


import bcpnet.prediction.predict as prediction

frames = prediction.frames
where = sys.argv[1]
if where == "main thread":
    predict.count_frames = stuck_in_c
else:
    prediction.frames = stuck_source
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["main thread", "source"])
def test_what_does_not_answer_is_left(where: str, signum: int, bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", STUCK, where, "predict", str(bad / "good.mp4"), "--weights",
               str(bad / "good.onnx"), "--out", str(out)]  # fmt: skip
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, restore_signals=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stderr
        try:
            for line in process.stderr:
                if line == "stuck\n":
                    break
            time.sleep(0.3)
            process.send_signal(signum)
            code = process.wait(30)
            error = process.stderr.read()
        finally:
            process.kill()
    assert code == 128 + signum
    assert error.startswith("bcpnet: interrupted")
    assert error.count("\n") == 1
    assert files(out) == ({"good_overlay.mp4"} if where == "source" else set())


def test_ignored_signals_stay_ignored() -> None:
    """As after `nohup` or `&`: a script, in which Ctrl-C is for somebody else."""
    script = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from bcpnet.cli import main, models;"
        "run = models.run; models.run = lambda o: (os.kill(os.getpid(), signal.SIGINT), run(o))[1];"
        "sys.exit(main(['models']))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_what_a_library_makes_of_an_interrupt_is_one() -> None:
    script = (
        "import os, signal, sys; from bcpnet.cli import main, models\n"
        "def run(options):\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt as error: raise ImportError('cannot load') from error\n"
        "models.run = run; sys.exit(main(['models']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (143, "bcpnet: interrupted\n")
