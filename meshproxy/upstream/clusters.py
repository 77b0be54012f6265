"""All clusters, alive: carried from one snapshot to the next by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.snapshot import Snapshot
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.dynamic import DynamicClusters
from meshproxy.upstream.endpoint import LiveEndpoint

if TYPE_CHECKING:
    from meshproxy.upstream.tls import Contexts

_STEP = 64
"""So many clusters are made between two turns of the loop."""


class Clusters:
    """`by_name` is replaced as a whole by `reconcile`; who holds a cluster keeps it until its request is done. Without
    `stats` there can be plain clusters only."""

    def __init__(self, stats: Stats | None = None) -> None:
        self.by_name: dict[str, LiveCluster] = {}
        self._staged: dict[str, tuple[LiveCluster | None, LiveCluster]] = {}  # by name: made from what, and what
        self._stats = stats
        self._contexts: Contexts | None = None
        self._dynamic = DynamicClusters(self._made)

    def stage(self, snapshot: Snapshot) -> Iterator[None]:
        """Makes what `reconcile` will put in place, a few clusters at each step: thousands of them take longer than a
        request should wait. Nothing of it is seen before."""
        staged = self._staged = {}
        for number, (name, plan) in enumerate(snapshot.clusters.items()):
            old = self.by_name.get(name)
            if plan.resolution is not Resolution.DYNAMIC and _unchanged(old, plan):
                staged[name] = (old, self._carried(plan, old))
            if number % _STEP == 0:
                yield

    def reconcile(self, snapshot: Snapshot) -> None:
        """Takes over every endpoint that the new snapshot still names; retires the others."""
        old, staged, self._staged = self.by_name, self._staged, {}
        self.by_name = {}
        for name, plan in snapshot.clusters.items():
            if plan.resolution is Resolution.DYNAMIC:
                continue
            before, made = staged.get(name, (None, None))
            if made is None or made.plan is not plan or before is not old.get(name):
                made = self._carried(plan, old.get(name))
            self.by_name[name] = made
            if made is not old.get(name):
                made.start()
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
        of_a_kind = old is not None and old.plan.plain == plan.plain
        endpoints: list[LiveEndpoint] = []
        for wanted in plan.endpoints:
            before = known.get(wanted.key)
            if before is not None and of_a_kind:
                before.update(wanted)
                endpoints.append(before)
                continue
            endpoint = LiveEndpoint(wanted)
            if before is not None:
                endpoint.succeed(before)
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


def _unchanged(old: LiveCluster | None, plan: Cluster) -> bool:
    """Whether the endpoints that `plan` takes over stay as they are, so that it can be made beside the old one."""
    if old is None:
        return True
    known = {endpoint.plan.key: endpoint.plan for endpoint in old.endpoints}
    return all(known.get(wanted.key, wanted) == wanted for wanted in plan.endpoints)
