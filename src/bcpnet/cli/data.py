"""`bcpnet data`: fetching a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from bcpnet.cli.common import Status
from bcpnet.data.download import REPOSITORY, fetch_camvid


@dataclass(frozen=True)
class Data:
    """Fetch a dataset, check it and lay it out.

    Attributes:
        dataset: which one. Cityscapes needs an account at its own site and cannot be fetched.
        root: the folder to make.
        base_url: where to fetch it from.
    """

    dataset: Positional[Literal["camvid"]]
    root: Path
    base_url: str = REPOSITORY


def run(options: Data) -> int:
    """Fetches; does nothing where it is already there."""
    status = Status(seconds=2)
    fetch_camvid(options.root, base_url=options.base_url, report=lambda text: status.show(text))
    status.close()
    print(f"CamVid in {options.root}")
    return 0
