"""bcpnet: real-time semantic segmentation.

segmenter = bcpnet.load("camvid")
result = segmenter("street.jpg")
result.class_map                      # H x W uint8
result.overlay().save("overlay.png")

What cannot be used raises InputError; a call that is itself wrong, UsageError, a kind of InputError.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcpnet.errors import InputError, UsageError
    from bcpnet.segmenter import Segmentation, Segmenter, load

    __version__: str

__all__ = ["InputError", "Segmentation", "Segmenter", "UsageError", "__version__", "load"]


def __getattr__(name: str) -> object:
    # On first use: `import bcpnet` alone stays quick and loads neither NumPy nor a runtime.
    if name == "__version__":
        return import_module("importlib.metadata").version("bcpnet")
    if name in ("InputError", "UsageError"):
        return getattr(import_module("bcpnet.errors"), name)
    if name in __all__:
        return getattr(import_module("bcpnet.segmenter"), name)
    raise AttributeError(f"module 'bcpnet' has no attribute {name!r}")
