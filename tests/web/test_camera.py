"""The page with a camera, which Chromium plays from a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from chromium import find_chromium, open_page
from fake_camera import fake_camera
from page_steps import FRAMES, real_errors, saved_class_map, visit

from bcpnet.labels import CAMVID

MINUTES = 5


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab with a camera."""
    if find_chromium() is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    folder = tmp_path_factory.mktemp("camera")
    with open_page(*fake_camera(folder)) as page:
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


def kept_mib(camera: Any) -> tuple[float, float]:
    """Memory of JavaScript, and of the whole browser, that is kept while no frame is worked on.

    Without the pause and the collection it would be that of garbage: more than 20 MiB of frames come and go.
    """
    camera.evaluate("document.querySelector('video').pause()")
    shown = -1
    while shown != (shown := camera.evaluate(FRAMES)):  # until the frames on their way have arrived
        time.sleep(1.5)
    camera.collect_garbage()
    time.sleep(1)  # the allocator gives pages back
    kept = camera.heap_mib(), camera.memory_mib()
    camera.evaluate("document.querySelector('video').play()")
    return kept


@pytest.mark.slow
def test_memory_stays_flat(camera: Any, address: str) -> None:
    start(camera, address)
    camera.click("[value=confidence] + span")  # the most that is made of a frame
    camera.wait(f"{FRAMES} > 50", 120)  # what is made once is made
    first, began = camera.evaluate(FRAMES), time.monotonic()
    kept = []
    while time.monotonic() < began + 60 * MINUTES:
        time.sleep(8)
        kept.append(kept_mib(camera))
    third = len(kept) // 3
    for values, most_mib in zip(zip(*kept, strict=True), (1, 10), strict=True):  # a frame is 0.9 MiB
        assert min(values[-third:]) < min(values[:third]) + most_mib, " ".join(f"{mib:.1f}" for mib in values)
    assert camera.evaluate(FRAMES) > first + MINUTES  # it went on
    assert real_errors(camera) == []
