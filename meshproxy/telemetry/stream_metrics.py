"""Istio's metrics of connections whose bytes are passed on as they are: opened, closed, bytes either way.

`istio_tcp_*` as of telemetry v2; the labels are those of requests, with the protocol `tcp`. As there, only what was
closed knows its response flags.
"""

from __future__ import annotations

from meshproxy.telemetry.metrics import destination_labels, source_labels
from meshproxy.telemetry.stats import Labels, Stats

_MOST_SERVICES = 2_000
"""So many services are told apart; what comes after is of service `unknown`."""


class Series:
    """The counters of one service."""

    __slots__ = ("_closed", "_labels", "_opened", "_received", "_sent", "_stats")

    def __init__(self, stats: Stats, labels: Labels) -> None:
        self._stats = stats
        self._labels = labels
        whole = _flagged(labels, "")
        self._opened = stats.counter("istio_tcp_connections_opened_total", whole)
        self._received = stats.counter("istio_tcp_received_bytes_total", whole)
        self._sent = stats.counter("istio_tcp_sent_bytes_total", whole)

    def opened(self) -> None:
        self._opened.add()

    def moved(self, received: int, sent: int) -> None:
        """Bytes from the client, and to it."""
        if received:
            self._received.add(received)
        if sent:
            self._sent.add(sent)

    def closed(self, flags: str) -> None:
        self._stats.counter("istio_tcp_connections_closed_total", _flagged(self._labels, flags)).add()


class StreamMetrics:
    """`labels` are this workload's own."""

    def __init__(self, stats: Stats, namespace: str = "unknown", labels: Labels = ()) -> None:
        self._stats = stats
        self._source = source_labels(namespace, dict(labels))
        self._series: dict[str, Series] = {}

    def opened(self, service: str) -> Series:
        """A connection for `service` has begun."""
        series = self._series.get(service)
        if series is None:
            if len(self._series) >= _MOST_SERVICES and service:
                return self.opened("")
            labels = (*self._source, *destination_labels(service), ("request_protocol", "tcp"))
            series = self._series[service] = Series(self._stats, labels)
        series.opened()
        return series


def _flagged(labels: Labels, flags: str) -> Labels:
    return (*labels, ("response_flags", flags or "-"), ("connection_security_policy", "unknown"))
