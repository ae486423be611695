"""Damaged label files, thousands of them: each is read as H x W uint8, or refused in one clear line.

    python tests/fuzz/labels.py --count 10000 --seed 0

Each goes through the reader of ids and that of colours. Prints one line of JSON, the counts; what was otherwise is
told on standard error, and the exit code is 1.
"""

from __future__ import annotations

import sys

from damaged_pictures import run

from bcpnet.data.files import ColourLabels, IdLabels

READERS = {
    "any id": IdLabels({value: value % 19 for value in range(256)}),
    "few ids": IdLabels({0: 0, 1: 1, 255: 255}),
    "colours": ColourLabels({(0, 0, 0): 0, (255, 255, 255): 1, (6, 9, 4): 2}),
}

if __name__ == "__main__":
    sys.exit(run("labels", __doc__, READERS, 2))
