"""Clusters whose endpoints are names: which names there are, and the same plan with the addresses put in.

STRICT_DNS uses all addresses of a name, each an endpoint; LOGICAL_DNS has one endpoint, which keeps its connections
when its address changes. A name without an answer is no endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from meshproxy.base.addresses import is_ip
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.snapshot import Snapshot

Answers = Mapping[str, tuple[str, ...]]
"""Name to its addresses, in the order the resolver gave them."""

_LOOKED_UP = (Resolution.STRICT_DNS, Resolution.LOGICAL_DNS)


def names(snapshot: Snapshot) -> frozenset[str]:
    """All that has to be looked up."""
    return frozenset(
        endpoint.address
        for cluster in snapshot.clusters.values()
        if cluster.resolution in _LOOKED_UP
        for endpoint in cluster.endpoints
        if not is_ip(endpoint.address)
    )


def with_addresses(snapshot: Snapshot, answers: Answers) -> Snapshot:
    """The snapshot as it serves."""
    changed = {
        name: replace(cluster, endpoints=tuple(_addressed(cluster, answers)))
        for name, cluster in snapshot.clusters.items()
        if cluster.resolution in _LOOKED_UP
    }
    return replace(snapshot, clusters={**snapshot.clusters, **changed}) if changed else snapshot


def _addressed(cluster: Cluster, answers: Answers) -> Iterator[Endpoint]:
    seen: set[tuple[str, int]] = set()
    strict = cluster.resolution is Resolution.STRICT_DNS
    for endpoint in cluster.endpoints:
        if is_ip(endpoint.address):
            found: tuple[str, ...] = (endpoint.address,)
        else:
            answered = answers.get(endpoint.address, ())
            # a resolver turns the order round from answer to answer: that is no change
            found = tuple(sorted(answered)) if strict else answered[:1]
        for address in found:
            key = (address, endpoint.port)
            if key not in seen:
                seen.add(key)
                yield replace(endpoint, address=address, name="" if strict else endpoint.address)
