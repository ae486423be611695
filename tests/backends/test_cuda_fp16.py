"""Float16 on a GPU: near to float32 on the CPU, from any thread; a clear line where there is no GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.backends import BACKENDS, open_backend
from bcpnet.backends.base import Backend, ClassMapBackend
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.weights import path_of

torch = pytest.importorskip("torch")

from bcpnet.backends.cuda_fp16 import CudaFp16Backend  # noqa: E402
from bcpnet.backends.pytorch import PytorchBackend  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu() -> None:
    with pytest.raises(UsageError, match="the backend cuda_fp16 needs an NVIDIA GPU") as raised:
        open_backend("camvid", "cuda_fp16")
    assert "\n" not in str(raised.value)


def test_is_not_among_those_that_agree_in_float32() -> None:
    assert "cuda_fp16" not in BACKENDS


@pytest.fixture(scope="module")
def backend() -> CudaFp16Backend:
    return CudaFp16Backend(path_of("camvid", ".safetensors"))


@pytest.fixture(scope="module")
def reference() -> Backend:
    return PytorchBackend(path_of("camvid", ".safetensors"))


def _frames(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Smooth colours with some noise: classes lie in regions, as in photographs."""
    rng = np.random.default_rng(height)
    frames = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        frames.append(np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


@needs_gpu
@pytest.mark.parametrize("shape", [(1, 360, 480), (2, 33, 47), (3, 200, 328)])
def test_is_near_to_float32(backend: CudaFp16Backend, reference: Backend, shape: tuple[int, int, int]) -> None:
    assert isinstance(backend, ClassMapBackend)
    assert backend.metadata == reference.metadata
    images = _frames(*shape)
    expected, logits = reference(images), backend(images)
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, expected, rtol=0, atol=0.02 * np.abs(expected).max())

    size_hw = (2 * shape[1], 2 * shape[2] + 1)
    class_maps = backend.class_maps(images, size_hw)
    assert class_maps.shape == (shape[0], *size_hw)
    of_logits = np.stack([upsample_argmax(one, size_hw) for one in logits])
    assert np.mean(class_maps != of_logits) < 1e-4  # ties
    of_reference = np.stack([upsample_argmax(one, size_hw) for one in expected])
    assert np.mean(class_maps != of_reference) < 0.01


@needs_gpu
def test_any_layout_of_the_array(backend: CudaFp16Backend) -> None:
    images = _frames(1, 40, 56)
    turned = np.ascontiguousarray(images.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    turned.flags.writeable = False
    np.testing.assert_array_equal(backend(turned), backend(images))


@needs_gpu
def test_threads_do_not_mix(backend: CudaFp16Backend) -> None:
    images = [_frames(1, height, 64) for height in (40, 48, 56, 64)] * 8
    expected = [backend.class_maps(one, (80, 128)) for one in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: backend.class_maps(one, (80, 128)), images))
    np.testing.assert_array_equal(found, expected)


@needs_gpu
def test_out_of_memory_is_one_line(backend: CudaFp16Backend) -> None:
    images = np.broadcast_to(np.uint8(1), (1, 2**21, 2**21, 3))  # 13 TB
    with pytest.raises(InputError, match="CUDA failed on 1 x 2097152x2097152 pixels: ") as raised:
        backend(images)
    assert "\n" not in str(raised.value)
    assert backend(_frames(1, 40, 56)).shape == (1, 11, 5, 7)
