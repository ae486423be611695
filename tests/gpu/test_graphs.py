"""Which graph a call gets: recorded once, never for two callers at a time, not kept for ever."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from triton_here import DEVICE, torch

import bcpnet.gpu.graphs
from bcpnet.gpu.graphs import Graphs, Job


class Recorded:
    """In the place of a CUDA graph."""

    def __init__(self, network: Any, job: Job, device: Any) -> None:
        del network, device
        if job.shape[0] > 100:
            raise RuntimeError("CUDA out of memory")
        self.job = job
        self.users = 0


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    monkeypatch.setattr(bcpnet.gpu.graphs, "Graph", Recorded)
    return Graphs(lambda frames: frames.float(), DEVICE)


def _job(count: int, size_hw: tuple[int, int] | None = None) -> Job:
    return Job((count, 32, 32, 3), size_hw)


def _lent(graphs: Graphs, job: Job) -> Any:
    with graphs.lend(job) as graph:
        assert graph.job == job
        return graph


def test_one_graph_for_each_job(graphs: Graphs) -> None:
    first = _lent(graphs, _job(1))
    assert _lent(graphs, _job(1)) is first
    assert _lent(graphs, _job(1, (64, 64))) is not first
    assert _lent(graphs, _job(2)) is not first
    assert _lent(graphs, _job(1)) is first


def test_two_callers_get_two_graphs(graphs: Graphs) -> None:
    with graphs.lend(_job(1)) as one, graphs.lend(_job(1)) as other:
        assert one is not other
    again = {id(_lent(graphs, _job(1))) for _ in range(3)}
    assert again <= {id(one), id(other)}


def test_those_used_longest_ago_go_first(graphs: Graphs) -> None:
    jobs = [_job(count) for count in range(1, 9)]
    kept = [_lent(graphs, job) for job in jobs]
    assert _lent(graphs, jobs[0]) is kept[0]
    _lent(graphs, _job(9))  # the ninth: the second goes, for the first was used again
    assert _lent(graphs, jobs[0]) is kept[0]
    assert _lent(graphs, jobs[2]) is kept[2]
    assert _lent(graphs, jobs[1]) is not kept[1]


def test_a_graph_that_failed_is_not_used_again(graphs: Graphs) -> None:
    failed = _lent(graphs, _job(1))
    with pytest.raises(RuntimeError, match="launch failed"), graphs.lend(_job(1)):
        raise RuntimeError("launch failed")
    assert _lent(graphs, _job(1)) is not failed
    with pytest.raises(RuntimeError, match="out of memory"):
        _lent(graphs, _job(101))


def test_many_threads(graphs: Graphs) -> None:
    wrong = []

    def work() -> None:
        for turn in range(200):
            with graphs.lend(_job(1 + turn % 3)) as graph:
                graph.users += 1
                wrong.extend([turn] * (graph.users != 1))
                graph.users -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_graph_computes_what_it_recorded() -> None:
    def network(frames: Any) -> Any:
        return frames.permute(0, 3, 1, 2).float() + 1

    graphs = Graphs(network, DEVICE)
    for seed in range(3):
        frames = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
        with graphs.lend(Job((2, 5, 7, 3), None)) as graph:
            logits = torch.from_numpy(graph(frames.numpy()))
        assert torch.equal(logits, network(frames))
        with graphs.lend(Job((2, 5, 7, 3), (5, 7))) as graph:
            class_maps = torch.from_numpy(graph(frames.numpy()))
        assert torch.equal(class_maps, network(frames).argmax(1).byte())
