"""Damaged images, thousands of them: each is read as H x W x 3 uint8, or refused in one clear line.

    python tests/fuzz/images.py --count 10000 --seed 0

Prints one line of JSON, the counts; what was otherwise is told on standard error, and the exit code is 1.
"""

from __future__ import annotations

import sys

from damaged_pictures import run

from bcpnet.media.images import read_image

if __name__ == "__main__":
    sys.exit(run("images", __doc__, {"read_image": read_image}, 3))
