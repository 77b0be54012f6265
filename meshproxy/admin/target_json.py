"""A destination as JSON: its cluster's endpoints, and how they are doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from meshproxy.control.live import LiveRow
from meshproxy.plan.cluster import Endpoint
from meshproxy.plan.explain_target import Target

Live = Mapping[tuple[str, str], LiveRow]
"""How endpoints are doing, by cluster and address; empty where nothing runs."""

NOBODY: Live = {}


def destination_json(target: Target, of: int, live: Live) -> dict[str, Any]:
    """An only destination gets everything, whatever its weight."""
    to, cluster = target.to, target.cluster
    return {
        "host": to.host,
        "subset": to.subset or None,
        "port": to.port,
        "weight": getattr(to, "weight", None) if of > 1 else 100,
        "cluster": to.cluster,
        "endpoints": [_endpoint(to.cluster, each, live) for each in cluster.endpoints] if cluster is not None else [],
    }


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
