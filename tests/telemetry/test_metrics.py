"""Istio's metrics and their rendering."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

from meshproxy.telemetry.metrics import RequestMetrics, render
from meshproxy.telemetry.record import Record
from meshproxy.telemetry.stats import Stats

_REVIEWS = "reviews.default.svc.cluster.local"


def _record(status: int = 200, flags: str = "", duration: float = 0.004, sent: int = 0) -> Record:
    ended = SimpleNamespace(
        upstream_cluster="outbound|80||x", status=status, flags=flags, duration=duration, bytes_received=7
    )
    ended.bytes_sent = sent
    return cast(Record, ended)


def _text(stats: Stats) -> str:
    return "".join(render(stats))


def _samples(stats: Stats) -> dict[str, str]:
    """Name and labels (but for the ones that are always the same) → value."""
    return dict(line.rsplit(" ", 1) for line in _text(stats).splitlines() if not line.startswith("#"))


def _value(stats: Stats, name: str, **labels: str) -> str:
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    found = [
        value
        for sample, value in _samples(stats).items()
        if sample.split("{")[0] == name and wanted <= set(re.findall(r'\w+="[^"]*"', sample))
    ]
    assert len(found) == 1, found
    return found[0]


def test_requests_are_counted_by_code_and_flag() -> None:
    stats = Stats.create(1)
    metrics = RequestMetrics(stats)
    for _ in range(3):
        metrics.observe(_record(), _REVIEWS)
    metrics.observe(_record(503, "UH"), _REVIEWS)
    assert _value(stats, "istio_requests_total", response_code="200", response_flags="-") == "3"
    assert _value(stats, "istio_requests_total", response_code="503", response_flags="UH") == "1"


def test_a_cluster_local_host_names_service_and_namespace() -> None:
    stats = Stats.create(1)
    RequestMetrics(stats, "shop", (("app", "cart"), ("version", "v1"))).observe(_record(), _REVIEWS)
    labels = {
        "reporter": "source",
        "source_workload_namespace": "shop",
        "source_app": "cart",
        "source_version": "v1",
        "destination_service": _REVIEWS,
        "destination_service_name": "reviews",
        "destination_service_namespace": "default",
        "request_protocol": "http",
    }
    assert _value(stats, "istio_requests_total", **labels) == "1"


def test_a_request_without_a_service_is_of_service_unknown() -> None:
    stats = Stats.create(1)
    RequestMetrics(stats).observe(_record(404, "NR"), "")
    assert _value(stats, "istio_requests_total", destination_service="unknown", response_flags="NR") == "1"


def test_histograms_are_cumulative_and_in_milliseconds() -> None:
    stats = Stats.create(1)
    metrics = RequestMetrics(stats)
    metrics.observe(_record(duration=0.004, sent=30), _REVIEWS)
    metrics.observe(_record(duration=0.005, sent=0), _REVIEWS)
    metrics.observe(_record(duration=7200.0, sent=0), _REVIEWS)
    name = "istio_request_duration_milliseconds"
    counts = [_value(stats, f"{name}_bucket", le=le) for le in ("1", "5", "3600000", "+Inf")]
    assert counts == ["0", "2", "2", "3"]
    assert _value(stats, f"{name}_count") == "3"
    assert float(_value(stats, f"{name}_sum")) == 7200009.0
    assert [_value(stats, "istio_response_bytes_bucket", le=le) for le in ("0.5", "25", "50")] == ["2", "2", "3"]


def test_label_values_are_escaped() -> None:
    stats = Stats.create(1)
    stats.counter("c", (("k", 'a"b\\c\nd'),)).add()
    assert 'c{k="a\\"b\\\\c\\nd"} 1' in _text(stats)


def test_each_family_has_one_type_line_and_its_samples_together() -> None:
    stats = Stats.create(1)
    metrics = RequestMetrics(stats)
    metrics.observe(_record(), _REVIEWS)
    stats.gauge("meshproxy_config_generation").set(4)
    metrics.observe(_record(404), _REVIEWS)
    types = re.findall(r"^# TYPE (\S+) (\S+)$", _text(stats), re.MULTILINE)
    assert len(dict(types)) == len(types) == 5
    assert dict(types)["istio_requests_total"] == "counter"
    assert "meshproxy_config_generation 4\n" in _text(stats)


def test_the_number_of_series_is_bounded() -> None:
    stats = Stats.create(1)
    metrics = RequestMetrics(stats)
    for number in range(2_100):
        metrics.observe(_record(), f"host-{number}.example.com")
    assert _value(stats, "istio_requests_total", destination_service="unknown") == "100"
