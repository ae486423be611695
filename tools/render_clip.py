"""Renders the demo clip, examples/streets.mp4, with the procedural generator: python tools/render_clip.py"""

from __future__ import annotations

from pathlib import Path

from bcpnet.data.streets import drive
from bcpnet.media.sources import VideoWriter

CLIP = Path(__file__).resolve().parents[1] / "examples" / "streets.mp4"
SIZE_HW, FRAMES, FPS, SEED = (360, 640), 120, 25, 7

with VideoWriter(CLIP, SIZE_HW, FPS) as writer:
    for sample in drive(FRAMES, SIZE_HW, SEED):
        writer.write(sample.image)
