"""Every bound: bytes, pixels, images, the queue, time, bodies in memory; and bombs refused before decoding."""

from __future__ import annotations

import asyncio
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from functools import partial
from typing import Any

import pytest
from media_files import scene
from service_here import client_of, encoded, new_service

from bcpnet.serving import worker
from bcpnet.serving.bounds import Bodies, Bounds, RefusedError
from bcpnet.serving.jobs import Jobs, unless_gone
from bcpnet.serving.models import Models

ADDRESS = "/v1/segment"


def bomb(width: int = 12_000, height: int = 12_000) -> bytes:
    """A PNG of 144 megapixels in some 140 KB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_many_bytes(chunked: bool, models: Models) -> None:
    client = client_of(new_service(models, Bounds(request_mib=1)))
    body = bytes((1 << 20) + 1)
    done = client.post(ADDRESS, content=iter([body[:1000], body[1000:]]) if chunked else body)
    assert done.status_code == 413
    assert "1 MiB" in done.json()["error"]
    assert client.post(ADDRESS, content=encoded()).status_code == 200


def test_too_many_pixels_and_images(models: Models) -> None:
    client = client_of(new_service(models, Bounds(megapixels=1, images=2)))
    assert client.post(ADDRESS, content=encoded(scene(0, 1000, 1000))).status_code == 200
    assert client.post(ADDRESS, content=encoded(scene(0, 1001, 1000))).status_code == 413
    assert client.post(ADDRESS, content=encoded(scene(0, 1, 8193))).status_code == 413
    assert client.post(ADDRESS, files=[("a", encoded())] * 2).status_code == 200
    assert client.post(ADDRESS, files=[("a", encoded())] * 3).status_code == 413


def test_bombs_are_refused_before_decoding() -> None:
    """In a process of its own, whose peak of memory says that nothing was decoded."""
    code = """
import sys
from bcpnet.benchmark.memory import peak_mib
from bcpnet.serving.bounds import Bounds, RefusedError
from bcpnet.serving.uploads import decode
file = sys.stdin.buffer.read()
for repeat in range(2):  # first the code is loaded
    before = peak_mib()
    try:
        decode(file, Bounds())
    except RefusedError as error:
        print(error.status, peak_mib() - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], input=bomb(), capture_output=True, check=True)
    status, grown_mib = ran.stdout.split()[-2:]
    assert int(status) == 413
    assert float(grown_mib) < 5


def test_bodies_are_counted_together() -> None:
    bodies = Bodies(10)
    with bodies.of_one_request() as first, bodies.of_one_request() as second:
        first.resize(6)
        with pytest.raises(RefusedError) as refused:
            second.resize(5)
        assert (refused.value.status, bodies.held) == (503, 6)
        second.resize(4)
        first.resize(1)
        second.resize(9)
    assert bodies.held == 0


def test_bodies_leave_nothing_behind(models: Models) -> None:
    service = new_service(models, Bounds(request_mib=1))
    client = client_of(service)
    for body in (encoded(), b"x", bytes(2 << 20), iter([bytes(1 << 20), b"x"])):
        client.post(ADDRESS, content=body)
        assert service.bodies.held == service.jobs.running == service.jobs.waiting == 0


class Gate:
    """Jobs that end when they are told to, and the order that they began in."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.began: list[int] = []

    def job(self, number: int) -> Any:
        def run() -> int:
            self.began.append(number)
            assert self.open.wait(30)
            return number

        return run


async def _soon(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.001)


def test_first_come_first_served_and_no_more_than_the_queue_holds() -> None:
    async def scenario() -> None:
        gate, jobs = Gate(), Jobs(2, Bounds(queue=3, hold_s=0.01))
        tasks = [asyncio.ensure_future(jobs.run(gate.job(number))) for number in range(5)]
        await _soon(lambda: jobs.waiting == 3)
        assert jobs.running == 2
        with pytest.raises(RefusedError) as refused:
            await jobs.run(gate.job(99))
        assert refused.value.status == 503
        assert refused.value.retry_after_s is not None
        assert refused.value.retry_after_s >= 1
        gate.open.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
        await _soon(lambda: jobs.running == 0)
        assert jobs.waiting == 0
        assert sorted(gate.began[:2]) == [0, 1]
        assert sorted(gate.began[2:]) == [2, 3, 4]

    asyncio.run(scenario())


def test_a_job_waits_only_so_long() -> None:
    async def scenario() -> None:
        gate, jobs = Gate(), Jobs(1, Bounds(wait_s=0.05))
        running = asyncio.ensure_future(jobs.run(gate.job(0)))
        await _soon(lambda: gate.began)
        with pytest.raises(RefusedError):
            await jobs.run(gate.job(1))
        gate.open.set()
        assert await running == 0
        assert await jobs.run(gate.job(2)) == 2
        assert gate.began == [0, 2]

    asyncio.run(scenario())


def test_where_none_may_wait_a_free_thread_is_used_all_the_same() -> None:
    async def scenario() -> None:
        jobs = Jobs(1, Bounds(wait_s=0))
        for number in range(20):
            assert await jobs.run(partial(abs, number)) == number
            await _soon(lambda: jobs.running == 0)

    asyncio.run(scenario())


def test_who_goes_leaves_the_queue_and_its_thread() -> None:
    async def scenario() -> None:
        gate, jobs, gone = Gate(), Jobs(1, Bounds()), asyncio.Event()
        first = asyncio.ensure_future(unless_gone(gone.wait, lambda: jobs.run(gate.job(0))))
        await _soon(lambda: gate.began)
        second = asyncio.ensure_future(unless_gone(gone.wait, lambda: jobs.run(gate.job(1))))
        third = asyncio.ensure_future(jobs.run(gate.job(2)))
        await _soon(lambda: jobs.waiting == 2)
        gone.set()
        for task in (first, second):
            with pytest.raises(ConnectionError):
                await task
        await _soon(lambda: jobs.waiting == 1)
        gate.open.set()
        assert await third == 2
        await _soon(lambda: jobs.running == 0)
        assert gate.began == [0, 2]

    asyncio.run(scenario())


def test_a_failing_job_frees_its_thread() -> None:
    async def scenario() -> None:
        jobs = Jobs(1, Bounds())
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await jobs.run(lambda: 1 // 0)
        await _soon(lambda: jobs.running == 0)

    asyncio.run(scenario())


def test_a_thread_that_hangs_ends_the_signs_of_life(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BEAT_S", 0.005)

    async def scenario() -> None:
        gate, beats = Gate(), []
        service = new_service(models, Bounds(job_s=0.2))
        telling = asyncio.ensure_future(worker._tell(service, lambda: beats.append(service.jobs.oldest_s())))
        await _soon(lambda: len(beats) > 2)
        running = asyncio.ensure_future(service.jobs.run(gate.job(0)))
        await _soon(lambda: service.jobs.oldest_s() > 0.3)
        before = len(beats)
        await asyncio.sleep(0.1)
        assert len(beats) == before
        gate.open.set()
        await running
        await _soon(lambda: len(beats) > before)
        assert max(beats) < 0.2
        telling.cancel()

    asyncio.run(scenario())


def test_a_full_queue_answers_503_with_retry_after(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    service = new_service(models, Bounds(queue=0, hold_s=0.01))
    assert client_of(service).post(ADDRESS, content=encoded()).status_code == 200
    monkeypatch.setattr(service.jobs, "_places", lambda: 0)
    done = client_of(service).post(ADDRESS, content=encoded())
    assert done.status_code == 503
    assert int(done.headers["retry-after"]) >= 1


def test_who_is_held_back_comes_in_once_there_is_room_first_come_first_served() -> None:
    async def scenario() -> None:
        gate, jobs = Gate(), Jobs(1, Bounds(queue=0, hold_s=30, wait_s=30))
        entered: list[int] = []

        async def request(number: int) -> int:
            await jobs.room()
            entered.append(number)
            return await jobs.run(gate.job(number))

        requests = [asyncio.ensure_future(request(0))]
        await _soon(lambda: gate.began)
        requests += [asyncio.ensure_future(request(number)) for number in range(1, 6)]
        await asyncio.sleep(0.1)
        assert entered == [0]
        gate.open.set()
        assert await asyncio.gather(*requests) == entered == gate.began == [0, 1, 2, 3, 4, 5]

    asyncio.run(scenario())


def test_who_is_let_in_and_does_not_come_keeps_nobody_out() -> None:
    async def scenario() -> None:
        gate, jobs = Gate(), Jobs(1, Bounds(queue=0, hold_s=30, wait_s=30))
        first = asyncio.ensure_future(jobs.run(gate.job(0)))
        await _soon(lambda: gate.began)
        goes = asyncio.ensure_future(jobs.room())  # lets a body be received, which never comes
        stays = asyncio.ensure_future(jobs.run(gate.job(1)))
        another = [asyncio.ensure_future(jobs.room()) for _ in range(3)]
        gate.open.set()
        assert [await first, await goes, await stays] == [0, None, 1]
        await asyncio.gather(*another)

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_whoever_comes_waits_or_goes_nothing_is_lost(seed: int) -> None:
    """Jobs of any length, clients that go at any time: each gets its own result, and all places come back."""
    threads, queue = 2, 3
    rng = random.Random(seed)

    async def scenario() -> None:
        jobs, now, most = Jobs(threads, Bounds(queue=queue, hold_s=0.01, wait_s=0.02)), [], []
        counts: Counter[str] = Counter()

        def work(number: int, seconds: float) -> int:
            now.append(number)
            most.append(len(now))
            time.sleep(seconds)
            now.remove(number)
            if number % 7 == 0:
                raise ZeroDivisionError
            return number

        async def client(number: int) -> None:
            await asyncio.sleep(rng.uniform(0, 0.3))
            asked = jobs.run(partial(work, number, rng.choice((0, 0, 0.002, 0.03))))
            try:
                assert await asyncio.wait_for(asked, rng.choice((0.001, 0.01, 100))) == number
                counts["good"] += 1
            except ZeroDivisionError:
                assert number % 7 == 0
                counts["failed"] += 1
            except (RefusedError, asyncio.TimeoutError) as error:
                counts[type(error).__name__] += 1
            assert jobs._places() >= 0

        await asyncio.gather(*(client(number) for number in range(200)))
        await _soon(lambda: jobs.running == 0)
        assert jobs.waiting == 0
        assert counts.total() == 200
        assert len(counts) == 4, counts
        assert max(most) <= threads
        assert await jobs.run(lambda: 5) == 5
        jobs.close()

    asyncio.run(scenario())
