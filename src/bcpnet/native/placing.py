"""Where the tensors of a network lie, and how its layers are cut into tiles."""

from __future__ import annotations

from bcpnet.native.fusion import Step
from bcpnet.native.sizes import Doubled, MapSize

# Rows of a tile: above and below it, rows of the front are computed twice.
_GOOD_ROWS = 16
_LEAST_ROWS = 4  # where there would be nothing to do for some threads
_SIDE_BY_SIDE = 8  # tiles per thread, so that none waits long for the last


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


def macs_of(step: Step, front_hw: tuple[int, int], out_hw: tuple[int, int]) -> int:
    """Multiply-adds of a step."""
    pixels_out = out_hw[0] * out_hw[1]
    pixels_in = 1 if step.squeeze else front_hw[0] * front_hw[1]
    of_front = 0 if step.expand is None else step.expand.weights.size * pixels_in
    after = sum(conv.weights.size for conv in (step.depthwise, step.project) if conv is not None)
    return of_front + after * pixels_out
