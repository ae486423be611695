"""bcpnet: real-time semantic segmentation.

segmenter = bcpnet.load("camvid")
result = segmenter("street.jpg")
result.class_map                      # H x W uint8
result.overlay().save("overlay.png")

What cannot be used raises InputError; a call that is itself wrong, UsageError, a kind of InputError.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcpnet.errors import InputError, UsageError
    from bcpnet.segmenter import Segmentation, Segmenter, load

    __version__: str

# Left alone, ONNX Runtime 1.31 and later reports every model and run to its makers, under an id that it keeps in the
# user's cache folder. It asks this, once, when it is loaded; a user's own setting counts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
