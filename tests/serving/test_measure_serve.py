"""tools/measure_serve.py: its load counts what the server did, and its ratios are what they say."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import pytest
from service_here import Server
from tools_here import load_tool


@pytest.fixture(scope="module")
def tool() -> Any:
    """The script as a module."""
    return load_tool("measure_serve")


def test_the_load_counts_what_the_server_answered(tool: Any, server: Server) -> None:
    def segmented() -> int:
        with urllib.request.urlopen(f"{server.address}/metrics") as answer:
            return int(answer.read().split(b'\nbcpnet_images_total{result="segmented"} ')[1].split()[0])

    for seconds in (0.5, 5.0, 50.0):  # on a machine that is busy with other things
        before = segmented()
        found = asyncio.run(tool.load(tool.picture(), server.port, 3, seconds))
        asked = segmented() - before
        if found["statuses"]:
            break
    assert found["connections"] == 3
    assert 0 < found["statuses"]["200"] <= asked
    assert found["images_per_s"] == pytest.approx(found["statuses"]["200"] / seconds, abs=0.01)
    assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_ratios(tool: Any) -> None:
    def rows(*rates: float) -> list[dict[str, float]]:
        return [{"images_per_s": rate} for rate in rates]

    found = {
        "in_process": {"one_a_core": 10.0, f"batches_of_{tool.BATCH}": 8.0},
        "one_worker": rows(5, 9, 8.5),
        "a_worker_a_core": rows(4, 7),
        "overload": rows(9, 8.1, 9),
    }
    assert list(tool.ratios(found).values()) == [0.8, 0.9, 0.7, 0.9]


def test_in_process(tool: Any) -> None:
    rates = tool.in_process(tool.picture(), 0.01)
    assert min(rates.values()) > 0
