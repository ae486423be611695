"""Damaged requests to the service, thousands of them: each is answered, never with a fault, and good ones rightly.

    python tests/fuzz/bodies.py --count 5000 --seed 0

Prints one line of JSON, the counts; what was otherwise is told on standard error, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import warnings
from collections import Counter
from typing import Any

import httpx
import numpy as np
from damaged_pictures import damaged, good_pictures
from PIL import Image

from bcpnet.benchmark.memory import peak_mib
from bcpnet.serving.app import build_app
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.jobs import Jobs
from bcpnet.serving.metrics import CELLS, Metrics
from bcpnet.serving.models import open_models
from bcpnet.serving.service import Access, Service

MOST_MIB = 600
GOOD = {200, 400, 404, 406, 413, 415, 422}
BOUNDS = Bounds(request_mib=1, megapixels=1, images=4)
AT_ONCE = 4
OUTPUTS = ("ids", "palette", "overlay", "confidence", "json", "polygons", "video", "")


def multipart(files: list[bytes], rng: random.Random) -> tuple[bytes, str]:
    """A form of these files, and its content type; now and then damaged."""
    boundary = rng.choice(["x", "----1234", "é", "a" * 300])
    rows = [
        b'--%b\r\nContent-Disposition: form-data; name="a"; filename="%d"\r\n\r\n%b\r\n'
        % (boundary.encode(), index, file)
        for index, file in enumerate(files)
    ]
    body = b"".join(rows) + b"--%b--\r\n" % boundary.encode()
    if rng.random() < 0.6:
        cut = bytearray(body)
        for _ in range(rng.choice([1, 3, 20])):
            cut[rng.randrange(min(len(cut), rng.choice([40, len(cut)])))] = rng.choice(b'\r\n-";\0\xff')
        body = bytes(cut[: rng.randrange(len(cut))] if rng.random() < 0.3 else cut)
    return body, f"multipart/form-data; boundary={boundary}"


def inference(rng: random.Random) -> tuple[bytes, dict[str, str]]:
    """A request of the Open Inference Protocol, with a value or some bytes changed."""
    tensor: dict[str, Any] = {"name": "frames", "datatype": "UINT8", "shape": [1, 4, 5, 3], "data": [7] * 60}
    odd = [None, 0, -1, 1e308, "", "x", [], {}, [[]], True, 2**70, [1, 2**40, 2**40, 3], {"binary_data_size": 60}]
    for _ in range(rng.choice([0, 1, 1, 2])):
        tensor[rng.choice([*tensor, "parameters"])] = rng.choice(odd)
    request = {
        "inputs": [tensor],
        **({rng.choice(["id", "outputs", "parameters"]): rng.choice(odd)} if rng.random() < 0.4 else {}),
    }
    text = json.dumps(request).encode()
    body = text + bytes(60 if rng.random() < 0.5 else rng.randrange(70))
    if rng.random() < 0.3:
        body = bytes(rng.choice([byte, rng.randrange(256)]) if rng.random() < 0.02 else byte for byte in body)
    length = rng.choice([str(len(text)), str(rng.randrange(200)), "-1", "x"])
    return (body, {"Inference-Header-Content-Length": length}) if rng.random() < 0.6 else (text, {})


async def ask(client: httpx.AsyncClient, index: int, seed: int, files: dict[str, list[bytes]]) -> tuple[int, str]:
    """One request: its status, and what is wrong with the answer, or nothing."""
    rng = random.Random(f"{seed} {index}")
    kind = rng.randrange(3)
    if kind == 2:
        body, headers = inference(rng)
        done = await client.post("/v2/models/camvid/infer", content=body, headers=headers)
    else:
        pictures = [damaged(files, rng) if rng.random() < 0.7 else files["PNG"][0] for _ in range(rng.randrange(1, 6))]
        body, content_type = (
            multipart(pictures, rng) if kind else (pictures[0], rng.choice(["image/png", "x", "a/b; c=\xe9"]))
        )
        address = f"/v1/segment?output={rng.choice(OUTPUTS)}"
        done = await client.post(address, content=body, headers={"Content-Type": content_type.encode()})
    if done.status_code not in GOOD:
        return done.status_code, f"status {done.status_code}: {done.text[:200]}"
    if b"Traceback" in done.content or (done.status_code != 200 and set(done.json()) != {"error"}):
        return done.status_code, f"answer {done.text[:200]}"
    return done.status_code, ""


async def good_one(client: httpx.AsyncClient, file: bytes, expected: np.ndarray) -> str:
    """What is wrong with the answer to a good request, between the bad ones."""
    import io

    done = await client.post("/v1/segment?output=ids", content=file)
    is_right = done.status_code == 200 and np.array_equal(np.asarray(Image.open(io.BytesIO(done.content))), expected)
    return "" if is_right else f"a good request: {done.status_code}"


async def run(count: int, seed: int) -> int:
    """Asks, a few at once; prints the counts."""
    models = open_models(("camvid",), None, (64, 64))
    service = Service(models, Jobs(2, BOUNDS), Metrics([0.0] * CELLS), BOUNDS, Access())
    files = good_pictures()
    good = files["PNG"][0]
    from bcpnet.serving.uploads import decode

    expected = models.get(None).segmenter(decode(good, BOUNDS)).class_map
    statuses: Counter[int] = Counter()
    faults = 0
    transport = httpx.ASGITransport(build_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        for first in range(0, count, AT_ONCE):
            asked = [ask(client, index, seed, files) for index in range(first, min(first + AT_ONCE, count))]
            *answers, between = await asyncio.gather(*asked, good_one(client, good, expected))
            for offset, (status, wrong) in enumerate(answers):
                statuses[status] += 1
                if wrong:
                    faults += 1
                    print(f"request {first + offset} of seed {seed}: {wrong}", file=sys.stderr)
            if between:
                faults += 1
                print(f"beside request {first} of seed {seed}: {between}", file=sys.stderr)
    service.jobs.close()
    held = service.bodies.held + service.jobs.waiting + service.jobs.running
    memory = int(peak_mib() or 0)
    if held or memory > MOST_MIB:
        faults += 1
        print(f"held {held}, {memory} MiB of memory", file=sys.stderr)
    told = {"target": "bodies", "seed": seed, "requests": count, "faults": faults, "peak_mib": memory}
    print(json.dumps({**told, "statuses": dict(sorted(statuses.items()))}))
    return int(faults > 0)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    warnings.simplefilter("ignore")  # Pillow's remarks on such files
    logging.disable(logging.CRITICAL)
    sys.exit(asyncio.run(run(chosen.count, chosen.seed)))
