"""The paper's figures agree with each other: tables with tables, and with the differences that its text names."""

from __future__ import annotations

import pytest

from bcpnet.networks import NETWORKS
from bcpnet.paper.published import ABLATION, PUBLISHED, TABLE_1_SIZES, TABLE_2_SIZES

BCPNET = PUBLISHED["bcpnet"]


def test_every_system_is_a_network() -> None:
    assert set(PUBLISHED) <= set(NETWORKS)


def test_sizes_are_those_of_the_tables() -> None:
    assert {size for system in PUBLISHED.values() for size in system.gflops} == set(TABLE_1_SIZES)
    assert {size for system in PUBLISHED.values() for size in system.speed} == set(TABLE_2_SIZES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_frames_a_second_are_milliseconds(name: str) -> None:
    """As far as whole milliseconds, rounded or cut off, and tenths of frames tell."""
    for ms, fps in PUBLISHED[name].speed.values():
        assert abs(1000 / fps - ms) <= max(0.9, 0.025 * ms)


# Sections 4.2 and 4.3: by how much BCPNet is faster or more accurate than another; below zero where it is less so.
@pytest.mark.parametrize(
    ("name", "size", "faster"),
    [
        ("two_column", "512x1024", 235.7),
        ("bisenet2", "360x640", 456.5),
        ("bisenet1", "360x640", 382.4),
        ("bisenet2", "720x1280", 86.9),
        ("bisenet1", "720x1280", 52.5),
        ("icnet", "1024x2048", 25),
        ("dfanet_a", "720x960", 60),
        ("dfanet_b", "720x960", 20),
        ("dfanet_a", "1024x1024", 16),
        ("enet", "360x640", 450),
        ("enet", "720x1280", 88),
        ("edanet", "512x1024", 169),
        ("frrn_b", "512x1024", 248),
    ],
)
def test_the_text_on_speed(name: str, size: str, faster: float) -> None:
    assert BCPNET.speed[size].fps - PUBLISHED[name].speed[size].fps == pytest.approx(faster, abs=1)


@pytest.mark.parametrize(
    ("name", "split", "better"),
    [
        ("sq", "cityscapes", 8.6),
        ("frrn_b", "cityscapes", -3.4),
        ("fcn8s", "cityscapes", 5.3),
        ("two_column", "cityscapes", -4.5),
        ("bisenet2", "cityscapes", -6.3),
        ("segnet", "cityscapes", 12.3),
        ("enet", "cityscapes", 10.1),
        ("edanet", "cityscapes", 1.1),
        ("deeplab", "camvid", 6.2),
        ("icnet", "camvid", 0.7),
        ("dfanet_b", "camvid", 8.5),
    ],
)
def test_the_text_on_accuracy(name: str, split: str, better: float) -> None:
    assert getattr(BCPNET, split) - getattr(PUBLISHED[name], split) == pytest.approx(better, abs=0.05)


@pytest.mark.parametrize(
    ("name", "parameters", "flops"),
    [("deeplab", 429, 408), ("segnet", 48, 560), ("icnet", 43, 6.2), ("two_column", None, 50), ("fcn8s", None, 120)],
)
def test_the_text_on_cost(name: str, parameters: float | None, flops: float) -> None:
    """So many times BCPNet's, "about"."""
    system = PUBLISHED[name]
    if parameters is not None:
        assert system.parameters_m is not None
        assert BCPNET.parameters_m is not None
        assert system.parameters_m / BCPNET.parameters_m == pytest.approx(parameters, rel=0.03)
    ((size, gflops),) = system.gflops.items()
    assert gflops / BCPNET.gflops[size] == pytest.approx(flops, rel=0.03)


def test_the_best_of_the_ablation_is_the_network() -> None:
    assert max(ABLATION, key=lambda row: row.miou).parameters_m == BCPNET.parameters_m
    assert len({row.variant for row in ABLATION}) == len(ABLATION)
