"""`bcpnet pretrained`: fetching an encoder to train from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from bcpnet.cli.common import Status
from bcpnet.errors import UsageError
from bcpnet.training.pretrained import REPOSITORY, fetch_pretrained


@dataclass(frozen=True)
class Pretrained:
    """Fetch a pre-trained encoder as `bcpnet train --pretrained` takes it. For example:

    bcpnet pretrained mobilenet_v2_050 --out mobilenet_v2_050.safetensors

    Attributes:
        encoder: which one: mobilenet_v2_050 also for those of `bcpnet train --encoder` with narrower blocks.
        out: the file to write, NAME.safetensors.
        base_url: where to fetch it from.
    """

    encoder: Positional[Literal["mobilenet_v2_050", "mobilenet_v2_100"]]
    out: Path
    base_url: str = REPOSITORY


def run(options: Pretrained) -> int:
    """Fetches and converts."""
    if options.out.suffix != ".safetensors":
        raise UsageError(f"{options.out}: name a file that ends in .safetensors")
    with Status(seconds=2) as status:
        same = fetch_pretrained(
            options.encoder, options.out, base_url=options.base_url, report=lambda text: status.show(text)
        )
    note = "" if same else ", not with the weights that ours started from"
    print(f"{options.encoder} in {options.out}{note}")
    return 0
