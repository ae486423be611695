"""Damaged dataset YAMLs, thousands of them: each gives a Folder, or one clear line.

    python tests/fuzz/yaml_files.py --count 10000 --seed 0

Prints one line of JSON, the counts; a file that did otherwise is named on standard error, with its content. Exit code 1
if there is one.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bcpnet.data.folder import Folder
from bcpnet.errors import InputError, UsageError

LONGEST_MESSAGE = 4000  # characters: two paths and a few values
LONGEST_S = 20  # for a file that takes milliseconds

GOOD = (
    "name: mine\nroot: .\nclasses:\n  - {name: road, colour: [128, 64, 128]}\n  - {name: car, colour: [0, 0, 142]}\n"
    "masks: index\nids: {7: road, 26: car, 1: 1}\nignore: [0]\nsplits:\n"
    '  train: {images: "img/*.png", masks: "msk/{stem}.png"}\n  test: {images: "img/*.png"}\n',
    "name: mine\nclasses: [road, car]\nsplits:\n  train:\n    images: img/*.png\n    masks: msk/{stem}.png\n",
    "name: &n mine\nclasses:\n- name: road\n  colour: &c [1, 2, 3]\n- name: *n\n  colour: [3, 2, 1]\nmasks: colour\n"
    "ignore: [[0, 0, 0]]\nsplits:\n  train: &t {images: 'img/*', masks: 'rgb/{stem}.png'}\n  val: *t\n",
)

# What stands for a value or a key in YAML, and makes trouble; "" leaves a gap.
NASTY = (
    "", "~", "null", "yes", "no", "0", "-1", "255", "256", "1.5", "1e999", ".nan", ".inf", "-.inf", "0x", "0x_",
    "0b", "08", "1:30", "1:2:3.4", "9" * 5000, "0x" + "f" * 5000, "1" + ":1" * 9000, "2001-01-01", "2001-13-45",
    "2001-01-01 99:99:99", "2001-01-01T00:00:00+99:99", "=", "<<", "[]", "{}", "[1, 2]", "{a: b}", "[" * 3000,
    "{" * 500, "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", "- - - - a", "? [a]", "? {a: b}\n: c", "!!int abc",
    "!!int ''", "!!float x", "!!bool x", "!!null x", "!!timestamp x", "!!binary 'AAAA'", "!!binary '*'",
    "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!str [a]", "!!seq a", "!!map a", "!!python/name:os.system",
    "!own x", "!", "!!python/object/apply:os.system ['true']", "!<tag:yaml.org,2002:int> x", "&a [*a]",
    "&a {*a : 1}", "*a", "*n", "&n", "&n x", "{<<: *t}", "{<<: [*t, *t]}", "{<<: x}", '"\\0"', '"\\ud800"',
    '"\\U0010ffff"', '"\\n"', "'", '"', "|\n", ">-", "x" * 5000, '"' + "\N{SNOWMAN}" * 3000 + '"', "a**b",
    "'**/**/**/**/*'", "'**'", ".", "..", "'*'", "/", "/nowhere/*", "'[z-a]'", "'['", "'{stem}'", "'{stem}{stem}'",
    "'" + "m" * 300 + "{stem}'", "a/" * 500, "img", "img/a.png/*", "--- x", "...", "%TAG ! x:", "#", "\t", "\u0085",
    "\u2028", "\ufeff", "\x1b[31m", "\x07", "colour", "index",
)  # fmt: skip


def explosion(rng: random.Random) -> str:
    """Aliases of aliases: `width` ** `depth` values in a few hundred bytes."""
    depth, width = rng.randint(2, 12), rng.randint(2, 12)
    levels = [f"k0: &a0 [{', '.join(['x'] * width)}]"]
    for level in range(1, depth):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        merge = rng.random() < 0.3
        levels.append(f"k{level}: &a{level} " + (f"{{<<: [{aliases}]}}" if merge else f"[{aliases}]"))
    return "{" + ", ".join(levels) + "}"


def damage_bytes(text: str, rng: random.Random) -> bytes:
    """Bytes changed, taken away, put in, doubled; or the end cut off; or another encoding."""

    def some(length: int) -> bytes:
        return rng.randbytes(length) if rng.random() < 0.2 else bytes(rng.choices(range(32, 127), k=length))

    data = bytearray(text.encode(rng.choice(["utf-8"] * 8 + ["utf-16", "utf-32", "utf-8-sig"])))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 1, 2, 4, 8])
        change = rng.randrange(5)
        if change == 0:
            data[at : at + length] = some(length)
        elif change == 1:
            del data[at : at + length]
        elif change == 2:
            data[at:at] = some(length)
        elif change == 3:
            data[at:at] = data[at : at + 4 * length] * length
        else:
            data[at : at + 1] = rng.choice(b"[]{}:,-?&*!|>'\"%@`#~ \t\n\\0").to_bytes(1, "big")
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def damage_values(text: str, rng: random.Random) -> bytes:
    """Keys and values put in the place of others, and whole lines moved."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        words = list(re.finditer(r"\"[^\"]*\"|'[^']*'|\[[^\[\]]*\]|\{[^{}]*\}|[\w./*&]+", text))
        if words:
            word = rng.choice(words)
            nasty = explosion(rng) if rng.random() < 0.05 else rng.choice(NASTY)
            text = text[: word.start()] + nasty + text[word.end() :]
        if rng.random() < 0.1:
            lines = text.splitlines(keepends=True)
            rng.shuffle(lines)
            text = "".join(lines)
    return text.encode("utf-8", "surrogatepass")


class _HangError(BaseException):
    """No Exception, so that nothing that is tested catches it."""


def _hang(*_: object) -> None:
    raise _HangError


def what_happens(path: Path) -> str:
    """ "read" or the name of the error; what must not be begins with "**"."""
    try:
        if hasattr(signal, "alarm"):
            signal.signal(signal.SIGALRM, _hang)
            signal.alarm(LONGEST_S)
        Folder(path, "train")[0]
    except (InputError, UsageError) as error:
        message = str(error)
        if "\n" in message or len(message) > LONGEST_MESSAGE:
            return f"** a message of {len(message)} letters or several lines: {message[:200]!r}"
        return "UsageError" if isinstance(error, UsageError) else "InputError"
    except Exception as error:  # the very thing that is looked for
        return f"** {type(error).__name__}: {str(error)[:200]}"
    except _HangError:
        return f"** still at it after {LONGEST_S} s"
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)
    return "read"


def fuzz(count: int, seed: int) -> tuple[dict[str, float], list[tuple[str, bytes]]]:
    """Counts of what `count` files did, and of those that did what they must not, what it was, and the content."""
    rng = random.Random(seed)
    damages: tuple[Callable[[str, random.Random], bytes], ...] = (damage_bytes, damage_values)
    counts: Counter[str] = Counter({"files": 0, "read": 0, "InputError": 0, "UsageError": 0, "faults": 0})
    faults, slowest_s = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.yaml"
        pictures = {"img": np.zeros((4, 4, 3), np.uint8), "msk": np.ones((4, 4), np.uint8)}
        for kind, values in {**pictures, "rgb": pictures["img"] + np.array([1, 2, 3], np.uint8)}.items():
            (path.parent / kind).mkdir()
            Image.fromarray(values).save(path.parent / kind / "s.png")
        for _ in range(count):
            data = rng.choice(damages)(rng.choice(GOOD), rng)
            path.write_bytes(data)
            began = time.perf_counter()
            told = what_happens(path)
            slowest_s = max(slowest_s, time.perf_counter() - began)
            counts["files"] += 1
            if told.startswith("**"):
                counts["faults"] += 1
                faults.append((told, data))
            else:
                counts[told] += 1
    return {**counts, "slowest_s": round(slowest_s, 3)}, faults


def main() -> int:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    counts, faults = fuzz(chosen.count, chosen.seed)
    for told, data in faults[:20]:
        print(told, data[:2000], file=sys.stderr)
    print(json.dumps({"target": "yaml", "seed": chosen.seed, **counts}))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
