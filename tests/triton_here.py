"""Import this before Triton and `bcpnet.gpu`: without a GPU its kernels run on the CPU, under Triton's interpreter."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch", reason="the kernels need PyTorch")
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read where kernels are defined, Triton's own among them
triton = pytest.importorskip("triton", reason="the kernels need Triton")

torch.backends.cudnn.allow_tf32 = False  # float32 is float32, where PyTorch computes it too
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
