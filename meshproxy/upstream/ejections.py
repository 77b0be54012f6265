"""Who is ejected, told to the metrics by Envoy's names, and to the other workers.

Each worker counts errors by itself; an endpoint that one of them ejects is left alone by all. What a worker has ejected
stands in its own column of the shared statistics, so that it is forgotten with the worker.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.telemetry.stats import Counter, Stats
from meshproxy.upstream.endpoint import LiveEndpoint

_PREFIX = "meshproxy_cluster_outlier_detection_ejections"
_ENDPOINT = "meshproxy_cluster_endpoint_ejected"


class Ejections:
    """Of one cluster, as one worker sees them."""

    __slots__ = ("_active", "_alone", "_changes", "_cluster", "_labels", "_overflow", "_seen", "_stats", "_total")

    def __init__(self, stats: Stats, cluster: str) -> None:
        self._stats = stats
        self._cluster = cluster
        self._labels = (("cluster_name", cluster),)
        self._alone = stats.columns == 1
        self._active = stats.gauge(f"{_PREFIX}_active", self._labels)
        self._overflow = self._counter("overflow_total")
        self._total = self._counter("enforced_total")
        self._changes = stats.gauge("meshproxy_cluster_endpoint_ejection_changes", self._labels)
        self._seen = -1

    def start(self, endpoints: Iterable[LiveEndpoint]) -> None:
        """Some may be ejected from before a reload."""
        self._active.set(sum(endpoint.monitor.ejected_at is not None for endpoint in endpoints))

    def eject(self, endpoint: LiveEndpoint, reason: str) -> None:
        self._active.add(1)
        self._total.add()
        self._counter(f"enforced_{reason}_total").add()
        self._show(endpoint, 1)

    def take_back(self, endpoint: LiveEndpoint) -> None:
        self._active.add(-1)
        self._show(endpoint, 0)

    def overflow(self) -> None:
        """One more was to be ejected, but that would be too many."""
        self._overflow.add()

    def close(self) -> None:
        """Nobody detects any more."""
        self._active.set(0)

    def forget(self, endpoints: Iterable[LiveEndpoint]) -> None:
        """Those that have left, or that nobody judges any more, are not ejected."""
        for endpoint in endpoints:
            monitor = endpoint.monitor
            if monitor.ejected_at is not None:
                monitor.ejected_at = None
                self._show(endpoint, 0)
            monitor.elsewhere = False

    def look_again(self) -> None:
        """Whatever is remembered: numbers of changes may be the same by chance when a worker was lost."""
        self._seen = -1

    def changed(self) -> bool:
        """Whether another worker has ejected or taken back since `follow`."""
        return not self._alone and self._changes.total() != self._seen

    def follow(self, endpoints: Iterable[LiveEndpoint]) -> None:
        """Notes what the other workers have ejected."""
        self._seen = self._changes.total()
        ejected = {
            entry.labels[1][1]
            for entry in self._stats.entries()
            if entry.name == _ENDPOINT and entry.labels[0][1] == self._cluster and self._stats.values(entry)[0]
        }
        for endpoint in endpoints:
            monitor = endpoint.monitor
            elsewhere = endpoint.name in ejected and monitor.ejected_at is None
            if monitor.elsewhere and not elsewhere:
                monitor.forgive()
            monitor.elsewhere = elsewhere

    def _show(self, endpoint: LiveEndpoint, ejected: int) -> None:
        self._stats.gauge(_ENDPOINT, (*self._labels, ("endpoint", endpoint.name))).set(ejected)
        self._changes.add(1)

    def _counter(self, name: str) -> Counter:
        return self._stats.counter(f"{_PREFIX}_{name}", self._labels)
