"""`bcpnet data`: fetching a dataset, and checking one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import subcommand

from bcpnet.cli import data_check
from bcpnet.cli.common import Status
from bcpnet.cli.data_check import DataCheck
from bcpnet.data.download import REPOSITORY, fetch_camvid


@dataclass(frozen=True)
class FetchCamvid:
    """Fetch CamVid, check it and lay it out. For example:

    bcpnet data camvid --root datasets/camvid

    Cityscapes needs an account at its own site and cannot be fetched.

    Attributes:
        root: the folder to make, whole or not at all; a download that broke off goes on with the next call.
        base_url: where to fetch it from.
    """

    root: Path
    base_url: str = REPOSITORY


Data = (
    Annotated[FetchCamvid, subcommand("camvid", prefix_name=False)]
    | Annotated[DataCheck, subcommand("check", prefix_name=False)]
)


def run(options: FetchCamvid | DataCheck) -> int:
    """Fetches, doing nothing where it is already there; or checks."""
    if isinstance(options, DataCheck):
        return data_check.run(options)
    with Status(seconds=2) as status:
        fetch_camvid(options.root, base_url=options.base_url, report=lambda text: status.show(text))
    print(f"CamVid in {options.root}")
    return 0
