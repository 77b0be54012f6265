"""All clusters, alive: carried from one snapshot to the next by key."""

from __future__ import annotations

from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.snapshot import Snapshot
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.dynamic import DynamicClusters
from meshproxy.upstream.endpoint import LiveEndpoint


class Clusters:
    """`by_name` is replaced as a whole by `reconcile`; who holds a cluster keeps it until its request is done."""

    def __init__(self) -> None:
        self.by_name: dict[str, LiveCluster] = {}
        self._dynamic = DynamicClusters()

    def reconcile(self, snapshot: Snapshot) -> None:
        """Takes over every endpoint that the new snapshot still names; retires the others."""
        old = self.by_name
        self.by_name = {
            name: _carried(plan, old.get(name))
            for name, plan in snapshot.clusters.items()
            if plan.resolution is not Resolution.DYNAMIC
        }
        self._dynamic.reconcile(snapshot.clusters.values())
        for name, cluster in old.items():
            successor = self.by_name.get(name)
            if successor is cluster:
                continue
            kept = set(map(id, successor.endpoints)) if successor is not None else set()
            for endpoint in cluster.endpoints:
                if id(endpoint) not in kept:
                    endpoint.retire()

    def dynamic(self, name: str, host: str, port: int) -> LiveCluster | None:
        """Of the cluster `name`, which has no endpoints of its own, the part that calls `host` and `port`."""
        return self._dynamic.find(name, host, port)

    def close_idle(self, before: float) -> None:
        """Closes connections that have been idle since before their cluster's idle time-out; `before` is now."""
        for cluster in (*self.by_name.values(), *self._dynamic):
            limit = before - cluster.plan.idle_timeout
            for endpoint in cluster.endpoints:
                if endpoint.idle and endpoint.idle[0].idle_since < limit:
                    for connection in [c for c in endpoint.idle if c.idle_since < limit]:
                        connection.close()

    def close(self) -> None:
        """Closes every connection."""
        for cluster in (*self.by_name.values(), *self._dynamic):
            for endpoint in cluster.endpoints:
                for connection in tuple(endpoint.connections):
                    connection.close()


def _carried(plan: Cluster, old: LiveCluster | None) -> LiveCluster:
    if old is not None and old.plan == plan:
        return old
    known = {(e.address, e.port): e for e in old.endpoints} if old is not None else {}
    endpoints: list[LiveEndpoint] = []
    for wanted in plan.endpoints:
        endpoint = known.get((wanted.address, wanted.port))
        if endpoint is None:
            endpoint = LiveEndpoint(wanted)
        else:
            endpoint.update(wanted)
        endpoints.append(endpoint)
    return LiveCluster(plan, endpoints)
