"""The page's loop over frames: the next one is worked on while one is drawn, and an error is told once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Bundle = Callable[[str], list[str]]


def test_order(bundle: Bundle) -> None:
    done = subprocess.run(bundle("runner.ts"), capture_output=True, text=True, check=True)
    overlapped, waiting, failing = json.loads(done.stdout)
    assert overlapped == ["segment 0", "segment 1", "show 0", "segment 2", "show 1", "segment 3", "show 2"]
    assert waiting == [f"{what} {frame}" for frame in range(3) for what in ("segment", "show")]
    assert failing == ["segment 0", "segment 1", "show 0", "segment 2", "show 1", "Error: failed 2"]
    assert done.stderr == ""
