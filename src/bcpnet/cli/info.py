"""`bcpnet info`: what a network costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tyro.conf import Positional

from bcpnet.cli.common import parse_size, print_json


@dataclass(frozen=True)
class Info:
    """Count a network's parameters and multiply-adds (convolutions and matrix products only).

    Attributes:
        network: its name.
        classes: number of classes.
        sizes: image sizes HxW to count multiply-adds at.
        encoder: the encoder, for networks that have a choice.
        json: print JSON.
    """

    network: Positional[str] = "bcpnet"
    classes: int = 19
    sizes: tuple[str, ...] = ("360x640", "1024x2048")
    encoder: str | None = None
    json: bool = False


def run(options: Info) -> int:
    """Counts and prints."""
    from bcpnet.networks.info import describe

    choice = {} if options.encoder is None else {"encoder": options.encoder}
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
