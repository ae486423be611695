"""The weights that ship: here, for each NAME, a NAME.onnx, its model card NAME.md, and what it was made from.

That is a NAME.safetensors, or for quantised weights the .onnx of another name.
"""

from __future__ import annotations

from pathlib import Path

from bcpnet.errors import InputError, UsageError

_FOLDER = Path(__file__).parent
_FILES = (".onnx", ".safetensors")
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl")


def shipped() -> list[str]:
    """Names of the weights in this package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.onnx"))


def resolve(weights: str | Path, suffix: str) -> Path:
    """The file that `weights` means: itself if it ends in .onnx or .safetensors, else `path_of` that name.

    Raises:
        UsageError: as `path_of`.
        InputError: `weights` is a pickle.
    """
    path = Path(weights)
    kind = path.suffix.lower()
    if kind in _PICKLES:
        raise InputError(
            f"{weights}: pickled weights are never loaded, since a pickle can run any code; "
            "bcpnet reads .safetensors and .onnx"
        )
    return path if kind in _FILES else path_of(str(weights), suffix)


def path_of(name: str, suffix: str) -> Path:
    """The file NAME.SUFFIX (".onnx", ".safetensors", ".md").

    Raises:
        UsageError: no such weights, or not in that form.
    """
    if name not in shipped():
        raise UsageError(
            f"unknown weights {name!r}: bcpnet ships {', '.join(shipped()) or 'none'}; "
            "or give the path of a .onnx or .safetensors file"
        )
    path = _FOLDER / f"{name}{suffix}"
    if not path.is_file():
        raise UsageError(f"weights {name!r} do not ship as {suffix}, only as .onnx, for onnxruntime and openvino")
    return path
