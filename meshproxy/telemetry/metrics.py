"""What is counted, under which names and labels, and its rendering as Prometheus text.

Owns: Istio's metric names and labels (telemetry v2), our own names, resolving a request's series once per kind of
request. Refuses: storage (stats.py), deciding what a request was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from meshproxy import __version__
from meshproxy.telemetry.record import Record
from meshproxy.telemetry.stats import Entry, Labels, Stats

BOUNDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6)
"""Envoy's default bounds: of milliseconds, and of bytes."""
_MICROSECONDS = tuple(bound * 1000 for bound in BOUNDS)
_KINDS_OF_REQUEST = 2_000
"""So many (service, cluster, status, flags) are told apart; what comes after is of service `unknown`."""

_HELP = {
    "istio_requests_total": "Requests that have ended.",
    "istio_request_duration_milliseconds": "From a request's first byte to its response's last.",
    "istio_request_bytes": "Size of request bodies.",
    "istio_response_bytes": "Size of response bodies.",
    "istio_build": "Version of this proxy.",
    "meshproxy_config_reloads_total": "Configurations read, by result.",
    "meshproxy_config_generation": "Number of the configuration that is served.",
    "meshproxy_config_last_reload_success_timestamp_seconds": "When the served configuration was taken up.",
    "meshproxy_config_last_reload_successful": "Whether the last configuration read is served.",
    "meshproxy_certificate_expiration_timestamp_seconds": "When a certificate that is served ends.",
    "istio_tcp_connections_opened_total": "Connections begun whose bytes are passed on.",
    "istio_tcp_connections_closed_total": "Connections ended whose bytes were passed on.",
    "istio_tcp_received_bytes_total": "Bytes of such connections from clients.",
    "istio_tcp_sent_bytes_total": "Bytes of such connections to clients.",
    "meshproxy_dns_success_total": "Names looked up.",
    "meshproxy_dns_failure_total": "Names that could not be looked up.",
    "meshproxy_workers": "Workers that serve.",
    "meshproxy_worker_restarts_total": "Workers that ended unasked and were started again.",
    "meshproxy_downstream_cx_total": "Connections accepted.",
    "meshproxy_downstream_cx_active": "Connections open from clients.",
    "meshproxy_upstream_cx_total": "Connections opened to endpoints.",
    "meshproxy_upstream_cx_active": "Connections open to endpoints.",
    "meshproxy_cluster_upstream_cx_active": "Connections of a cluster with policies, open or being opened.",
    "meshproxy_cluster_upstream_rq_active": "Requests in flight to a cluster with policies.",
    "meshproxy_cluster_upstream_rq_pending_active": "Requests that wait for a connection.",
    "meshproxy_cluster_upstream_rq_retry_active": "Retries under way.",
    "meshproxy_cluster_upstream_cx_overflow_total": "Times that no connection more was allowed.",
    "meshproxy_cluster_upstream_rq_pending_overflow_total": "Requests refused because a limit was reached.",
    "meshproxy_cluster_upstream_rq_retry_overflow_total": "Retries left out because a limit was reached.",
    "meshproxy_cluster_outlier_detection_ejections_active": "Endpoints ejected now.",
    "meshproxy_cluster_endpoint_ejected": "Whether an endpoint is ejected.",
    "meshproxy_cluster_endpoint_ejection_changes": "Ejections and returns of the workers there are.",
    "meshproxy_cluster_outlier_detection_ejections_enforced_total": "Ejections.",
    "meshproxy_cluster_outlier_detection_ejections_overflow_total": "Ejections left out by maxEjectionPercent.",
}


_Series = tuple[int, int, int, int, int, int, int]
"""The slots of one kind of request, resolved: of the total, and of each histogram its buckets and its sum (duration,
bytes received, bytes sent)."""

_Key = tuple[str, str, int, str]
_WIDTH = len(BOUNDS) + 1
_DURATION, _RECEIVED, _SENT = 3, 3 + _WIDTH, 3 + 2 * _WIDTH
"""Where the buckets of each begin in a tally; before them stand the three sums."""


class RequestMetrics:
    """Counts ended requests as Istio's sidecar does. `labels` are this workload's own.

    Requests are tallied in lists, which cost a fifth of what slots of the shared memory do, and added to the slots by
    `flush`: twice a second, and before this process reads them.
    """

    def __init__(self, stats: Stats, namespace: str = "unknown", labels: Labels = ()) -> None:
        self._stats = stats
        self._source = source_labels(namespace, dict(labels))
        self._series: dict[_Key, _Series] = {}
        self._tallies: dict[_Key, list[int]] = {}
        stats.before_reading.append(self.flush)

    def observe(self, record: Record, service: str) -> None:
        """`service` is the host that the request meant, as the registry names it; empty where it has none."""
        key = (service, record.upstream_cluster, record.status, record.flags)
        try:
            tally = self._tallies[key]
        except KeyError:
            tally = self._tallies[key] = [0] * (_SENT + _WIDTH)
        micros = int(record.duration * 1e6)
        tally[0] += micros
        tally[_DURATION + bisect_left(_MICROSECONDS, micros)] += 1
        if size := record.bytes_received:
            tally[1] += size
            tally[_RECEIVED + bisect_left(BOUNDS, size)] += 1
        if size := record.bytes_sent:
            tally[2] += size
            tally[_SENT + bisect_left(BOUNDS, size)] += 1

    def flush(self) -> None:
        """Adds the tallies to what all processes share."""
        tallies, self._tallies = self._tallies, {}
        view = self._stats.view
        for key, tally in tallies.items():
            total, *slots = self._series.get(key) or self._resolve(key)
            requests = sum(tally[_DURATION:_RECEIVED])
            view[total] += requests
            for number, begin in enumerate((_DURATION, _RECEIVED, _SENT)):
                buckets = tally[begin : begin + _WIDTH]
                buckets[0] += requests - sum(buckets)  # bodies of no length are not looked up
                for bucket, count in enumerate(buckets):
                    view[slots[2 * number] + bucket] += count
                view[slots[2 * number + 1]] += tally[number]

    def _resolve(self, key: _Key) -> _Series:
        if len(self._series) >= _KINDS_OF_REQUEST:
            key = ("", "", key[2], key[3])
            if key in self._series:
                return self._series[key]
        service, _, status, flags = key
        labels = (
            *self._source,
            *destination_labels(service),
            ("request_protocol", "http"),
            ("response_code", str(status)),
            ("grpc_response_status", ""),
            ("response_flags", flags or "-"),
            ("connection_security_policy", "unknown"),
        )
        stats = self._stats
        duration = stats.histogram("istio_request_duration_milliseconds", labels, _MICROSECONDS, 1000)
        received = stats.histogram("istio_request_bytes", labels, BOUNDS)
        sent = stats.histogram("istio_response_bytes", labels, BOUNDS)
        series = self._series[key] = (
            stats.counter("istio_requests_total", labels).index,
            *(duration.index, duration.sum_index),
            *(received.index, received.sum_index),
            *(sent.index, sent.sum_index),
        )
        return series


def source_labels(namespace: str, labels: dict[str, str]) -> Labels:
    app = labels.get("app", "unknown")
    named = (labels.get(key) for key in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"))
    return (
        ("reporter", "source"),
        ("source_workload", "unknown"),
        ("source_workload_namespace", namespace),
        ("source_principal", "unknown"),
        ("source_app", app),
        ("source_version", labels.get("version", "unknown")),
        ("source_cluster", "unknown"),
        ("source_canonical_service", next((name for name in named if name), "unknown")),
        ("source_canonical_revision", labels.get("service.istio.io/canonical-revision", "latest")),
    )


def destination_labels(service: str) -> Labels:
    """A cluster-local host names service and namespace; of any other, the host is all we know."""
    name, _, rest = service.partition(".")
    namespace, _, zone = rest.partition(".")
    local = zone.startswith("svc.")
    return (
        ("destination_workload", "unknown"),
        ("destination_workload_namespace", "unknown"),
        ("destination_principal", "unknown"),
        ("destination_app", "unknown"),
        ("destination_version", "unknown"),
        ("destination_service", service or "unknown"),
        ("destination_canonical_service", "unknown"),
        ("destination_canonical_revision", "latest"),
        ("destination_service_name", name if local else service or "unknown"),
        ("destination_service_namespace", namespace if local else "unknown"),
        ("destination_cluster", "unknown"),
    )


def count_build(stats: Stats) -> None:
    stats.gauge("istio_build", (("component", "proxy"), ("tag", f"meshproxy-{__version__}"))).set(1)


def render(stats: Stats) -> Iterator[str]:
    """Everything registered, summed over all processes, in Prometheus' text format 0.0.4, in pieces: there can be
    100,000 lines, and who asks may have better to do in between."""
    families: dict[str, list[Entry]] = {}
    for entry in stats.entries():
        families.setdefault(entry.name, []).append(entry)
    for name, entries in sorted(families.items()):
        yield f"# HELP {name} {_HELP.get(name, name)}\n# TYPE {name} {entries[0].kind}\n"
        for entry in entries:
            yield "".join(f"{sample}\n" for sample in _samples(entry, stats.values(entry)))


def _samples(entry: Entry, values: tuple[int, ...]) -> Iterator[str]:
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in entry.labels)
    if entry.kind != "histogram":
        yield f"{entry.name}{{{labels}}} {values[0]}" if labels else f"{entry.name} {values[0]}"
        return
    count = 0
    joined = labels + "," if labels else ""
    for bound, value in zip((*entry.bounds, None), values[:-1], strict=True):
        count += value
        le = "+Inf" if bound is None else f"{bound / entry.scale:.10g}"
        yield f'{entry.name}_bucket{{{joined}le="{le}"}} {count}'
    braces = f"{{{labels}}}" if labels else ""
    yield f"{entry.name}_sum{braces} {values[-1] / entry.scale if entry.scale != 1 else values[-1]}"
    yield f"{entry.name}_count{braces} {count}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
