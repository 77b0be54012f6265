"""A destination as JSON: its cluster's endpoints, and how they are doing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from meshproxy.control.in_use import Breakers, InUse
from meshproxy.control.live import LiveRow
from meshproxy.plan.cluster import Cluster, Endpoint
from meshproxy.plan.explain_target import Target
from meshproxy.plan.limits import Limits

Live = Mapping[tuple[str, str], LiveRow]
"""How endpoints are doing, by cluster and address; empty where nothing runs."""

NOBODY: Live = {}
UNUSED: Breakers = {}


def destination_json(target: Target, of: int, live: Live, breakers: Breakers) -> dict[str, Any]:
    """An only destination gets everything, whatever its weight."""
    to, cluster = target.to, target.cluster
    return {
        "host": to.host,
        "subset": to.subset or None,
        "port": to.port,
        "weight": getattr(to, "weight", None) if of > 1 else 100,
        "cluster": to.cluster,
        "endpoints": [_endpoint(to.cluster, each, live) for each in cluster.endpoints] if cluster is not None else [],
        **_breaker(cluster, breakers.get(to.cluster, {})),
    }


def _breaker(cluster: Cluster | None, used: Mapping[str, InUse]) -> dict[str, Any]:
    """Of what is limited how much is in use, and whether the breaker is open: no more is let through."""
    if cluster is None or cluster.limits is None or not used:
        return {}
    return {
        "breaker": {
            name: {"in_use": each.count, "limit": limit, "open": each.count >= limit, "overflows": each.overflows}
            for name, each, limit in limited(cluster.limits, used)
        }
    }


def limited(limits: Limits, used: Mapping[str, InUse]) -> Iterator[tuple[str, InUse, int]]:
    """What has a limit: its name, how many are in use, how many may be."""
    for name in ("connections", "pending", "requests", "retries"):
        limit = getattr(limits, name)
        if limit is not None and name in used:
            yield name, used[name], limit


def _endpoint(cluster: str, endpoint: Endpoint, live: Live) -> dict[str, Any]:
    name = address(endpoint)
    row = live.get((cluster, name))
    state = {"live": asdict(row)} if row is not None else {}
    return {"address": name, "labels": dict(endpoint.labels), **state}


def address(endpoint: Endpoint) -> str:
    if not endpoint.port:
        return endpoint.address
    return f"[{endpoint.address}]:{endpoint.port}" if ":" in endpoint.address else f"{endpoint.address}:{endpoint.port}"


def percent(millionths: int) -> float:
    return millionths / 10_000
