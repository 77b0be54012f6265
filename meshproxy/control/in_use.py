"""How much of a cluster is in use, of what its circuit breaker counts: read from the counters of all workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from meshproxy.telemetry.stats import Stats

_PREFIX = "meshproxy_cluster_upstream_"
_RESOURCES = {"connections": "cx", "pending": "rq_pending", "requests": "rq", "retries": "rq_retry"}
_SERIES = {
    f"{_PREFIX}{stem}_{kind}": (resource, field)
    for resource, stem in _RESOURCES.items()
    for kind, field in (("active", "count"), ("overflow_total", "overflows"))
}


@dataclass(frozen=True, slots=True)
class InUse:
    """How many at this moment, and how often the limit was met since the start."""

    count: int = 0
    overflows: int = 0


Breakers = Mapping[str, Mapping[str, InUse]]
"""By cluster and resource; only of clusters that have limits or other policies. Empty where nothing runs."""


def breakers(stats: Stats) -> Breakers:
    found: dict[str, dict[str, InUse]] = {}
    for entry in stats.entries():
        if entry.name in _SERIES:
            resource, field = _SERIES[entry.name]
            resources = found.setdefault(dict(entry.labels)["cluster_name"], {})
            used = resources.get(resource, InUse())
            resources[resource] = replace(used, **{field: stats.values(entry)[0]})
    return found
