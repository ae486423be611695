"""Good pictures in many formats, and damage to their bytes; what the fuzzers of images and of label files share."""

from __future__ import annotations

import faulthandler
import io
import json
import random
import struct
import sys
import tempfile
import time
import warnings
import zlib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bcpnet.benchmark.memory import peak_mib
from bcpnet.errors import InputError
from bcpnet.media import images

LONGEST_S = 30  # for a file that takes milliseconds
LONGEST_MESSAGE = 400  # characters, beside the path
MOST_PIXELS = 2_000_000  # instead of 179 million, so that sizes changed at random cost no seconds
MOST_BYTES = 600 << 20  # of memory, for all of them; Python, NumPy and Pillow take some 100

_FORMATS: dict[str, tuple[dict[str, Any], ...]] = {
    "PNG": ({}, {"interlace": 1}),
    "JPEG": ({}, {"progressive": True}, {"subsampling": 2}),
    "TIFF": (
        {}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "packbits"},
        {"compression": "jpeg"}, {"compression": "group4"}, {"big_tiff": True},
    ),
    "WEBP": ({}, {"lossless": True}),
    "BMP": ({},), "DIB": ({},), "GIF": ({}, {"interlace": 0}), "PPM": ({},), "TGA": ({}, {"compression": "tga_rle"}),
    "PCX": ({},), "SGI": ({},), "ICO": ({},), "ICNS": ({},), "JPEG2000": ({}, {"irreversible": True}), "AVIF": ({},),
    "DDS": ({}, {"pixel_format": "DXT1"}, {"pixel_format": "DXT5"}), "BLP": ({},), "IM": ({},), "MSP": ({},),
    "QOI": ({},), "SPIDER": ({},), "XBM": ({},), "MPO": ({},), "PALM": ({},),
}  # fmt: skip
# Modes that these take; with others, Pillow 12.3 crashes in libtiff.
_COMPRESSES = {"jpeg": ("RGB", "L", "CMYK", "YCbCr"), "group4": ("1",)}
_COMMON = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM")  # half of all, though the others are more
_MODES = ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB", "PA")


def good_pictures() -> dict[str, list[bytes]]:
    """Format -> files in every mode and with every option that it takes; some with EXIF, an animation of each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:23, :37]
    smooth = np.stack([x * 6, y * 9, (x + y) * 4], axis=-1).astype(np.uint8)
    smooth[5:9, 7:20] = rng.integers(0, 256, (4, 13, 3))
    colour = Image.fromarray(smooth)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "a camera", 72.0
    found: dict[str, list[bytes]] = {}
    for image_format, all_options in _FORMATS.items():
        for mode in _MODES:
            if mode == "I;16":
                picture = Image.fromarray(smooth[:, :, 0].astype(np.uint16) * 257)
            elif mode in ("I", "F"):
                picture = Image.fromarray(smooth[:, :, 0].astype(np.int32 if mode == "I" else np.float32))
            else:
                picture = Image.new("LAB", colour.size) if mode == "LAB" else colour.convert(mode)
            for options in all_options:
                if mode not in _COMPRESSES.get(options.get("compression"), _MODES):
                    continue
                for more in ({}, {"exif": exif}, {"save_all": True, "append_images": [picture.rotate(180)]}):
                    data = io.BytesIO()
                    try:
                        picture.save(data, image_format, **options, **more)
                    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SyntaxError):
                        continue  # a mode or an option that the format does not have
                    found.setdefault(image_format, []).append(data.getvalue())
    return found


def damaged(files: dict[str, list[bytes]], rng: random.Random) -> bytes:
    """One of the files, damaged in one of several ways."""
    image_format = rng.choice(_COMMON if rng.random() < 0.5 else sorted(files))
    whole = rng.choice(files.get(image_format, files["PNG"]))
    return rng.choice((_flipped, _header, _cut, _moved, _chunks, _spliced, _noise))(whole, rng, files)


def _flipped(whole: bytes, rng: random.Random, _: object) -> bytes:
    data = bytearray(whole)
    for _i in range(rng.choice([1, 1, 2, 5, 30])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _header(whole: bytes, rng: random.Random, _: object) -> bytes:
    """Bytes and numbers of 16 and 32 bits near the start, or near the end, where a TIFF may have its tags."""
    data = bytearray(whole)
    for _i in range(rng.choice([1, 1, 2, 4, 10])):
        at = rng.randrange(min(len(data), 200))
        at = len(data) - 1 - at if rng.random() < 0.25 else at
        size = rng.choice([1, 1, 2, 4])
        value = rng.choice([0, 1, 2, 3, 7, 8, 16, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, rng.getrandbits(32)])
        data[at : at + size] = (value % 256**size).to_bytes(size, rng.choice(["little", "big"]))
    return bytes(data)


def _cut(whole: bytes, rng: random.Random, _: object) -> bytes:
    kept = rng.choice([rng.randrange(len(whole)), rng.randrange(min(len(whole), 64)), len(whole) - rng.randrange(1, 9)])
    return whole[: max(kept, 0)] + rng.choice([b"", b"", rng.randbytes(rng.randrange(200))])


def _moved(whole: bytes, rng: random.Random, _: object) -> bytes:
    """A run of bytes taken out, doubled, put elsewhere, or made of one value."""
    start, length = rng.randrange(len(whole)), rng.choice([1, 2, 4, 12, 100])
    run, rest = whole[start : start + length], whole[:start] + whole[start + length :]
    at = rng.randrange(len(rest) + 1)
    return rng.choice([
        rest,
        whole[:start] + run * rng.choice([2, 50]) + whole[start:],
        rest[:at] + run + rest[at:],
        whole[:start] + bytes([rng.randrange(256)]) * length + whole[start + length :],
    ])  # fmt: skip


def _chunks(whole: bytes, rng: random.Random, files: dict[str, list[bytes]]) -> bytes:
    """A PNG with chunks lost, doubled, shuffled, renamed or of other content, each with the checksum it should have."""
    if whole[:4] != b"\x89PNG":
        whole = rng.choice(files["PNG"])
    chunks, at = [], 8
    while at < len(whole):
        length = struct.unpack(">I", whole[at : at + 4])[0]
        chunks.append((whole[at + 4 : at + 8], whole[at + 8 : at + 8 + length]))
        at += 12 + length
    for _i in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(chunks))
        kind, content = chunks[place]
        change = rng.randrange(6)
        if change == 0 and len(chunks) > 1:
            del chunks[place]
        elif change == 1:
            chunks.insert(rng.randrange(len(chunks)), chunks[place])
        elif change == 2:
            rng.shuffle(chunks)
        elif change == 3:
            kinds = [b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"acTL", b"fcTL", b"fdAT", b"pHYs"]
            chunks.insert(rng.randrange(len(chunks)), (rng.choice(kinds), rng.randbytes(rng.choice([0, 1, 4, 26, 99]))))
        elif change == 4:
            chunks[place] = kind, _flipped(content, rng, None) if content else rng.randbytes(4)
        else:
            chunks[place] = kind, content[: rng.randrange(len(content) + 1)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _spliced(whole: bytes, rng: random.Random, files: dict[str, list[bytes]]) -> bytes:
    """The start of one file and the end of another."""
    other = rng.choice(files[rng.choice(sorted(files))])
    return whole[: rng.randrange(len(whole))] + other[rng.randrange(len(other)) :]


def _noise(whole: bytes, rng: random.Random, _: object) -> bytes:
    """Random bytes behind a signature, or none."""
    return whole[: rng.choice([0, 4, 8, 16, 40])] + rng.randbytes(rng.choice([0, 1, 20, 400]))


def run(target: str, description: str | None, readers: dict[str, Callable[[Path], np.ndarray]], shape: int) -> int:
    """The fuzzer: damages, reads with each reader, prints the counts as JSON; 1 where something was not as it must be.

    A result must be uint8 of `shape` dimensions, or an InputError of one line that begins with the file's name.
    """
    options = ArgumentParser(description=description)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="folder for the files that fail")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")  # Pillow's remarks on such files
    images.MOST_PIXELS = MOST_PIXELS
    files = good_pictures()
    counts = Counter({"files": 0, "read": 0, "InputError": 0, "faults": 0})
    kinds: Counter[str] = Counter()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        for index in range(chosen.count):
            data = damaged(files, random.Random(f"{chosen.seed} {index}"))
            path.write_bytes(data)
            counts["files"] += 1
            for name, read in readers.items():
                # In C code no signal handler of Python runs: this ends the process, with a traceback.
                faulthandler.dump_traceback_later(LONGEST_S, exit=True)
                began = time.process_time()
                told = _what_happens(read, path, shape)
                slowest_s = max(slowest_s, time.process_time() - began)
                faulthandler.cancel_dump_traceback_later()
                if told in counts:
                    counts[told] += 1
                    continue
                counts["faults"] += 1
                kinds[told.splitlines()[0][:60]] += 1
                print(f"{name}, file {index} of seed {chosen.seed}: {told}", file=sys.stderr)
                if chosen.keep:
                    (chosen.keep / f"{target}_{chosen.seed}_{index}").write_bytes(data)
    memory = _most_bytes_so_far()
    if memory > MOST_BYTES:
        counts["faults"] += 1
        print(f"{memory} bytes of memory", file=sys.stderr)
    more = {"slowest_s": round(slowest_s, 3), "peak_mib": memory >> 20}
    print(json.dumps({"target": target, "seed": chosen.seed, "formats": len(files), **counts, **more}))
    return int(counts["faults"] > 0)


def _what_happens(read: Callable[[Path], np.ndarray], path: Path, shape: int) -> str:
    try:
        values = read(path)
    except InputError as error:
        message = str(error)
        if "\n" in message or not message.startswith(f"{path}: ") or len(message) > len(str(path)) + LONGEST_MESSAGE:
            return f"message {message!r}"
        return "InputError"
    except Exception as error:  # the very thing that is looked for
        return f"{type(error).__name__}: {error}"
    if values.dtype != np.uint8 or values.ndim != shape or not 0 < values[..., 0].size <= MOST_PIXELS * values.shape[1]:
        return f"{values.dtype} {values.shape}"
    if shape == 3 and values.shape[2] != 3:
        return f"shape {values.shape}"
    return "read"


def _most_bytes_so_far() -> int:
    return int((peak_mib() or 0) * 2**20)
