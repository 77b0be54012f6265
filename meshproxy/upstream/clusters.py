"""All clusters, alive: carried from one snapshot to the next by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.snapshot import Snapshot
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.dynamic import DynamicClusters
from meshproxy.upstream.endpoint import LiveEndpoint

if TYPE_CHECKING:
    from meshproxy.upstream.tls import Contexts


class Clusters:
    """`by_name` is replaced as a whole by `reconcile`; who holds a cluster keeps it until its request is done. Without
    `stats` there can be plain clusters only."""

    def __init__(self, stats: Stats | None = None) -> None:
        self.by_name: dict[str, LiveCluster] = {}
        self._stats = stats
        self._contexts: Contexts | None = None
        self._dynamic = DynamicClusters(self._made)

    def reconcile(self, snapshot: Snapshot) -> None:
        """Takes over every endpoint that the new snapshot still names; retires the others."""
        old = self.by_name
        self.by_name = {
            name: self._carried(plan, old.get(name))
            for name, plan in snapshot.clusters.items()
            if plan.resolution is not Resolution.DYNAMIC
        }
        self._dynamic.reconcile(snapshot.clusters.values())
        if self._contexts is not None:
            self._contexts.keep({plan.tls for plan in snapshot.clusters.values() if plan.tls is not None})
        for name, cluster in old.items():
            successor = self.by_name.get(name)
            if successor is cluster:
                continue
            cluster.replaced_by(successor)
            kept = set(map(id, successor.endpoints)) if successor is not None else set()
            for endpoint in cluster.endpoints:
                if id(endpoint) not in kept:
                    endpoint.retire()

    def dynamic(self, name: str, host: str, port: int) -> LiveCluster | None:
        """Of the cluster `name`, which has no endpoints of its own, the part that calls `host` and `port`."""
        return self._dynamic.find(name, host, port)

    def close_idle(self, now: float) -> None:
        """Closes connections that have been idle for longer than their cluster allows."""
        for cluster in (*self.by_name.values(), *self._dynamic):
            cluster.close_idle(now)

    def close(self) -> None:
        """Closes every connection."""
        for cluster in (*self.by_name.values(), *self._dynamic):
            for endpoint in cluster.endpoints:
                for connection in tuple(endpoint.connections):
                    connection.close()
            cluster.replaced_by(None)

    def _carried(self, plan: Cluster, old: LiveCluster | None) -> LiveCluster:
        if old is not None and old.plan == plan:
            return old
        known = {endpoint.plan.key: endpoint for endpoint in old.endpoints} if old is not None else {}
        endpoints: list[LiveEndpoint] = []
        for wanted in plan.endpoints:
            endpoint = known.get(wanted.key)
            if endpoint is None:
                endpoint = LiveEndpoint(wanted)
            else:
                endpoint.update(wanted)
            endpoints.append(endpoint)
        return self._made(plan, endpoints)

    def _made(self, plan: Cluster, endpoints: list[LiveEndpoint]) -> LiveCluster:
        if plan.plain:
            return LiveCluster(plan, endpoints)
        # not loaded where nobody asks for it
        from meshproxy.upstream.policed import PolicedCluster
        from meshproxy.upstream.tls import Contexts

        assert self._stats is not None
        self._contexts = self._contexts or Contexts()
        return PolicedCluster(plan, endpoints, self._stats, self._contexts)
