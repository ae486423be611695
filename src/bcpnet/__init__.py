"""Real-time semantic segmentation: the class of every pixel of a street scene.

>>> import bcpnet
>>> segmenter = bcpnet.load("camvid")
>>> result = segmenter("street.jpg")        # or a Pillow image, or an H x W x 3 uint8 array, RGB
>>> result.class_map.shape                  # H x W uint8, the class of every pixel
(720, 960)
>>> result.classes.names[3]                 # what the 3s in it mean
'road'
>>> result.overlay().save("overlay.png")

The API is what `dir(bcpnet)` lists and the commands of `bcpnet --help`. The modules and folders of this package are
internal: they may change in any version, except for what the documentation names.

Input that cannot be used raises InputError. A wrong call raises UsageError, which is an InputError too.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcpnet.errors import InputError, UsageError
    from bcpnet.media.open_source import open_source
    from bcpnet.regions.region import Region
    from bcpnet.regions.zones import Zone, read_zones
    from bcpnet.segmentation import Segmentation
    from bcpnet.segmenter import Segmenter, load

    __version__: str

# Left alone, ONNX Runtime 1.31 and later reports every model and run to its makers, under an id that it keeps in the
# user's cache folder. It asks this, once, when it is loaded; a user's own setting counts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULE_OF = {
    "InputError": "errors",
    "Region": "regions.region",
    "Segmentation": "segmentation",
    "Segmenter": "segmenter",
    "UsageError": "errors",
    "Zone": "regions.zones",
    "load": "segmenter",
    "open_source": "media.open_source",
    "read_zones": "regions.zones",
}

__all__ = [
    "InputError",
    "Region",
    "Segmentation",
    "Segmenter",
    "UsageError",
    "Zone",
    "__version__",
    "load",
    "open_source",
    "read_zones",
]


def __getattr__(name: str) -> object:
    # On first use: `import bcpnet` alone stays quick and loads neither NumPy nor a runtime.
    if name == "__version__":
        return import_module("importlib.metadata").version("bcpnet")
    if name in _MODULE_OF:
        return getattr(import_module(f"bcpnet.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'bcpnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    # What Tab and `help` show: the public names, not what this file imports.
    return __all__
