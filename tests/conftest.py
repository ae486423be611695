"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """Folder of the real CamVid (train/images ...), or a skip where this machine has none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "camvid"
    root = Path(os.environ.get("BCPNET_CAMVID", beside))
    if not (root / "train" / "images").is_dir():
        pytest.skip(f"no CamVid at {root}; set BCPNET_CAMVID to its folder")
    return root
