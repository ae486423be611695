"""The weights that ship: for each NAME a NAME.onnx, its model card NAME.md, its figures NAME.json, and its source.

The source is a NAME.safetensors, or for quantised weights the .onnx of another name. SHA256SUMS has the digests of the
.onnx files (`sha256sum -c SHA256SUMS`), by which copies of them are known.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bcpnet.errors import InputError, UsageError

_FOLDER = Path(__file__).parent
_FILES = (".onnx", ".safetensors")
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Figures:
    """What is known of weights that ship, beside their own metadata.

    Attributes:
        parameters: learnable numbers of the network.
        unseen_miou: mIoU on streets that were not trained on, 0..1: the mean over CamVid's three labelled drives, each
            scored by a network that was trained in the same way on the other two. None = not measured.
        meant_for: half a line.
    """

    parameters: int
    unseen_miou: float | None
    meant_for: str


def figures(name: str) -> Figures | None:
    """Those in NAME.json, which tools/release_weights.py writes; None where there is none."""
    path = _FOLDER / f"{name}.json"
    return Figures(**json.loads(path.read_text())) if path.is_file() else None


def shipped() -> list[str]:
    """Names of the weights in this package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("[!.]*.onnx"))  # a hidden one is being written


def is_shipped(path: Path) -> bool:
    """Whether a .onnx file is one of those that ship, byte for byte, wherever it lies.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() in _digests()
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error


@cache
def _digests() -> frozenset[str]:
    path = _FOLDER / "SHA256SUMS"
    return frozenset(path.read_text().split()[::2]) if path.is_file() else frozenset()


def resolve(weights: str | Path, suffix: str) -> Path:
    """The file that `weights` means.

    A path that ends in .onnx or .safetensors is that file; a name that ships is `path_of` it; any other folder is that
    of a run of `bcpnet train`, and means the run's last.safetensors.

    Raises:
        UsageError: as `path_of`.
        InputError: `weights` is a pickle, or a folder without last.safetensors.
    """
    path = Path(weights)
    kind = path.suffix.lower()
    if kind in _PICKLES:
        raise InputError(
            f"{weights}: pickled weights are never loaded, since a pickle can run any code; "
            "bcpnet reads .safetensors and .onnx"
        )
    if kind in _FILES:
        return path
    if str(weights) not in ("", *shipped()) and os.path.isdir(path):  # noqa: PTH112 (which raises for some names)
        last = path / "last.safetensors"
        if not os.path.lexists(last):
            raise InputError(f"{weights}: a folder without last.safetensors, so not that of a run of `bcpnet train`")
        return last
    return path_of(str(weights), suffix)


def path_of(name: str, suffix: str) -> Path:
    """The file NAME.SUFFIX (".onnx", ".safetensors", ".md").

    Raises:
        UsageError: no such weights, or not in that form.
    """
    if name not in shipped():
        raise UsageError(
            f"unknown weights {name!r}: bcpnet ships {', '.join(shipped()) or 'none'}; "
            "or give the path of a .onnx or .safetensors file, or the folder of a run"
        )
    path = _FOLDER / f"{name}{suffix}"
    if not path.is_file():
        raise UsageError(f"weights {name!r} do not ship as {suffix}, only as .onnx: for native, onnxruntime, openvino")
    return path
