"""The live state of endpoints as values, one worker's or several workers' taken together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the supervisor, which has no clusters of its own, does not load them
    from meshproxy.upstream.clusters import Clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRow:
    """One endpoint of one cluster; a cluster without any has a row with an empty address. `healthy`: it is ready."""

    cluster: str
    balancer: str
    address: str = ""
    weight: int = 0
    priority: int = 0
    healthy: bool = True
    ejected: int = 0  # in how many workers outlier detection keeps requests from it
    ejections: int = 0
    active: int = 0
    requests: int = 0
    failures: int = 0
    connections: int = 0


def rows(clusters: Clusters) -> tuple[LiveRow, ...]:
    found: list[LiveRow] = []
    for name, cluster in clusters.by_name.items():
        hashing = cluster.plan.hashing
        balancer = cluster.plan.balancer.value if hashing is None else hashing.name
        if not cluster.endpoints:
            found.append(LiveRow(cluster=name, balancer=balancer))
        found.extend(
            LiveRow(
                cluster=name,
                balancer=balancer,
                address=endpoint.name,
                weight=endpoint.weight,
                priority=endpoint.plan.priority,
                healthy=endpoint.plan.healthy,
                ejected=int(endpoint.monitor.ejected_at is not None),
                ejections=endpoint.monitor.ejections,
                active=endpoint.active,
                requests=endpoint.requests,
                failures=endpoint.failures,
                connections=len(endpoint.connections),
            )
            for endpoint in cluster.endpoints
        )
    return tuple(found)


def together(workers: Iterable[Iterable[LiveRow]]) -> tuple[LiveRow, ...]:
    """The same endpoints seen by several workers: counts added up."""
    sums: dict[tuple[str, str], LiveRow] = {}
    for worker in workers:
        for row in worker:
            key = row.cluster, row.address
            sums[key] = _added(sums[key], row) if key in sums else row
    return tuple(sums.values())


def _added(one: LiveRow, other: LiveRow) -> LiveRow:
    return replace(
        one,
        healthy=one.healthy and other.healthy,
        ejected=one.ejected + other.ejected,
        ejections=one.ejections + other.ejections,
        active=one.active + other.active,
        requests=one.requests + other.requests,
        failures=one.failures + other.failures,
        connections=one.connections + other.connections,
    )
