"""tools/measure_live.py: which frame a picture is, when it was sent, and the whole for some seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_servers import python_with_gstreamer
from tools_here import load_tool


@pytest.fixture(scope="module")
def tool() -> Any:
    return load_tool("measure_live")


def test_numbers_in_pictures(tool: Any) -> None:
    rng = np.random.default_rng(0)
    for number in range(tool.CIRCLE):
        picture = rng.integers(0, 256, (108, 192, 3), np.uint8)
        tool.mark(picture, number)
        noisy = np.clip(picture + rng.normal(0, 20, picture.shape), 0, 255).astype(np.uint8)
        assert tool.number_of(noisy) == number


def test_ages_count_from_sending(tool: Any, tmp_path: Path) -> None:
    """The server sends in a circle: a number is that of the last frame with it, sent by now."""
    log = tmp_path / "sent.csv"
    log.write_text("".join(f"{number},{number * 10**7}\n" for number in range(300)))  # every 10 ms
    sent = tool.Sent(log)
    assert sent.age_s(299 % tool.CIRCLE, 3.0) == pytest.approx(0.01)
    assert sent.age_s(290 % tool.CIRCLE, 3.0) == pytest.approx(0.1)
    assert sent.age_s(250, 3.0) == pytest.approx(0.5)
    with log.open("a") as file:
        file.write(f"300,{300 * 10**7}\n")
    assert sent.age_s(300 % tool.CIRCLE, 3.02) == pytest.approx(0.02)


def test_the_whole(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_with_gstreamer()
    monkeypatch.setattr(tool, "SIZE_HW", (240, 320))
    monkeypatch.setattr(tool, "CIRCLE", 64)
    monkeypatch.setattr(tool, "WARM_UP_S", 0.5)
    out = tmp_path / "live.json"
    assert tool.main(["--minutes", "0.05", "--size", "32x64", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["frames"] > 0
    assert report["age_ms_from_sending"]["p50"] >= report["age_ms_from_receiving"]["p50"] - 1
    assert set(report["memory_mib"]) == {"start", "end", "most"}
