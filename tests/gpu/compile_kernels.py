"""Compiles a network's kernels for a GPU that is not there: python compile_kernels.py ENCODER HEIGHT WIDTH CAPABILITY

Prints one JSON object per kernel: its name, and the shared memory of a program in bytes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from bcpnet.gpu.network import FusedBCPNet
from bcpnet.gpu.upsample import upsample_argmax
from bcpnet.networks import build


class Absent:
    """As much of a GPU's driver as the compiler asks for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", int(sys.argv[4]), 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return device


def main() -> None:
    driver.set_active(Absent())
    launch = JITFunction.run
    seen = set()

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        del warmup
        kernel = launch(self, *args, grid=grid, warmup=True, **kwargs)
        if id(kernel) not in seen:
            seen.add(id(kernel))
            print(json.dumps({"kernel": self.__name__, "shared_bytes": kernel.metadata.shared}))
        return kernel

    JITFunction.run = compile_only
    network = build("bcpnet", 19, encoder=sys.argv[1]).eval()
    size_hw = (int(sys.argv[2]), int(sys.argv[3]))
    with torch.inference_mode():
        logits = FusedBCPNet(network, torch.float16, torch.device("cpu"))(
            torch.empty((1, *size_hw, 3), dtype=torch.uint8)
        )
        upsample_argmax(logits, size_hw)


if __name__ == "__main__":
    main()
