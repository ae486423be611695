"""The document holds what the results hold, cell by cell."""

from __future__ import annotations

import re

import pytest
from made_up_results import made_up_results

from bcpnet.cli.main import VERBS
from bcpnet.paper.document import document, verdict
from bcpnet.paper.published import PUBLISHED
from bcpnet.paper.results import Results, best, same
from bcpnet.paper.tables import (
    ablation_table,
    accuracy_table,
    costs_table,
    failures,
    fastest_table,
    macs_table,
    published_speed_table,
    rates_table,
    speed_table,
)


@pytest.fixture
def results() -> Results:
    return made_up_results()


def lines(table: str) -> dict[str, list[str]]:
    """First cell of each line -> the others; of those without one, the first's with a number."""
    found: dict[str, list[str]] = {}
    for line in table.splitlines()[2:]:
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[first or f"{len(found)}"] = cells
    return found


def test_costs(results: Results) -> None:
    table = lines(costs_table(results))
    assert table["SegNet"] == ["29.5", "0.61", "0.02", "360x640", "286", "7.00", "0.02", "2e-06"]
    assert table["FRRN A"][3:7] == ["1024x2048", "-", "118.3", "-"]
    assert table["BCPNet"] == ["0.61", "0.61", "1.00", "360x640", "0.51", "1.00", "1.96", "2e-06"]
    assert table["16"] == ["", "", "", "713x713", "1.12", "2.21", "1.97", ""]
    assert lines(macs_table(results))["BCPNet"] == ["1.00", "2.21", "2.28", "5.12", "4.55", "9.10"]


def test_published_speed(results: Results) -> None:
    table = lines(published_speed_table(results))
    assert table["BCPNet"] == ["360x640", "1.7", "585.9", "18.0 / 55.6", "10.0 / 100", "native", "5.88"]
    assert table["DeepLab"] == ["512x1024", "4000", "0.25", "-", "-", "-", "-"]
    assert "PSPNet" not in table
    results["networks"] = {"pspnet": results["networks"]["pspnet"]}
    assert published_speed_table(results) == "The paper prints no time at these sizes."


def test_speed(results: Results) -> None:
    assert lines(speed_table(results, same, "ms"))["ENet"] == ["40.0 / 25.0", "91.0 / 11.0", "364 / 2.75"]
    assert lines(speed_table(results, same, "network_ms"))["ENet"][0] == "36.0 / 27.8"
    fastest = lines(speed_table(results, best, "ms"))
    assert fastest["ENet"][0] == "32.0 / 31.2 v"
    assert fastest["BCPNet"][0] == "10.0 / 100 n"
    assert fastest["DeepLab"] == ["7000 / 0.14 o", "failed", "not tried"]
    assert failures(results) == [
        "DeepLab, 512x1024: stopped: it took over 60 s",
        "DeepLab, 1024x2048: not tried: it failed at 512x1024",
    ]


def test_the_fastest(results: Results) -> None:
    assert lines(fastest_table(results))["360x640"] == [
        "20.0", "ENet, 40.0", "**2.00**", "10.0 (native)", "ENet, 32.0 (openvino)", "**3.20**",
    ]  # fmt: skip
    assert "in every timing of this run at all 3 sizes." in document(results)
    assert verdict(results)[0] == "360x640: bcpnet 10.0 ms (native), next enet 32.0 ms (openvino): 3.20 times"


def test_not_the_fastest(results: Results) -> None:
    results["fastest"]["512x1024"]["rows"][3]["ms"] = 2.0
    assert "in every timing of this run at 2 of 3 sizes." in document(results)
    assert lines(fastest_table(results))["512x1024"][-1] == "**0.09**"


def test_no_claim_that_a_table_of_the_same_run_denies(results: Results) -> None:
    results["networks"]["enet"]["times"]["1024x2048"]["onnxruntime"]["ms"] = 1.0
    assert "in every timing of this run at 2 of 3 sizes." in document(results)


def test_accuracy(results: Results) -> None:
    camvid, cityscapes = (lines(accuracy_table(results, split)) for split in ("camvid", "cityscapes"))
    assert camvid["BCPNet"] == ["0.61", "67.8", "-", "-", "-"]
    assert camvid["BCPNet, `camvid`"] == ["0.61", "-", "71.4", "drives held out, mean", "the other drives"]
    assert "SQ" in cityscapes
    assert "SQ" not in camvid
    assert "CamVid, drives held out, mean, **not of test**: `results/by-drive.json`" in document(results)


def test_ablation(results: Results) -> None:
    assert "Ours is not measured yet." in document(results)
    results["ablation"] = {
        "setup": "CamVid val, 40 epochs",
        "command": "tool",
        "miou": {"no-bcp": 0.5, "avg3": 0.61234},
        "spread": {"no-bcp": 0.0123, "avg3": None},
    }
    rows = [line.split(" | ") for line in ablation_table(results).splitlines()[2:]]
    assert [row[-2] for row in rows] == ["50.0", "-", "61.2", "-", "-"]
    assert [row[-1].strip(" |") for row in rows] == ["1.2", "-", "-", "-", "-"]
    assert "Ours: CamVid val, 40 epochs, random weights at the start; `tool`." in document(results)


def test_rates(results: Results) -> None:
    assert lines(rates_table(results))["1/16"] == ["100.0", "900 / 1.11", "202.0", "1818 / 0.55"]
    for measured in results["rates"].values():
        del measured["network_ms"]
    assert lines(rates_table(results))["1/16"] == ["100.0", "-", "202.0", "-"]


def test_a_full_document(results: Results) -> None:
    text = document(results)
    assert "Example CPU, 2 cores, 16.0 GiB, each runtime's own threads" in text
    assert "the median of 1 to 30 frames" in text
    assert "quick" not in text
    for system in PUBLISHED.values():
        assert f"| {system.title} |" in text
    assert set(re.findall(r"`bcpnet ([a-z]+)", text)) <= set(VERBS)
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == {
        "paper/latency.png", "paper/accuracy.png", "paper/figure2.png", "paper/figure4.png", "paper/figure5.jpg",
    }  # fmt: skip
    for line in re.findall(r"^\|.*", text, re.MULTILINE):
        assert "None" not in line
        assert "nan" not in line


def test_a_quick_document_says_so(results: Results) -> None:
    results["settings"]["quick"] = True
    text = document(results)
    assert "**A quick run" in text
    assert "    bcpnet paper --quick\n" in text


@pytest.mark.parametrize("networks", [[], ["pspnet"], ["two_column", "deeplab"], ["camvid"]])
def test_a_few_rows_are_enough(networks: list[str], results: Results) -> None:
    results["networks"] = {key: results["networks"][key] for key in networks}
    results["fastest"] = {}
    results["accuracy"] = {}
    text = document(results)
    assert "At a glance" not in text
    assert "We measured none." in text
