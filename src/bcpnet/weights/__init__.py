"""The weights that ship: here, for each NAME, a NAME.onnx, a NAME.safetensors and its model card NAME.md."""

from __future__ import annotations

from pathlib import Path

from bcpnet.errors import UsageError

_FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Names of the weights in this package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.onnx"))


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
        raise UsageError(f"weights {name!r} do not ship as {suffix}")
    return path
