"""`bcpnet info`: what a network costs; of weights, also what they are and where they come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from bcpnet.backends import open_backend
from bcpnet.cli.common import Flag, Name, Number, Sizes, parse_size, print_json
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.preprocess import network_size_hw
from bcpnet.metadata import Metadata
from bcpnet.weights import figures, shipped

if TYPE_CHECKING:
    from bcpnet.networks.info import NetworkInfo

_SIZES = ("360x640", "1024x2048")
_FRAME_HW = 1080, 1920


@dataclass(frozen=True)
class Info:
    """Tell what a network costs: parameters and multiply-adds (of convolutions and matrix products only). For example:

    bcpnet info bcpnet --classes 19 --sizes 360x640 1024x2048

    Of weights, also their classes, the size they were trained at, where they come from and their licence:

    bcpnet info camvid

    Attributes:
        what: a network (a wrong name gets the list), weights that ship (`bcpnet models` lists them), a .onnx or
            .safetensors file, or the folder of a run.
        sizes: heights and widths of images to count multiply-adds at; by default 360x640 and 1024x2048, for weights
            what they make of a 16:9 frame.
        classes: of a network: number of classes, by default 19.
        encoder: of bcpnet: mobilenet_v3_small (the paper's), mobilenet_v2_050, mobilenet_v2_050_lean (narrower
            blocks) or mobilenet_v2_100.
        pooling: of bcpnet: max3, avg3 or max5, the context pooling (the paper's Table 5).
        finest: of bcpnet: 3 as in the paper, or 2, the level that it classifies.
        finest_width: of bcpnet: channels of level 2, if it is the finest.
        without_bcp: of bcpnet: leave the BCP module out (the paper's Table 5).
        json: print JSON.
    """

    what: Annotated[Positional[str], arg(metavar="NETWORK|WEIGHTS")] = "bcpnet"
    sizes: Annotated[Sizes, arg(help_behavior_hint="")] = ()
    classes: Number = None
    encoder: Name = None
    pooling: Name = None
    finest: Number = None
    finest_width: Number = None
    without_bcp: Flag = False
    json: Flag = False


def run(options: Info) -> int:
    """Counts and prints."""
    given = {
        "classes": options.classes,
        "encoder": options.encoder,
        "pooling": options.pooling,
        "finest": options.finest,
        "finest_width": options.finest_width,
        "bcp": False if options.without_bcp else None,
    }
    choice = {name: value for name, value in given.items() if value is not None}
    path = Path(options.what)
    if options.what in shipped() or path.suffix or (path / "last.safetensors").is_file():
        if choice:
            raise UsageError(f"{options.what} are weights, which have their own network: leave out its options")
        _tell_weights(options)
    else:
        _tell_network(options, choice)
    return 0


def _tell_network(options: Info, choice: dict[str, Any]) -> None:
    from bcpnet.networks import NETWORKS
    from bcpnet.networks.info import describe

    classes = choice.pop("classes", 19)
    if not 1 <= classes <= 255:
        raise UsageError(f"{classes} classes: need 1 to 255")
    if options.what not in NETWORKS:
        raise UsageError(
            f"unknown network {options.what!r}: choose one of {', '.join(NETWORKS)}; "
            f"or weights: {', '.join(shipped())}, a .onnx or .safetensors file, the folder of a run"
        )
    counts = describe(options.what, classes, [parse_size(size) for size in options.sizes or _SIZES], **choice)
    if options.json:
        print_json(asdict(counts))
        return
    print(f"{counts.network}: {counts.parameters:,} parameters ({classes} classes)")
    _print_counts(counts)


def _tell_weights(options: Info) -> None:
    metadata = open_backend(options.what).metadata
    sizes = [parse_size(size) for size in options.sizes] or [network_size_hw(_FRAME_HW, metadata.short_side)]
    counts = _counts(options.what, metadata, sizes)
    known = figures(options.what)
    parameters = counts.parameters if counts else known and known.parameters
    if options.json:
        counted = asdict(counts) if counts else {"parameters": parameters, "parts": None, "macs": None}
        print_json({"weights": options.what, **asdict(metadata), **(asdict(known) if known else {}), **counted})
        return
    made = ", ".join(f"{key} {value}" for key, value in metadata.options.items())
    print(f"{options.what}: {metadata.network}{f' ({made})' if made else ''}")
    print(f"classes: {len(metadata.classes)} ({metadata.classes.name}): {', '.join(metadata.classes.names)}")
    print(f"trained at a short side of {metadata.short_side} pixels")
    print(f"parameters: {'not counted' if parameters is None else f'{parameters:,}'}")
    if counts:
        _print_counts(counts)
    else:
        print('multiply-adds: not counted, which needs PyTorch: in the checkout, pip install ".[train]"')
    if known:
        unseen = "not measured" if known.unseen_miou is None else f"{100 * known.unseen_miou:.2f} %"
        print(f"mIoU on drives that were not trained on: {unseen}")
        print(f"meant for: {known.meant_for}")
    print(f"trained on: {', '.join(metadata.trained_on) or 'unknown'}")
    print(f"from: {metadata.provenance}\nlicence: {metadata.licence}")


def _counts(weights: str, metadata: Metadata, sizes_hw: list[tuple[int, int]]) -> NetworkInfo | None:
    """Counts of the network as it is trained; an ONNX file holds it folded. None without PyTorch."""
    try:
        from bcpnet.networks.info import describe
    except ModuleNotFoundError:
        return None
    try:
        return describe(metadata.network, len(metadata.classes), sizes_hw, **metadata.options)
    except UsageError as error:  # the file's fault, not the caller's
        raise InputError(f"{weights}: its network cannot be built: {error}") from error


def _print_counts(counts: NetworkInfo) -> None:
    for part, parameters in counts.parts.items():
        print(f"  {part:10} {parameters:>12,}")
    for size, macs in counts.macs.items():
        print(f"  {size:10} {macs / 1e9:>8.3f} GMAC")
