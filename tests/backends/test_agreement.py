"""The float weights that ship give the same classes in every runtime. (Quantised ones: tests/test_quantise.py.)"""

from __future__ import annotations

import numpy as np
import pytest

from bcpnet.backends import BACKENDS, open_backend
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.weights import shipped


@pytest.fixture(params=[name for name in shipped() if not name.endswith("-int8")] or [None])
def weights(request: pytest.FixtureRequest) -> str:
    if request.param is None:
        pytest.skip("no weights ship in this checkout")
    return str(request.param)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (2, 96, 128, 3), (1, 61, 97, 3)])
@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "onnxruntime"])
def test_agrees_with_onnxruntime(weights: str, name: str, shape: tuple[int, ...]) -> None:
    pytest.importorskip({"pytorch": "torch"}.get(name, name))
    reference, backend = (open_backend(weights, of, threads=1) for of in ("onnxruntime", name))
    assert backend.metadata == reference.metadata
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected, logits = reference(images), backend(images)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    size_hw = (4 * shape[1], 4 * shape[2])
    for one, other in zip(expected, logits, strict=True):
        differing = upsample_argmax(one, size_hw) != upsample_argmax(other, size_hw)
        assert differing.mean() < 1e-3  # where two classes tie within float rounding
