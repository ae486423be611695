"""Pre-trained encoders from the web, for `--pretrained`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from bcpnet.errors import InputError
from bcpnet.fetch import Report, check_address, download
from bcpnet.files import write_bytes
from bcpnet.networks.encoders.tflite_file import read_tflite

REPOSITORY = "https://github.com/google-coral/edgetpu"


class Source(NamedTuple):
    """Where an encoder comes from: 8-bit DeepLabv3, trained on ImageNet, COCO and PASCAL VOC 2012 (Apache-2.0).

    Attributes:
        file: in the repository.
        commit: one that has it.
        width: of the MobileNetV2 in it.
        sha256: of the weights (`digest`) that our own started from.
    """

    file: str
    commit: str
    width: float
    sha256: str


SOURCES = {
    "mobilenet_v2_050": Source(
        "test_data/deeplabv3_mnv2_dm05_pascal_quant.tflite",
        "285cacf0a879e3e343abd38c33eb622ae253529c",
        0.5,
        "afb58abb5d9ec20645424affbabb77a565b3f39805ffbc573fcf8cca4b583480",
    ),
    "mobilenet_v2_100": Source(
        "test_data/deeplabv3_mnv2_pascal_quant.tflite",
        "75e675633c2110a991426c8afa64f122b16ac372",
        1.0,
        "45bf130aac282b0bda4d4f192e9b145511938ea104e384ac47c855d24f13759d",
    ),
}


def fetch_pretrained(name: str, path: Path, *, base_url: str = REPOSITORY, report: Report) -> bool:
    """Downloads an encoder and writes it as `--pretrained` takes it.

    Args:
        name: one of SOURCES.
        path: the safetensors file to write, whole or not at all. A download that breaks off stays beside it, and the
            next call goes on from there.
        base_url: repository or mirror; serves /raw/COMMIT/FILE.
        report: is called with each line of news.

    Returns:
        Whether they are the very weights that ours started from.

    Raises:
        UsageError: `base_url` is not http.
        InputError: no connection, not found, not the encoder, or `path` cannot be written.
    """
    check_address(base_url)
    source = SOURCES[name]
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download(f"{base_url.rstrip('/')}/raw/{source.commit}/{source.file}", part, report)
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    try:
        tensors = read_tflite(part, source.width)
    except InputError as error:
        part.unlink()  # going on from it would not mend it
        raise InputError(f"{base_url}: {error}; the download was removed") from error
    write_bytes(path, save(tensors))
    part.unlink()
    return digest(tensors) == source.sha256


def digest(tensors: dict[str, npt.NDArray[np.float32]]) -> str:
    """SHA-256 over the weights, biases aside, in the order of their names."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        if name.endswith(".weight"):
            sha256.update(tensors[name].astype("<f4").tobytes())
    return sha256.hexdigest()
