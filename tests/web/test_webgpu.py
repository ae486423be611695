"""The page on a GPU that Chromium computes on the CPU: right, but far too slow to use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import find_chromium, open_page
from page_steps import choose, opened, real_errors, saved_class_map, visit
from PIL import Image

from bcpnet.data.streets import Streets

ADAPTER = "navigator.gpu ? navigator.gpu.requestAdapter().then(adapter => adapter !== null) : false"


@pytest.fixture
def gpu(address: str, tmp_path: Path) -> Iterator[Any]:
    """The page in a browser with WebGPU."""
    if find_chromium() is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    with open_page("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader") as page:
        page.downloads = tmp_path
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        visit(page, address)
        if not page.evaluate(ADAPTER):
            pytest.skip("this Chromium has no WebGPU in software")
        page.wait("[...document.querySelectorAll('#unit option')].some(option => option.value === 'webgpu')")
        yield page
        assert real_errors(page) == []


@pytest.mark.slow
def test_the_class_map_is_that_of_the_cpu(gpu: Any, tmp_path: Path) -> None:
    picture = tmp_path / "street.png"
    Image.fromarray(Streets("test", (270, 480), 1)[0].image).save(picture)
    opened(gpu, picture)
    choose(gpu, "#lines", "270")
    gpu.click("[value=confidence] + span")
    found = []
    for unit in ("wasm", "webgpu"):
        if unit == "webgpu":
            choose(gpu, "#unit", unit)
            assert gpu.evaluate("document.querySelector('#where').textContent") == "GPU, WebGPU"
        mean = float(gpu.evaluate("document.querySelector('#mean').textContent").strip("mean %"))
        found.append((saved_class_map(gpu, "street"), mean))
    (of_cpu, cpu_mean), (of_gpu, gpu_mean) = found
    assert np.mean(of_cpu == of_gpu) >= 0.999
    assert gpu_mean == pytest.approx(cpu_mean, abs=0.1)
