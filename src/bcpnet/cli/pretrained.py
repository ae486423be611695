"""`bcpnet pretrained`: fetching weights that others trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.cli.common import Status
from bcpnet.errors import UsageError
from bcpnet.training.pretrained import SOURCES, fetch_pretrained


@dataclass(frozen=True)
class Pretrained:
    """Fetch weights that others trained. For example:

    bcpnet pretrained mobilenet_v2_050 --out mobilenet_v2_050.safetensors
    bcpnet pretrained espnetv2_200_cityscapes --out espnetv2.safetensors

    Attributes:
        name: mobilenet_v2_* = encoders, as `bcpnet train --pretrained` takes them (050 also for those of `bcpnet train
            --encoder` with narrower blocks); espnetv2_* = ESPNetv2 for Cityscapes' 19 classes, which `--weights` of
            every command takes, for non-commercial use.
        out: the file to write, NAME.safetensors.
        base_url: a mirror to fetch them from; by default the repository on GitHub that has them.
    """

    name: Positional[
        Literal["mobilenet_v2_050", "mobilenet_v2_100", "espnetv2_150_cityscapes", "espnetv2_200_cityscapes"]
    ]
    out: Path
    base_url: Annotated[str | None, arg(metavar="URL", help_behavior_hint="")] = None


def run(options: Pretrained) -> int:
    """Fetches and converts."""
    if options.out.suffix != ".safetensors":
        raise UsageError(f"{options.out}: name a file that ends in .safetensors")
    with Status(seconds=2) as status:
        same = fetch_pretrained(
            options.name, options.out, base_url=options.base_url, report=lambda text: status.show(text)
        )
    note = "" if same else f", not with {SOURCES[options.name].known}"
    print(f"{options.name} in {options.out}{note}")
    return 0
