"""The engine cross-compiled for 64-bit Arm and run under qemu-user: correctness only, it says nothing about speed.

Needs aarch64-linux-gnu-gcc and qemu-aarch64 (on Debian: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
qemu-user-static).
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from int8_layers import FRONTS, LayerMaker, any_layer

import bcpnet.native
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.data.streets import Streets
from bcpnet.native.fusion import fuse
from bcpnet.native.int8.program import Int8Program
from bcpnet.native.int8.separate import separate
from bcpnet.native.onnx_file import read_onnx
from bcpnet.native.program import Program
from bcpnet.weights import path_of

GCC = shutil.which("aarch64-linux-gnu-gcc")
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
pytestmark = pytest.mark.skipif(not (GCC and QEMU), reason="needs aarch64-linux-gnu-gcc and qemu-aarch64")
SOURCES = Path(bcpnet.native.__file__).parent
FLAGS = ["-std=gnu11", "-O2", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra", "-Werror", "-pthread"]
SIZE_HW = (75, 101)
CPUS = {"cortex-a72": "baseline", "cortex-a76": "dotprod", "max": "i8mm"}  # and the 8-bit level that each has


def built(folder: Path) -> Path:
    """The driver, with the engine in it."""
    sources = [*sorted(SOURCES.rglob("*.c")), Path(__file__).parent / "aarch64_driver.c"]
    command = [str(GCC), *FLAGS, f"-I{SOURCES}", *map(str, sources), "-static", "-o", str(folder / "driver")]
    subprocess.run(command, check=True)
    return folder / "driver"


class Emulated:
    """The driver under qemu-user."""

    def __init__(self, driver: Path, cpu: str) -> None:
        self._driver, self._cpu = driver, cpu
        *numbers, self.level = self._run().split()
        self.lanes, self.widest, *self.of_int8 = map(int, numbers)

    def memory_after(self, layers: ctypes.Array[Any], memory: list[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
        """Runs the layers, whose pointers lie in `memory`; what is in the first of this then."""
        content = struct.pack("<q", len(memory))
        for block in memory:
            content += struct.pack("<q", block.nbytes) + block.tobytes()
        starts = [(block.ctypes.data, block.nbytes) for block in memory]
        pointers = []
        for at, address in _pointers(layers):
            which = next(i for i, (start, size) in enumerate(starts) if start <= address < start + size)
            pointers.append(struct.pack("<3q", at, which, address - starts[which][0]))
        is_int8 = hasattr(layers[0], "as_floats")
        content += struct.pack("<3q", is_int8, len(layers), ctypes.sizeof(layers)) + bytes(layers)
        source, out = self._driver.with_name("in"), self._driver.with_name("out")
        source.write_bytes(content + struct.pack("<q", len(pointers)) + b"".join(pointers))
        self._run(str(source), str(out))
        return np.frombuffer(out.read_bytes(), np.uint8)

    def _run(self, *arguments: str) -> str:
        command = [str(QEMU), "-cpu", self._cpu, str(self._driver), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _pointers(of: Any, at: int = 0) -> Iterator[tuple[int, int]]:
    """Where in a structure, or an array of them, pointers are, and to where they point."""
    if isinstance(of, ctypes.Array):
        for index, one in enumerate(of):
            yield from _pointers(one, at + index * ctypes.sizeof(one))
    elif isinstance(of, ctypes.Structure):
        for name, kind, *_ in of._fields_:
            offset, value = at + getattr(type(of), name).offset, getattr(of, name)
            if kind is ctypes.c_void_p and value:
                yield offset, value
            elif kind is not ctypes.c_void_p:
                yield from _pointers(value, offset)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("aarch64"))


@pytest.fixture(params=CPUS)
def arm(request: pytest.FixtureRequest, driver: Path) -> Emulated:
    return Emulated(driver, request.param)


def test_each_cpu_gets_its_level(arm: Emulated) -> None:
    assert arm.level == CPUS[arm._cpu]


def _logits(arm: Emulated, program: Any, kept: list[npt.NDArray[Any]], frame: npt.NDArray[np.uint8]) -> Any:
    placed = program.place(SIZE_HW, 2)
    for layer in placed.layers:
        layer.frame, layer.frame_bytes = frame.ctypes.data, frame.nbytes
    after = arm.memory_after(placed.layers, [placed._memory, *kept, frame])
    at = placed.logits.ctypes.data - placed._memory.ctypes.data
    shape, strides = placed.logits.shape, placed.logits.strides
    return np.ndarray(shape, np.float32, after.data, at, strides).transpose(2, 0, 1)


def test_floats_are_those_of_onnxruntime(arm: Emulated) -> None:
    path, frame = path_of("camvid", ".onnx"), Streets("train", SIZE_HW)[0].image
    program = Program(fuse(read_onnx(path)), arm.lanes, arm.widest)
    logits = _logits(arm, program, list(program._kept.values()), frame)
    expected = OnnxRuntimeBackend(path, 1)(frame[None])[0]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_integers_are_those_of_onnxruntime(arm: Emulated) -> None:
    path, frame = path_of("camvid-int8", ".onnx"), Streets("train", SIZE_HW)[0].image
    floats, integers = separate(read_onnx(path))
    program = Int8Program(fuse(floats), integers, *arm.of_int8)
    logits = _logits(arm, program, program._pack._kept, frame)
    expected = OnnxRuntimeBackend(path, 1)(frame[None])[0]
    assert (logits.argmax(0) == expected.argmax(0)).mean() >= 0.999


@pytest.mark.parametrize("kind", [*FRONTS, "pointwise", "pool"])
def test_8_bit_layers_write_what_integers_give(arm: Emulated, kind: str) -> None:
    for number, how in enumerate(("bytes", "residual", "floats", "bytes")):
        maker = LayerMaker(np.random.default_rng(number), *arm.of_int8)
        expected = any_layer(maker, kind, how)
        out = maker.laid_out(expected.shape, ((expected.shape[0] + 1) // 2, (expected.shape[1] + 1) // 2))
        after = arm.memory_after((type(maker.layer) * 1)(maker.layer), [out, *maker.kept, *maker.pack._kept])
        made = maker.written_to(after.copy(), expected.shape)
        apart = np.abs(made - expected.astype(np.float64))
        assert apart.max() <= (1 if how == "residual" or kind == "sum" else 0)
        assert (apart > 0).mean() <= 2e-3
