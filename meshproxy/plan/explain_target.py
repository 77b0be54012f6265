"""Where a decision leads: a destination with its cluster, why it can answer nothing, the name that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.route import Destination, Mirror

_MOST_NAMES = 5_000
"""So many names are searched for the one that was meant."""


@dataclass(frozen=True, slots=True)
class Target:
    """A destination or mirror with its cluster. `flag` and `cause` say why it can answer nothing: NC, UH."""

    to: Destination | Mirror
    cluster: Cluster | None
    flag: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What we would answer ourselves. `flag` is Envoy's, "" for none."""

    status: int
    flag: str
    cause: str


def usable(cluster: Cluster | None) -> bool:
    if cluster is None or cluster.resolution is Resolution.DYNAMIC:
        return cluster is not None
    return any(endpoint.healthy or cluster.panic_threshold for endpoint in cluster.endpoints)


def target_of(to: Destination | Mirror, clusters: Mapping[str, Cluster]) -> Target:
    cluster = clusters.get(to.cluster)
    if cluster is None:
        return Target(to, None, "NC", _why_no_cluster(to, clusters))
    if not usable(cluster):
        return Target(to, cluster, "UH", _why_no_endpoint(cluster, clusters))
    return Target(to, cluster)


def _why_no_cluster(to: Destination | Mirror, clusters: Mapping[str, Cluster]) -> str:
    same = [cluster for cluster in clusters.values() if cluster.host == to.host]
    if not same:
        return f"no service {to.host} is known{meant(to.host, list({cluster.host for cluster in clusters.values()}))}"
    ports = sorted({cluster.port for cluster in same})
    if to.port not in ports:
        return f"{to.host} has no port {to.port}; it has {', '.join(map(str, ports))}"
    if not same[0].rule:
        return f"no DestinationRule applies to {to.host}: nothing defines the subset {to.subset}"
    subsets = sorted({cluster.subset for cluster in same} - {""})
    there = f"it has {', '.join(subsets)}" if subsets else "it has none"
    return f"DestinationRule {same[0].rule} defines no subset {to.subset}; {there}{meant(to.subset, subsets)}"


def _why_no_endpoint(cluster: Cluster, clusters: Mapping[str, Cluster]) -> str:
    if cluster.endpoints:
        return f"none of its {len(cluster.endpoints)} endpoints is ready"
    whole = next((c for c in clusters.values() if (c.host, c.port, c.subset) == (cluster.host, cluster.port, "")), None)
    endpoints = whole.endpoints if whole is not None else ()
    if not cluster.subset or not endpoints:
        return f"{cluster.host} has no endpoint on port {cluster.port}"
    said = f"subset {cluster.subset} selects 0 of {len(endpoints)} endpoints"
    for key, value in cluster.labels:
        values = {dict(endpoint.labels).get(key) for endpoint in endpoints}
        if value not in values:
            there = sorted(filter(None, values))
            have = f"there {'is' if len(there) == 1 else 'are'} {', '.join(there)}" if there else "none has that label"
            return f"{said}: no endpoint has {key}={value}; {have}"
    return f"{said}: none has all of {','.join(f'{key}={value}' for key, value in cluster.labels)}"


def meant(asked: str, names: list[str]) -> str:
    close = difflib.get_close_matches(asked, names, n=1) if len(names) <= _MOST_NAMES else []
    return f"; did you mean {close[0]}?" if close else ""


def behind_gateways(names: Iterable[str]) -> str:
    """That Gateways have what the mesh listener was asked for."""
    known = list(dict.fromkeys(names))
    return f"; Gateway {' and '.join(known)} {'has' if len(known) == 1 else 'have'} it" if known else ""
