"""What is timed where, and what is kept of it, with a contest that is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need PyTorch")
import torch

from bcpnet.benchmark.comparison import Contestant, Row
from bcpnet.benchmark.timing import Times, Timing
from bcpnet.errors import InputError
from bcpnet.metadata import Metadata
from bcpnet.paper import measure, rates, run
from bcpnet.paper.measure import Effort, Exports, Variant
from bcpnet.paper.results import DEPTHS, RATES, Results, new_results, rate_key, size_hw

SIZES = ("64x64", "128x128", "256x256")
ROWS = {name: Variant(name, {}) for name in ("bcpnet", "enet", "edanet", "segnet")}
MS = {"bcpnet": 10.0, "enet": 20.0, "edanet": 30.0, "segnet": 90.0}
BACKENDS = {"onnxruntime": 1.0, "native": 0.5, "openvino": 0.8}  # times as long


class Contest:
    """In the place of `compete`; fails where (network, backend, size) is in `errors`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.errors: dict[tuple[str, str, str], str] = {}

    def __call__(self, contestants: Sequence[Contestant], scenes: Sequence[Any], **settings: Any) -> list[Row]:
        height, width, _ = scenes[0].shape
        size = f"{height}x{width}"
        self.calls.append((size, [(each.network, each.backend) for each in contestants]))
        rows = []
        for each in contestants:
            assert each.backend is not None
            error = self.errors.get((each.network, each.backend, size))
            ms = MS[each.network] * BACKENDS[each.backend]
            times, network = (Times(value, value, value, value) for value in (ms, 0.9 * ms))
            timing = None if error else Timing(settings["frames"], {"network": network}, times, times)
            rows.append(
                Row(each.network, each.backend, each.backend, (height, width), None, timing=timing, error=error)
            )
        if all(row.error for row in rows):
            raise InputError(str(rows[0].error))
        return rows


class Prepared:
    """In the place of a `PreparedNetwork`."""

    difference = 2e-6

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def weights(self, backend: str | None = None) -> Path:
        return Path(f"network.{backend}.onnx")


@pytest.fixture(autouse=True)
def contest(monkeypatch: pytest.MonkeyPatch) -> Contest:
    fake = Contest()
    monkeypatch.setattr(measure, "compete", fake)
    monkeypatch.setattr(measure, "random_network", lambda *_, **__: Prepared(1000))
    return fake


@pytest.fixture
def results() -> Results:
    """Counted, but not timed: enet would take a second at 64x64, segnet fifteen, the others less."""
    empty = new_results(PLAN.settings())
    for name, macs in (("bcpnet", 10**8), ("enet", 5 * 10**10), ("edanet", 10**9), ("segnet", 75 * 10**10)):
        empty["networks"][name] = {"parameters": 1000, "macs": {"64x64": macs}, "difference": None, "times": {}}
    for depth in DEPTHS:
        for rate in RATES:
            empty["rates"][rate_key(depth, rate)] = {"macs": 1}
    return empty


PLAN = run.Plan(ROWS, tuple(ROWS), SIZES, Effort(), quick=True)


@pytest.fixture
def go(results: Results, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a plan for these networks and sizes; returns the steps taken."""

    def measured(networks: Sequence[str] = tuple(ROWS), sizes: Sequence[str] = SIZES) -> list[str]:
        steps: list[str] = []
        plan = run.Plan(ROWS, tuple(networks), tuple(sizes), Effort(), quick=True)
        run.measure(plan, results, tmp_path / "paper.json", steps.append)
        return steps

    return measured


def test_all_backends_in_turns(go: Callable[..., list[str]], contest: Contest, results: Results) -> None:
    go(["bcpnet"], ["64x64"])
    assert contest.calls == [("64x64", [("bcpnet", "onnxruntime"), ("bcpnet", "native"), ("bcpnet", "openvino")])]
    entry = results["networks"]["bcpnet"]
    assert entry["difference"] == 2e-6
    assert entry["times"]["64x64"]["native"] == {"network_ms": 4.5, "ms": 5.0, "frames": 30, "peak_mib": None}


def test_the_slow_run_in_one_backend(go: Callable[..., list[str]], contest: Contest) -> None:
    """Expected to take over five seconds: enet's second grows to sixteen at 256x256."""
    go(["enet", "segnet"])
    assert [len(contestants) for _, contestants in contest.calls] == [3, 3, 1, 1, 1, 1]


def test_what_failed_is_not_tried_at_larger_sizes(
    go: Callable[..., list[str]], contest: Contest, results: Results
) -> None:
    contest.errors = {
        ("edanet", "native", "64x64"): "/tmp/bcpnet-x/edanet/edanet.onnx: the backend native does not run it",
        ("edanet", "onnxruntime", "128x128"): "out of memory",
    }
    go(["edanet"])
    assert [[backend for _, backend in contestants] for _, contestants in contest.calls] == [
        ["onnxruntime", "native", "openvino"],
        ["onnxruntime", "openvino"],
    ]
    times = results["networks"]["edanet"]["times"]
    assert times["64x64"]["native"] == {"error": "edanet.onnx: the backend native does not run it"}
    assert times["128x128"]["onnxruntime"] == {"error": "out of memory"}
    assert times["256x256"] == {"onnxruntime": {"error": "not tried: it failed at 128x128"}}


def fail(*_: Any, **__: Any) -> Prepared:
    raise InputError("/tmp/bcpnet-x/enet/enet.onnx: not kept: logits differ")


def test_an_export_that_fails_is_a_row(
    go: Callable[..., list[str]], results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "random_network", fail)
    go(["enet"])
    assert results["networks"]["enet"]["times"] == {
        "64x64": {"onnxruntime": {"error": "enet.onnx: not kept: logits differ"}},
        "128x128": {"onnxruntime": {"error": "not tried: it failed at 64x64"}},
        "256x256": {"onnxruntime": {"error": "not tried: it failed at 64x64"}},
    }


def test_the_race(go: Callable[..., list[str]], contest: Contest, results: Results) -> None:
    """bcpnet and two rivals, in what all have in common and in their best."""
    contest.errors = {(name, "native", "64x64"): "not run" for name in ("enet", "edanet", "segnet")}
    steps = go(sizes=["64x64"])
    assert steps[-1] == "1 of 1: the fastest, 64x64"
    assert contest.calls[-1] == (
        "64x64",
        [
            ("bcpnet", "onnxruntime"), ("enet", "onnxruntime"), ("edanet", "onnxruntime"),
            ("bcpnet", "native"), ("enet", "openvino"), ("edanet", "openvino"),
        ],
    )  # fmt: skip
    rows = results["fastest"]["64x64"]["rows"]
    assert rows[3] == {
        "network": "bcpnet",
        "backend": "native",
        **results["networks"]["bcpnet"]["times"]["64x64"]["native"],
    }


def test_no_race_alone(go: Callable[..., list[str]], results: Results) -> None:
    go(["bcpnet"])
    assert results["fastest"] == {}


def test_an_interrupted_run_goes_on(go: Callable[..., list[str]], contest: Contest, tmp_path: Path) -> None:
    def stop_at_edanet(*arguments: Any, **settings: Any) -> list[Row]:
        if arguments[0][0].network == "edanet":
            raise KeyboardInterrupt
        return contest(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "compete", stop_at_edanet)
        with pytest.raises(KeyboardInterrupt):
            go(["bcpnet", "enet", "edanet"], ["64x64", "128x128"])
    assert (tmp_path / "paper.json").is_file()
    steps = go(["bcpnet", "enet", "edanet"], ["64x64", "128x128"])
    assert steps == [
        "1 of 2: edanet, 64x64", "2 of 2: edanet, 128x128",
        "1 of 2: the fastest, 64x64", "2 of 2: the fastest, 128x128",
    ]  # fmt: skip
    assert go(["bcpnet", "enet", "edanet"], ["64x64", "128x128"]) == []


def test_a_new_network_calls_for_a_new_race(go: Callable[..., list[str]], results: Results) -> None:
    go(["bcpnet", "enet"], ["64x64"])
    assert go(["bcpnet", "enet", "edanet"], ["64x64"]) == ["1 of 1: edanet, 64x64", "1 of 1: the fastest, 64x64"]
    assert results["fastest"]["64x64"]["among"] == ["bcpnet", "enet", "edanet"]


def test_rows_are_in_the_papers_order(go: Callable[..., list[str]], results: Results) -> None:
    results["networks"] = {name: results["networks"][name] for name in ("segnet", "enet", "bcpnet")}
    go(["enet", "segnet"], ["64x64"])
    assert list(results["networks"]) == ["bcpnet", "enet", "segnet"]


def test_another_machine_may_only_read(go: Callable[..., list[str]], results: Results) -> None:
    go(["bcpnet"], ["64x64"])
    results["machine"]["cpu"] = "Example CPU"
    assert go(["bcpnet"], ["64x64"]) == []
    with pytest.raises(InputError, match="its cpu was Example CPU"):
        go(["bcpnet"], ["64x64", "128x128"])


def test_a_rate_is_counted_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder(torch.nn.Module):
        def __init__(self, depth: int, *, output_stride: int) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, depth, 1, output_stride)

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return images, self.conv(images)

    def prepared(network: torch.nn.Module, metadata: Metadata, *_: Any) -> Prepared:
        assert network(torch.zeros(1, 3, 33, 47)).shape == (1, len(metadata.classes), 3, 3)
        return Prepared(1000)

    monkeypatch.setattr(rates, "ResNet", Encoder)
    monkeypatch.setattr(rates, "PreparedNetwork", prepared)
    monkeypatch.setitem(MS, "resnet50", 50.0)
    measured = rates.measure_rate(50, 16, Effort())
    assert measured["macs"] == 3 * 50 * 23 * 40  # at 360x640
    assert measured["network_ms"] == pytest.approx(45)
    monkeypatch.setattr(rates, "PreparedNetwork", fail)
    assert rates.measure_rate(50, 16, Effort())["error"] == "enet.onnx: not kept: logits differ"


def test_files_of_large_networks_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(name: str, _classes: int, _scenes: Any, folder: Path, **_: Any) -> Prepared:
        folder.mkdir()
        return Prepared(10**8 if name == "segnet" else 10**6)

    monkeypatch.setattr(measure, "random_network", write)
    exports = Exports(tmp_path)
    made = {name: exports(name, ROWS[name]) for name in ("enet", "segnet")}
    assert exports("enet", ROWS["enet"]) is made["enet"]
    assert {path.name for path in tmp_path.iterdir()} == {"enet", "segnet"}
    exports("bcpnet", ROWS["bcpnet"])
    assert {path.name for path in tmp_path.iterdir()} == {"enet", "bcpnet"}
    assert exports("segnet", ROWS["segnet"]) is not made["segnet"]


def test_rows_are_the_papers_and_what_ships() -> None:
    rows = measure.variants()
    assert list(rows)[-1] == "camvid"
    assert rows["camvid"].network == "bcpnet"
    assert rows["camvid"].options
    assert rows["bcpnet"] == Variant("bcpnet", {})


def test_counts_are_those_of_info() -> None:
    from bcpnet.networks.info import describe

    results = new_results({})
    measure.count("bcpnet", Variant("bcpnet", {"pooling": "avg3"}), results)
    info = describe("bcpnet", 19, [size_hw("1024x2048")], pooling="avg3")
    entry = results["networks"]["bcpnet"]
    assert entry["parameters"] == info.parameters
    assert entry["macs"]["1024x2048"] == info.macs["1024x2048"]
    assert entry["options"] == {"pooling": "avg3"}
