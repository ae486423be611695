"""Where the tensors of a network lie, and how its layers are cut into tiles."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

from bcpnet.native.fusion import Step
from bcpnet.native.sizes import Doubled, MapSize

# Rows of a tile: above and below it, rows of the front are computed twice.
_GOOD_ROWS = 16
_LEAST_ROWS = 4  # where there would be nothing to do for some threads
_SIDE_BY_SIDE = 8  # tiles per thread, so that none waits long for the last
_BEHIND = 16  # units behind a tensor that are read with its last vector, and not used: the widest vector's


def last_uses(steps: list[Step]) -> list[int]:
    """Of each step's output, the last step that reads it; its own where none does."""
    last = list(range(len(steps)))
    for index, step in enumerate(steps):
        for used in [*(source.step for source in step.sources), step.residual, step.gate]:
            if used is not None:
                last[used] = index
    return last


def size_for(size: MapSize | None, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a map for a frame of that size."""
    if size is None:
        return 1, 1
    height, width = size
    assert not isinstance(height, Doubled)
    assert not isinstance(width, Doubled)
    return height.of(size_hw[0]), width.of(size_hw[1])


def offsets_of(lengths: list[int], last_use: list[int], aligned: int) -> tuple[list[int], int]:
    """Where each tensor lies, first fit, and the length of it all.

    No two that are needed at the same time overlap; each starts at a multiple of `aligned`.
    """
    offsets: list[int] = []
    for index, length in enumerate(lengths):
        alive = sorted(
            (offsets[other], offsets[other] + lengths[other]) for other in range(index) if last_use[other] >= index
        )
        at = 0
        for start, end in alive:
            if at + length <= start:
                break
            at = max(at, -(-end // aligned) * aligned)
        offsets.append(at)
    return offsets, max(offset + length for offset, length in zip(offsets, lengths, strict=True))


def joined(
    packed: list[Any],
    steps: list[Step],
    size_hw: tuple[int, int],
    starts: list[int],
    lengths: list[int],
    unit: Literal["floats", "bytes"],
) -> ctypes.Array[Any]:
    """Layers for frames of that size, which read what those before them write.

    Args:
        packed: a C structure for each step, with what does not depend on the size.
        steps: what they compute.
        size_hw: of the frame.
        starts: the address of what each step writes.
        lengths: how many of `unit` that is; the structures' fields are named after it.
        unit: of lengths.
    """
    layers: ctypes.Array[Any] = (type(packed[0]) * len(packed))(*packed)
    sizes = [size_for(step.size, size_hw) for step in steps]
    for index, step in enumerate(steps):
        layer = layers[index]
        layer.height, layer.width = size_for(step.front_size, size_hw)
        layer.out_height, layer.out_width = sizes[index]
        layer.frame_height, layer.frame_width = size_hw
        for at, source in enumerate(step.sources):
            if source.step is not None:
                layer.sources[at].data = starts[source.step]
                setattr(layer.sources[at], unit, lengths[source.step] + _BEHIND)
                layer.sources[at].height, layer.sources[at].width = sizes[source.step]
        for name, of in (("residual", step.residual), ("gate", step.gate)):
            if of is not None:
                setattr(layer, name, starts[of])
                setattr(layer, f"{name}_{unit}", lengths[of] + _BEHIND)
        layer.out = starts[index]
        setattr(layer, f"out_{unit}", lengths[index])
    return layers


def tile_rows(height: int, across: int, threads: int) -> int:
    """Rows of the tiles that a layer's output of `height` rows is cut into, where `across` tiles lie side by side."""
    if threads == 1:
        return height
    down = max(
        min(-(-_SIDE_BY_SIDE * threads // across), height // _GOOD_ROWS),
        min(-(-threads // across), height // _LEAST_ROWS),
        1,
    )
    while down > threads and across * down % threads:  # the last round shall keep all threads busy
        down -= 1
    return even_part(height, down)


def even_part(length: int, parts: int) -> int:
    """The longest of `parts` parts of it."""
    return -(-length // parts)


def macs_of(steps: list[Step], size_hw: tuple[int, int]) -> int:
    """Multiply-adds of one run on a frame of that size."""
    return sum(_macs(step, size_for(step.front_size, size_hw), size_for(step.size, size_hw)) for step in steps)


def _macs(step: Step, front_hw: tuple[int, int], out_hw: tuple[int, int]) -> int:
    pixels_out = out_hw[0] * out_hw[1]
    pixels_in = 1 if step.squeeze else front_hw[0] * front_hw[1]
    of_front = 0 if step.expand is None else step.expand.weights.size * pixels_in
    after = sum(conv.weights.size for conv in (step.depthwise, step.project) if conv is not None)
    return of_front + after * pixels_out
