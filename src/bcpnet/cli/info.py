"""`bcpnet info`: what a network costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Name, Number, Sizes, parse_size, print_json
from bcpnet.errors import UsageError


@dataclass(frozen=True)
class Info:
    """Count a network's parameters and multiply-adds (convolutions and matrix products only). For example:

    bcpnet info bcpnet --classes 19 --sizes 360x640 1024x2048

    Attributes:
        network: its name; a wrong one gets the list.
        classes: number of classes.
        sizes: heights and widths of images to count multiply-adds at.
        encoder: bcpnet's encoder; by default the network's own.
        pooling: bcpnet's context pooling (the paper's Table 5): max3, avg3 or max5.
        finest: the level that bcpnet classifies: 3 as in the paper, or 2.
        finest_width: channels of bcpnet's level 2, if it is the finest.
        without_bcp: leave bcpnet's BCP module out (the paper's Table 5).
        json: print JSON.
    """

    network: Annotated[Positional[str], arg(metavar="NETWORK")] = "bcpnet"
    classes: int = 19
    sizes: Sizes = ("360x640", "1024x2048")
    encoder: Name = None
    pooling: Name = None
    finest: Number = None
    finest_width: Number = None
    without_bcp: Flag = False
    json: Flag = False


def run(options: Info) -> int:
    """Counts and prints."""
    from bcpnet.networks.info import describe

    if not 1 <= options.classes <= 255:
        raise UsageError(f"{options.classes} classes: need 1 to 255")
    given = {
        "encoder": options.encoder,
        "pooling": options.pooling,
        "finest": options.finest,
        "finest_width": options.finest_width,
        "bcp": False if options.without_bcp else None,
    }
    choice = {name: value for name, value in given.items() if value is not None}
    info = describe(options.network, options.classes, [parse_size(size) for size in options.sizes], **choice)
    if options.json:
        print_json(asdict(info))
        return 0
    print(f"{info.network}: {info.parameters:,} parameters ({options.classes} classes)")
    for part, parameters in info.parts.items():
        print(f"  {part:10} {parameters:>12,}")
    for size, macs in info.macs.items():
        print(f"  {size:10} {macs / 1e9:>8.3f} GMAC")
    return 0
