"""Damaged and changed weights, thousands of them: the engine refuses each, or computes what ONNX Runtime does.

    python tests/fuzz/weights.py --count 10000 --seed 0

Prints one line of JSON, the counts; what did otherwise is named on standard error, and kept with --keep. Exit code 1 if
there is one. A crash of the process is a fault too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from changed_networks import cases

from bcpnet import native
from bcpnet.backends import open_backend
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.backends.self_check import DisagreementError
from bcpnet.errors import InputError

TOLERANCE = 1e-2  # of the largest logit: of weights that damage has made large, rounding costs more than usual
LONGEST_MESSAGE = 1000  # characters
SIZES = ((33, 47), (64, 40))
_MAY_BE_DAMAGED = tuple(map(int, ort.__version__.split(".")[:2])) >= (1, 28)  # before, ONNX Runtime itself may crash


def outcome(path: Path) -> str:
    """ "refused", "self-check" (refused by it alone), "same", or what is wrong with it."""
    try:
        engine = open_backend(path, "native", threads=1)
    except DisagreementError:
        return "self-check"
    except InputError as error:
        if "\n" in str(error) or len(str(error)) > LONGEST_MESSAGE:
            return f"a message of several lines or too long: {str(error)[:200]!r}"
        return _of_onnxruntime(path)
    reference = OnnxRuntimeBackend(path, 1)
    for number, size_hw in enumerate(SIZES):
        frames = np.random.default_rng(number).integers(0, 256, (1, *size_hw, 3), np.uint8)
        expected, logits = reference(frames), engine(frames)
        if expected.shape != logits.shape or not np.abs(logits - expected).max() <= TOLERANCE * np.abs(expected).max():
            return "other logits than ONNX Runtime's"
    return "same"


def _of_onnxruntime(path: Path) -> str:
    """What the engine refused is ONNX Runtime's, whose errors are to be ours, too."""
    if _MAY_BE_DAMAGED and path.stat().st_size < 100_000:  # large ones take their time
        try:
            OnnxRuntimeBackend(path, 1)(np.zeros((1, 33, 47, 3), np.uint8))
        except InputError as error:
            if "\n" in str(error) or len(str(error)) > LONGEST_MESSAGE:
                return f"a message of several lines or too long: {str(error)[:200]!r}"
    return "refused"


def fuzz(count: int, seed: int, keep: Path | None = None) -> tuple[Counter[str], list[str]]:
    """How many ended how, and what did as it must not: a line each."""
    counts = Counter({"files": 0, "same": 0, "refused": 0, "self-check": 0, "faults": 0})
    wrong = []
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        path = Path(folder) / "weights.onnx"
        for told, content in cases(count, seed):
            path.write_bytes(content)
            try:
                said = outcome(path)
            except Exception:  # whatever it is, it is counted and told
                said = traceback.format_exc().strip().splitlines()[-1]
            known = said in counts
            counts["files"] += 1
            counts[said if known else "faults"] += 1
            if not known:
                wrong.append(f"{told}: {said}")
            if keep and (not known or said == "self-check"):
                (keep / f"{seed}-{told.partition(':')[0]}.onnx").write_bytes(content)
    return counts, wrong


def main() -> int:
    """Fuzzes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an existing folder for the files of faults")
    options = parser.parse_args()
    if native.library() is None:
        print("the C library was not compiled here: nothing to fuzz", file=sys.stderr)
        return 1
    counts, wrong = fuzz(options.count, options.seed, options.keep)
    for line in wrong:
        print(line, file=sys.stderr)
    print(json.dumps({"target": "weights", "seed": options.seed, **counts}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
