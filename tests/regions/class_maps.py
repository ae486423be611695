"""Class maps for the tests of regions (noise, patches, one class), and results that have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from bcpnet.labels import CAMVID
from bcpnet.segmentation import Segmentation

ClassMap = npt.NDArray[np.uint8]


def made(kind: str, size_hw: tuple[int, int], seed: int) -> ClassMap:
    """A class map of classes 0 to 4 and 255."""
    rng = np.random.default_rng(seed)
    labels = np.array([0, 1, 2, 3, 4, 255], np.uint8)
    if kind == "one":
        return np.full(size_hw, rng.choice(labels), np.uint8)
    if kind == "noise":
        return rng.choice(labels, size_hw)
    if kind == "sparse":
        return np.where(rng.random(size_hw) < 0.2, rng.choice(labels, size_hw), 255).astype(np.uint8)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]  # patches: what is nearest to one of some points
    points = rng.uniform(0, 1, (2, 12)) * np.array(size_hw)[:, None]
    distance = np.hypot(y[..., None] - points[0], x[..., None] - points[1])
    return labels[distance.argmin(axis=-1) % len(labels)]


class_maps = st.builds(
    made,
    st.sampled_from(("noise", "sparse", "patches", "one")),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 2**32 - 1),
)


def result_of(class_map: ClassMap, n_logits: int = 0) -> Segmentation:
    """A result of that class map; with `n_logits` over 0 it has logits at that many rows and columns."""
    logits = np.random.default_rng(0).normal(0, 3, (11, n_logits, n_logits)).astype(np.float32) if n_logits else None
    return Segmentation(np.zeros((*class_map.shape, 3), np.uint8), class_map, CAMVID, {}, logits)
