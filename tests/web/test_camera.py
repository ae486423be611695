"""The page with a camera, which Chromium plays from a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest
from chromium import find_chromium, open_page
from page_steps import FRAMES, real_errors, saved_class_map, visit

from bcpnet.data.streets import drive
from bcpnet.labels import CAMVID

MINUTES = 5


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab with a camera that shows a drive of one second, again and again."""
    if find_chromium() is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    folder = tmp_path_factory.mktemp("camera")
    video = folder / "drive.y4m"
    with video.open("wb") as file:  # the plainest format there is: YUV 4:2:0, frame by frame
        file.write(b"YUV4MPEG2 W640 H360 F25:1 Ip A1:1 C420jpeg\n")
        for sample in drive(25, (360, 640)):
            frame = av.VideoFrame.from_ndarray(sample.image, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with open_page(*flags, f"--use-file-for-fake-video-capture={video}") as page:
        page.downloads = folder
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        yield page


def start(camera: Any, address: str) -> None:
    visit(camera, address)
    camera.click("#camera-first")
    camera.wait(f"{FRAMES} > 2", 120)


def test_segments_what_the_camera_sees(camera: Any, address: str) -> None:
    start(camera, address)
    class_map = saved_class_map(camera, "camera")
    assert class_map.shape == (360, 640)
    share = dict(zip(CAMVID.names, np.bincount(class_map.ravel(), minlength=11) / class_map.size, strict=True))
    assert share["road"] > 0.2
    assert share["sky"] > 0.1
    assert real_errors(camera) == []


@pytest.mark.slow
def test_memory_stays_flat(camera: Any, address: str) -> None:
    start(camera, address)
    camera.click("[value=confidence] + span")  # the most that is made of a frame
    camera.wait(f"{FRAMES} > 50", 120)  # what is made once is made
    memory = []
    for _ in range(MINUTES * 6):
        time.sleep(10)
        memory.append(camera.memory_mib())
    third = len(memory) // 3
    # Between two collections garbage comes and goes; what is kept for good raises the least, too.
    assert min(memory[-third:]) < min(memory[:third]) + 10, " ".join(f"{mib:.0f}" for mib in memory)
    assert camera.evaluate(FRAMES) > 50 + MINUTES  # it went on
    assert real_errors(camera) == []
