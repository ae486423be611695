"""A camera for Chromium: a drive through a synthetic street, again and again."""

from __future__ import annotations

from pathlib import Path

import av

from bcpnet.data.streets import drive

FRAMES = 25
HEIGHT, WIDTH = 360, 640


def fake_camera(folder: Path, frames_per_second: int = 25) -> tuple[str, ...]:
    """Writes the film, and returns the flags of a Chromium that sees it, and lets every page see it."""
    film = folder / "drive.y4m"
    with film.open("wb") as file:  # the plainest format there is: YUV 4:2:0, frame by frame
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT, frames_per_second))
        for sample in drive(FRAMES, (HEIGHT, WIDTH)):
            frame = av.VideoFrame.from_ndarray(sample.image, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
