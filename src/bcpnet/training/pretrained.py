"""Pre-trained weights from the web: encoders for `--pretrained`, and networks to use as they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from bcpnet.errors import InputError
from bcpnet.labels import CITYSCAPES
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.encoders.tflite_file import read_tflite
from bcpnet.networks.zoo.espnetv2_weights import read_release
from bcpnet.storage.fetch import Report, check_address, download, part_beside
from bcpnet.storage.files import make_folder, write_bytes

Tensors = dict[str, npt.NDArray[Any]]

_EDGETPU = "https://github.com/google-coral/edgetpu"
_EDGENETS = "https://github.com/sacmehta/EdgeNets"


@dataclass(frozen=True)
class Encoder:
    """An encoder out of 8-bit DeepLabv3, trained on ImageNet, COCO and PASCAL VOC 2012 (Apache-2.0).

    Attributes:
        file: in the repository.
        commit: one that has it.
        width: of the MobileNetV2 in it.
        sha256: of the weights (`digest`) that our own started from, biases aside.
        repository: its address.
        known: what `sha256` is of, in words.
    """

    file: str
    commit: str
    width: float
    sha256: str
    repository: str = _EDGETPU
    known: str = "the weights that ours started from"

    def read(self, path: Path) -> Tensors:
        """The weights as `--pretrained` takes them. Raises InputError for another file."""
        return dict(read_tflite(path, self.width))

    def compared(self, tensors: Tensors) -> Tensors:
        """Those that `sha256` is of."""
        return {name: tensor for name, tensor in tensors.items() if name.endswith(".weight")}


@dataclass(frozen=True)
class ESPNetv2Release:
    """ESPNetv2 as its authors trained it on Cityscapes (code and weights MIT, Cityscapes for non-commercial use).

    Attributes:
        file: in the repository.
        commit: one that has it.
        scale: of the network.
        figure: what the authors report, in words.
        sha256: of the tensors (`digest`) in our copy of the file.
        repository: its address.
        known: what `sha256` is of, in words.
    """

    file: str
    commit: str
    scale: float
    figure: str
    sha256: str
    repository: str = _EDGENETS
    known: str = "the weights that bcpnet knows"

    def read(self, path: Path) -> Tensors:
        """Our network's tensors. Raises InputError for another file."""
        return {name: tensor.numpy() for name, tensor in read_release(path, self.scale).state_dict().items()}

    def compared(self, tensors: Tensors) -> Tensors:
        """Those that `sha256` is of: all but counters of training steps."""
        return {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32}

    def metadata(self, same: bool) -> Metadata:
        """What makes a checkpoint of the tensors; names the authors' figure if they are the `same` as in our copy."""
        figure = f"its authors report {self.figure}, not measured here" if same else "not the weights that bcpnet knows"
        return Metadata(
            "espnetv2",
            {"scale": self.scale},
            CITYSCAPES,
            short_side=512,
            trained_on=("cityscapes/train",),
            provenance=(
                f"ESPNetv2, scale {self.scale:g}, by Mehta et al. (arXiv 1811.11431), from {self.repository}, trained "
                f"there on ImageNet, then on Cityscapes fine at 512x1024; {figure}"
            ),
            licence=(
                "MIT (Sachin Mehta) for code and weights; trained on Cityscapes, whose terms allow non-commercial use "
                "only: whether yours needs more is for you to judge"
            ),
        )


SOURCES: dict[str, Encoder | ESPNetv2Release] = {
    "mobilenet_v2_050": Encoder(
        "test_data/deeplabv3_mnv2_dm05_pascal_quant.tflite",
        "285cacf0a879e3e343abd38c33eb622ae253529c",
        0.5,
        "afb58abb5d9ec20645424affbabb77a565b3f39805ffbc573fcf8cca4b583480",
    ),
    "mobilenet_v2_100": Encoder(
        "test_data/deeplabv3_mnv2_pascal_quant.tflite",
        "75e675633c2110a991426c8afa64f122b16ac372",
        1.0,
        "45bf130aac282b0bda4d4f192e9b145511938ea104e384ac47c855d24f13759d",
    ),
    "espnetv2_150_cityscapes": ESPNetv2Release(
        "model/segmentation/model_zoo/espnetv2/espnetv2_s_1.5_city_1024x512.pth",
        "5de7b80b17cdb9328a939d10638e9782f2854f77",
        1.5,
        "63.8 % mIoU on Cityscapes val",
        "9d95f706e1229121584b5d5dd200f657278bf06f0457fa2e4e1b008a2e2364c8",
    ),
    "espnetv2_200_cityscapes": ESPNetv2Release(
        "model/segmentation/model_zoo/espnetv2/espnetv2_s_2.0_city_1024x512.pth",
        "5976d678ee754b846d09485f2fbd059e6f30883b",
        2.0,
        "66.4 % mIoU on Cityscapes val and 66.2 % on test",
        "fe02e79b9ad3406a73d712372212f689764bfc43f2d4148f1baad8ae5098c81a",
    ),
}


def fetch_pretrained(name: str, path: Path, *, base_url: str | None = None, report: Report) -> bool:
    """Downloads weights and writes an encoder as `--pretrained` takes it, a network as a checkpoint.

    Args:
        name: one of SOURCES.
        path: the safetensors file to write, whole or not at all. A download that breaks off stays beside it, and the
            next call goes on from there.
        base_url: mirror of the repository that has the weights; serves /raw/COMMIT/FILE. None: the repository itself.
        report: is called with each line of news.

    Returns:
        Whether they are the very weights that the source's `known` tells.

    Raises:
        UsageError: `base_url` is not http.
        InputError: no connection, not found, not those weights, or `path` cannot be written.
    """
    source = SOURCES[name]
    address = source.repository if base_url is None else base_url
    check_address(address)
    part = part_beside(path)
    try:
        make_folder(path.parent)
        download(f"{address.rstrip('/')}/raw/{source.commit}/{source.file}", part, report)
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    try:
        tensors = source.read(part)
    except InputError as error:
        part.unlink()  # going on from it would not mend it
        raise InputError(f"{address}: {error}; the download was removed") from error
    same = digest(source.compared(tensors)) == source.sha256
    entries = {KEY: source.metadata(same).to_json()} if isinstance(source, ESPNetv2Release) else None
    write_bytes(path, save(tensors, entries))
    part.unlink()
    return same


def digest(tensors: Tensors) -> str:
    """SHA-256 over the values as float32, in the order of the names."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        sha256.update(tensors[name].astype("<f4").tobytes())
    return sha256.hexdigest()
