"""Run-length codes, in C and in NumPy, against pycocotools."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from class_maps import ClassMap, class_maps, made
from hypothesis import example, given, settings

from bcpnet import native
from bcpnet.regions.rle import _in_c, _in_numpy, class_rles

mask_tools = pytest.importorskip("pycocotools.mask", reason="compares with pycocotools")

WAYS: dict[str, Callable[[ClassMap], dict[int, str]]] = {"numpy": _in_numpy}
if (library := native.library()) is not None:
    WAYS["c"] = partial(_in_c, library)
every_way = pytest.mark.parametrize("rles", WAYS.values(), ids=WAYS)


def of_pycocotools(class_map: ClassMap) -> dict[int, str]:
    labels = np.unique(class_map[class_map != 255]).tolist()
    masks = [np.asfortranarray(class_map == label, np.uint8) for label in labels]
    return {label: mask_tools.encode(mask)["counts"].decode() for label, mask in zip(labels, masks, strict=True)}


@every_way
@settings(max_examples=200)
@given(class_map=class_maps)
@example(class_map=np.zeros((1, 1), np.uint8))
@example(class_map=np.full((3, 4), 255, np.uint8))  # no class at all
@example(class_map=np.tile(np.arange(255, dtype=np.uint8), (2, 2)))  # as many classes as there can be
def test_equals_pycocotools(rles: Callable[[ClassMap], dict[int, str]], class_map: ClassMap) -> None:
    found = rles(class_map)
    assert found == of_pycocotools(class_map)
    assert list(found) == sorted(found)


@every_way
def test_runs_of_any_length(rles: Callable[[ClassMap], dict[int, str]]) -> None:
    """One to four characters a length, with jumps up and down between them."""
    lengths = [1, 500_000, 2, 16, 15, 17, 1, 40_000, 1_000, 31, 32, 33, 1, 1, 200_000]
    pixels = np.repeat(np.arange(len(lengths)) % 2, lengths).astype(np.uint8)
    assert rles(pixels[None]) == of_pycocotools(pixels[None])
    assert rles(pixels[:, None]) == of_pycocotools(pixels[:, None])


@every_way
def test_any_memory_layout(rles: Callable[[ClassMap], dict[int, str]]) -> None:
    class_map = made("patches", (31, 44), 0)
    for same in (np.asfortranarray(class_map), np.pad(class_map, 3)[3:-3, 3:-3], class_map[::-1].copy()[::-1]):
        assert rles(same) == of_pycocotools(class_map)


def test_a_street(street: ClassMap) -> None:
    """At the size that is timed."""
    assert class_rles(street) == of_pycocotools(street)
