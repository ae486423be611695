"""Damaged videos, thousands of them: each gives frames and then ends, or one clear line.

    python tests/fuzz/videos.py --count 2000 --seed 0

Each is asked for its rate and size, read to its end, read from its middle, and copied with its times and its sound, as
`bcpnet predict` does. Prints one line of JSON, the counts; what was otherwise is told on standard error, and the exit
code is 1. Each file is read in another process, so that a crash or a hang of FFmpeg is seen and the rest goes on.
"""

from __future__ import annotations

import argparse
import io
import json
import queue
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from bcpnet.benchmark.memory import peak_mib
from bcpnet.errors import InputError
from bcpnet.media.video import Cut, Sound, VideoWriter, is_video, lost_sound, read_video, video_frames, video_info
from bcpnet.media.video import open as opening

LONGEST_S = 60  # for a file that takes a fraction of a second
LONGEST_MESSAGE = 400  # characters, beside the path
MOST_PIXELS = 2_000_000  # instead of 179 million, so that sizes changed at random cost no seconds
MOST_MIB = 800  # of memory, for all of them; Python, NumPy and FFmpeg take some 150
FRAMES = 14

# Container, codec of the pictures with its pixels, codec of the sound.
_KINDS = (
    ("mp4", "libx264", "yuv420p", "aac"),
    ("mp4", "libx265", "yuv420p10le", None),
    ("mov", "mjpeg", "yuvj420p", "pcm_s16le"),
    ("matroska", "libx264", "yuv420p", "libopus"),
    ("webm", "libvpx", "yuv420p", "libopus"),
    ("webm", "libvpx-vp9", "yuv420p", None),
    ("avi", "mpeg4", "yuv420p", "libmp3lame"),
    ("avi", "mjpeg", "yuvj420p", "pcm_mulaw"),
    ("mpegts", "libx264", "yuv420p", "aac"),
    ("mpegts", "mpeg2video", "yuv420p", "mp2"),
    ("flv", "libx264", "yuv420p", "aac"),
    ("ogg", "libtheora", "yuv420p", "flac"),
    ("gif", "gif", "rgb8", None),
)


def good_videos() -> list[bytes]:
    """A small file of each kind that this FFmpeg can write."""
    return [data for kind in _KINDS if (data := _video(*kind)) is not None]


def _video(container_format: str, codec: str, pixels: str, sound: str | None) -> bytes | None:
    data = io.BytesIO()
    y, x = np.mgrid[:48, :64]
    try:
        with av.open(data, "w", format=container_format) as container:
            options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            stream.codec_context.gop_size = 5
            voice = container.add_stream(sound, rate=48000 if sound != "pcm_mulaw" else 8000) if sound else None
            for index in range(FRAMES):
                picture = np.stack([x * 3 + 9 * index, y * 4 - 5 * index, x * y // 16], axis=-1).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if voice is not None:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 24000), np.int16), format="s16", layout="mono")
                samples.sample_rate = voice.rate
                container.mux([*voice.encode(samples), *voice.encode(None)])
    except (av.FFmpegError, ValueError):
        return None
    return data.getvalue()


def damaged(files: list[bytes], rng: random.Random) -> bytes:
    """One of the files, damaged in one of several ways."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choice((_flip, _header, _cut, _drop, _noise, _splice))(data, rng, files)
        if not data:
            break
    return bytes(data)


def _flip(data: bytearray, rng: random.Random, _: object) -> None:
    for _i in range(rng.choice([1, 2, 5, 30, 200])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _header(data: bytearray, rng: random.Random, _: object) -> None:
    """Numbers near the start, near the end, or after a name that a container gives its parts."""
    names = (b"tkhd", b"stsz", b"stco", b"stts", b"stsd", b"avcC", b"mvhd", b"mdhd", b"ctts", b"elst", b"strh", b"strf",
             b"avih", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\x2a\xd7\xb1", b"\x00\x00\x01")  # fmt: skip
    for _i in range(rng.choice([1, 1, 2, 4])):
        name = rng.choice(names)
        found = data.find(name, rng.randrange(len(data)) if rng.random() < 0.5 else 0)
        start = rng.choice([0, max(0, len(data) - 300), max(0, found)])
        at = min(len(data) - 1, start + rng.randrange(120))
        size = rng.choice([1, 1, 2, 4, 8])
        value = rng.choice([0, 1, 2, 127, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, rng.getrandbits(64)])
        data[at : at + size] = (value % 256**size).to_bytes(size, rng.choice(["little", "big"]))


def _cut(data: bytearray, rng: random.Random, _: object) -> None:
    del data[rng.randrange(len(data)) :]


def _drop(data: bytearray, rng: random.Random, _: object) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice([1, 4, 100, 188, 2000])]


def _noise(data: bytearray, rng: random.Random, _: object) -> None:
    start = rng.randrange(len(data))
    length = min(len(data) - start, rng.choice([4, 40, 400, 4000]))
    data[start : start + length] = rng.choice([rng.randbytes(length), bytes(length), b"\xff" * length])


def _splice(data: bytearray, rng: random.Random, files: list[bytes]) -> None:
    """The rest comes from another file, or from this one again."""
    other = rng.choice([bytes(data), rng.choice(files)])
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def what_happens(path: Path, to: Path) -> list[str]:
    """Outcomes of all that is tried on a file: "read", "InputError", or what is wrong."""
    uses: tuple[Callable[[], None], ...] = (
        lambda: _ask(path),
        lambda: _read(path, Cut()),
        lambda: _read(path, Cut(start_s=0.3, every=2)),
        lambda: _copy(path, to),
    )
    return [_outcome(use, path, to) for use in uses]


def _outcome(use: Callable[[], None], path: Path, to: Path) -> str:
    try:
        use()
    except InputError as error:
        told = str(error)
        clear = told.startswith((f"{path}: ", f"{to}: ")) and told.isprintable()
        return "InputError" if clear and len(told) < len(str(to)) + LONGEST_MESSAGE else f"message {told!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _ask(path: Path) -> None:
    is_video(path)
    lost_sound(path)
    info = video_info(path)
    assert info.fps > 0, info
    assert info.time_base > 0, info
    assert info.pixel_aspect > 0, info
    assert min(info.size_hw) > 0, info


def _read(path: Path, cut: Cut) -> None:
    last = -1
    for frame in video_frames(path, cut):
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
        assert frame.image.size > 0
        assert frame.image.flags.c_contiguous
        assert frame.index > last
        last = frame.index


def _copy(path: Path, to: Path) -> None:
    """All frames that can be read, whatever comes after them."""
    to.unlink(missing_ok=True)
    info = video_info(path)
    written = 0
    try:
        with VideoWriter(
            to, info.size_hw, info.fps, time_base=info.time_base, pixel_aspect=info.pixel_aspect, sound=Sound(path)
        ) as writer:
            try:
                for frame in video_frames(path):
                    if frame.image.shape[:2] == info.size_hw and writer.takes(frame.time_s):
                        writer.write(frame.image, frame.time_s)
                        written += 1
            except InputError as error:
                if not str(error).startswith(f"{path}: "):  # to write is what failed
                    raise
    except InputError as error:
        raise AssertionError(f"not written: {error}") from error
    if written:
        assert len(list(read_video(to))) == written


def _work(folder: Path, seed: int, first: int, last: int) -> None:
    """In a process of its own: a line of JSON for each file."""
    opening.MOST_PIXELS, opening._BOUNDS["max_pixels"] = MOST_PIXELS, str(MOST_PIXELS)
    files = good_videos()
    for number in range(first, last):
        path = folder / "damaged"
        path.write_bytes(damaged(files, random.Random(f"{seed} {number}")))
        print(json.dumps([number, what_happens(path, folder / "copy.mp4"), _peak_mib()]), flush=True)


def _peak_mib() -> int:
    return int(peak_mib() or 0)


def run(count: int, seed: int) -> int:
    """Prints the counts; 1 if there was a fault."""
    counts: Counter[str] = Counter(files=0, read=0, InputError=0, faults=0)
    number, most_mib = 0, 0
    with tempfile.TemporaryDirectory(prefix="bcpnet-") as folder:
        while number < count:
            command = [sys.executable, __file__, "--work", folder, str(seed), str(number), str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                lines: queue.Queue[str] = queue.Queue()
                threading.Thread(target=_pass_on, args=(process, lines), daemon=True).start()
                outcomes: list[str] = []
                while number < count:
                    try:
                        line = lines.get(timeout=LONGEST_S)
                    except queue.Empty:
                        line, outcomes = "", ["hang"]
                    if not line:
                        break
                    _, outcomes, mib = json.loads(line)
                    if mib > max(MOST_MIB, most_mib):
                        outcomes.append(f"{mib} MiB of memory")
                    most_mib = max(most_mib, mib)
                    _count(counts, number, outcomes, seed)
                    number += 1
                    outcomes = []
                process.kill()
                if number < count:
                    _count(counts, number, outcomes or [f"ended with {process.wait()}"], seed)
                    number += 1
    print(json.dumps({**counts, "most_mib": most_mib}))
    return int(counts["faults"] > 0)


def _pass_on(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _count(counts: Counter[str], number: int, outcomes: list[str], seed: int) -> None:
    counts["files"] += 1
    for outcome in outcomes:
        if outcome in ("read", "InputError"):
            counts[outcome] += 1
        else:
            counts["faults"] += 1
            print(f"file {number} of seed {seed}: {outcome}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _work(Path(sys.argv[2]), *map(int, sys.argv[3:]))
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files to read")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same files")
    options = parser.parse_args()
    sys.exit(run(options.count, options.seed))
