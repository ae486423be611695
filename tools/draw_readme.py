"""Draws docs/streets.jpg, the picture of the README, with the weights that ship: python tools/draw_readme.py"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

import bcpnet
from bcpnet.media.sources import read_video, save_image

ROOT = Path(__file__).resolve().parents[1]
FRAME = 84

frame = next(islice(read_video(ROOT / "examples" / "streets.mp4"), FRAME, None))
overlay = np.asarray(bcpnet.load("camvid")(frame).overlay())
save_image(ROOT / "docs" / "streets.jpg", np.hstack([frame, overlay]))
