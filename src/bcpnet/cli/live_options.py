"""The options of `bcpnet predict` for live sources: what they go with, and what they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bcpnet.cli.common import parse_size
from bcpnet.cli.progress import parse_seconds
from bcpnet.errors import UsageError
from bcpnet.media.live.address import PIPE, RawPipe, parse_address
from bcpnet.media.live.open import source_of
from bcpnet.media.live.sink import Sink
from bcpnet.media.sources import MediaItem
from bcpnet.pipeline import divide_threads

if TYPE_CHECKING:
    from bcpnet.cli.predict import Predict


def live_item(options: Predict, tell: Callable[[str], None]) -> MediaItem | None:
    """The live source, which is alone; None where the sources are files. Opens nothing.

    Raises:
        UsageError: a live source beside others, or an option that does not go with what there is.
    """
    raw = _raw_pipe(options)
    addresses = [parse_address(source, raw) for source in options.sources]
    address = next((address for address in addresses if address is not None), None)
    if address is None:
        for name in ("policy", "duration", "max_frames"):
            if getattr(options, name) is not None:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} is for live sources: --every, --start and --end choose frames of videos")
        return None
    if len(addresses) > 1:
        raise UsageError(f"{address.name}: a live source goes alone: start one bcpnet for each")
    if options.every != 1 or options.start is not None or options.end is not None:
        raise UsageError(
            "--every, --start and --end are for video files; for a live source, --duration and --max-frames"
        )
    duration_s = None if options.duration is None else float(parse_seconds("--duration", options.duration))
    source = source_of(address, options.policy, duration_s, options.max_frames, tell)
    return MediaItem(Path(address.stem), address.stem, is_video=True, source=source)


def divide(options: Predict, items: Sequence[MediaItem]) -> tuple[int, int]:
    """Workers, and threads of each: one worker that has all threads where results must be young."""
    if any(item.source is not None for item in items):
        address = parse_address(options.sources[0])
        waits = address is not None and address.kind in ("pipe", "numbered")
        is_every = waits if options.policy is None else options.policy == "every"
        return divide_threads(options.threads, None if is_every else 1)
    return divide_threads(options.threads, None if any(item.is_video for item in items) else len(items))


def overlay_path(options: Predict) -> Path | None:
    """The file that `--save-to` names; None where it names none. Raises UsageError where it is no .mp4."""
    if options.save_to is None or options.save_to == PIPE or "://" in options.save_to:
        return None
    if Path(options.save_to).suffix.lower() != ".mp4":
        raise UsageError(f"--save-to {options.save_to}: need a name that ends with .mp4, an address, or -")
    return Path(options.save_to)


def sink_of(options: Predict, items: Sequence[MediaItem]) -> Sink | None:
    """The pipe or stream that `--save-to` names; None where it names none.

    Raises:
        UsageError: there is not one video, or no overlay can go there.
    """
    if options.save_to is None:
        return None
    if len(items) != 1 or not items[0].is_video:
        raise UsageError("--save-to is for one video or one live source")
    if options.save_to == PIPE and options.json and options.json_to is None:
        raise UsageError("standard output takes only one of both: send the lines to a file with --json-to FILE")
    return Sink(options.save_to, options.save_as) if overlay_path(options) is None else None


def _raw_pipe(options: Predict) -> RawPipe | None:
    if (options.pipe_format is None) != (options.pipe_size is None):
        raise UsageError("frames without a container need both, --pipe-format and --pipe-size")
    if options.pipe_format is None or options.pipe_size is None:
        return None
    return RawPipe(options.pipe_format, parse_size(options.pipe_size))
