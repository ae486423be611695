"""/metrics, read by Prometheus' own parser; and the log."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from service_here import PICTURE, client_of, encoded, new_service

from bcpnet.serving.logs import _JsonFormatter, event
from bcpnet.serving.metrics import CELLS, Metrics
from bcpnet.serving.models import Models


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels -> value."""
    parser = pytest.importorskip("prometheus_client.parser", reason="reads what Prometheus reads")
    families = list(parser.text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("counter", "gauge", "histogram") for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def test_what_was_asked_is_counted(client: Any) -> None:
    for body in (encoded(), encoded(), b"x"):
        client.post("/v1/segment", content=body)
    client.post("/v1/segment", files=[("a", encoded()), ("b", b"x")])
    client.get("/nowhere/at/all")
    found = parsed(client.get("/metrics").text)
    assert found["bcpnet_requests_total", (("route", "segment"), ("status", "200"))] == 3
    assert found["bcpnet_requests_total", (("route", "segment"), ("status", "422"))] == 1
    assert found["bcpnet_requests_total", (("route", "other"), ("status", "404"))] == 1
    assert found["bcpnet_images_total", (("result", "segmented"),)] == 3
    assert found["bcpnet_images_total", (("result", "refused"),)] == 2
    assert found["bcpnet_request_seconds_count", ()] == 4
    assert found["bcpnet_request_seconds_bucket", (("le", "+Inf"),)] == 4
    assert found["bcpnet_stage_seconds_total", (("stage", "network"),)] > 0
    assert found["bcpnet_body_bytes", ()] == 0


def test_buckets_hold_what_is_at_most_as_long() -> None:
    metrics = Metrics([0.0] * CELLS)
    seconds = (0.001, 0.01, 0.3, 99.0)
    for duration in seconds:
        metrics.answered("segment", 200, duration)
    found = parsed(metrics.text())
    for (name, labels), value in found.items():
        if name == "bcpnet_request_seconds_bucket":
            assert value == sum(duration <= float(labels[0][1]) for duration in seconds)
    assert found["bcpnet_request_seconds_sum", ()] == pytest.approx(sum(seconds))


def test_workers_are_summed_and_a_new_one_goes_on() -> None:
    cells = [0.0] * (2 * CELLS)
    first, second = Metrics(cells, 0), Metrics(cells, 1)
    first.image("segmented")
    second.image("segmented")
    first.now(1, 2, 3, 4)
    second.now(10, 20, 30, 40)
    assert parsed(first.text()) == parsed(second.text())
    assert parsed(first.text())["bcpnet_connections", ()] == 33
    again = parsed(Metrics(cells, 0).text())  # in the place of one that died
    assert again["bcpnet_connections", ()] == 30
    assert again["bcpnet_images_total", (("result", "segmented"),)] == 2
    assert again["bcpnet_worker_starts_total", ()] == 3


def test_the_log_has_a_line_of_json_for_each_request(models: Models) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(_JsonFormatter(7))
    log = logging.getLogger("bcpnet.serving")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        client = client_of(new_service(models))
        name = 'secret"\n{"event": "forged"}.png'
        client.post("/v1/segment?output=ids", files=[("a", (name, encoded())), ("b", (name, b"x"))])
        client.get("/nowhere%0a{}")
        event("done")
    finally:
        log.removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request", "request", "done"]
    assert [line.get("status") for line in lines] == [200, 404, None]
    assert "secret" not in written.getvalue()
    assert PICTURE.tobytes()[:50].hex() not in written.getvalue()
    assert all(line["worker"] == 7 for line in lines)
