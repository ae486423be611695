"""The kernel that upsamples and takes the argmax, against the NumPy function and its plain definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from triton_here import DEVICE, torch

from bcpnet.frames.upsample import upsample_argmax as on_cpu
from bcpnet.gpu.upsample import upsample_argmax


def _class_maps(logits: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    maps = upsample_argmax(torch.from_numpy(logits).to(DEVICE), size_hw)
    assert maps.dtype == torch.uint8
    assert maps.shape == (len(logits), *size_hw)
    found: npt.NDArray[np.uint8] = maps.cpu().numpy()
    return found


def _check(logits: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> None:
    """The class chosen is the best in float64, or ties with it within float32 rounding."""
    full = torch.nn.functional.interpolate(
        torch.from_numpy(logits).double(), size=size_hw, mode="bilinear", align_corners=False
    ).numpy()
    maps = _class_maps(logits, size_hw)
    chosen = np.take_along_axis(full, maps[:, None].astype(np.intp), axis=1)[:, 0]
    assert np.all(chosen >= full.max(axis=1) - 1e-6 * np.abs(logits).max())


# Every number of neighbours that share loads (8, 4, 2, 1), whole and broken factors, single rows and columns.
@pytest.mark.parametrize(
    ("low_hw", "size_hw"),
    [
        ((5, 7), (40, 56)),
        ((5, 7), (37, 61)),
        ((3, 4), (25, 100)),
        ((6, 9), (20, 40)),
        ((6, 9), (20, 24)),
        ((6, 9), (6, 9)),
        ((9, 13), (4, 5)),
        ((1, 1), (9, 17)),
        ((1, 6), (8, 48)),
        ((6, 1), (48, 8)),
        ((9, 13), (70, 1)),
    ],
)
@pytest.mark.parametrize("n_classes", [1, 2, 7])
def test_equals_the_definition(n_classes: int, low_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(n_classes)
    _check((rng.normal(size=(2, n_classes, *low_hw)) * 7).astype(np.float32), size_hw)


@pytest.mark.parametrize("n_classes", [19, 40, 255])
def test_many_classes(n_classes: int) -> None:
    _check(np.random.default_rng(0).normal(size=(1, n_classes, 2, 3)).astype(np.float32), (16, 24))


@pytest.mark.parametrize("size_hw", [(24, 40), (17, 23), (3, 5), (2, 3)])
def test_the_first_of_equal_classes_wins(size_hw: tuple[int, int]) -> None:
    logits = np.random.default_rng(1).normal(size=(1, 4, 3, 5)).astype(np.float32)
    doubled = np.concatenate([logits, logits], axis=1)
    assert _class_maps(doubled, size_hw).max() < 4
    np.testing.assert_array_equal(_class_maps(doubled, size_hw), _class_maps(logits, size_hw))


@pytest.mark.parametrize("size_hw", [(96, 128), (50, 70)])
def test_equals_the_numpy_function(size_hw: tuple[int, int]) -> None:
    logits = np.random.default_rng(2).normal(size=(1, 11, 12, 16)).astype(np.float32)
    assert np.mean(_class_maps(logits, size_hw)[0] != on_cpu(logits[0], size_hw)) < 1e-3


def test_float16_logits_are_interpolated_in_float32() -> None:
    logits = torch.randn((1, 7, 4, 6), generator=torch.Generator().manual_seed(0)).half()
    maps = upsample_argmax(logits.to(DEVICE), (32, 48)).cpu().numpy()
    np.testing.assert_array_equal(maps, _class_maps(logits.float().numpy(), (32, 48)))


def test_gaps_in_memory() -> None:
    logits = torch.randn((1, 5, 6, 4), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    turned = logits.transpose(2, 3)
    assert torch.equal(upsample_argmax(turned, (33, 47)), upsample_argmax(turned.contiguous(), (33, 47)))
