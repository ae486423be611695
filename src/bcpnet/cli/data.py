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
    """Fetch a dataset, check it and lay it out. For example:

    bcpnet data camvid --root datasets/camvid

    Attributes:
        dataset: which one. Cityscapes needs an account at its own site and cannot be fetched.
        root: the folder to make, whole or not at all; a download that broke off goes on with the next call.
        base_url: where to fetch it from.
    """

    dataset: Positional[Literal["camvid"]]
    root: Path
    base_url: str = REPOSITORY


def run(options: Data) -> int:
    """Fetches; does nothing where it is already there."""
    with Status(seconds=2) as status:
        fetch_camvid(options.root, base_url=options.base_url, report=lambda text: status.show(text))
    print(f"CamVid in {options.root}")
    return 0
