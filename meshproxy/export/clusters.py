"""Clusters of the plan as Envoy's: static endpoints, a balancer, limits that limit nothing where none is written."""

from __future__ import annotations

import math
from itertools import groupby

from meshproxy.export.messages import KEEP_CASE, Json, duration, present, typed
from meshproxy.plan.cluster import Balancer, Cluster, Endpoint

_UNLIMITED = (1 << 32) - 1
"""Istio's default of every limit."""
_HTTP_OPTIONS = "upstreams.http.v3.HttpProtocolOptions"
_POLICIES = {
    Balancer.LEAST_REQUEST: "LEAST_REQUEST",
    Balancer.ROUND_ROBIN: "ROUND_ROBIN",
    Balancer.RANDOM: "RANDOM",
}


def export_cluster(cluster: Cluster) -> Json:
    return {
        "name": cluster.name,
        "type": "STATIC",
        "connect_timeout": duration(cluster.connect_timeout),
        "lb_policy": _POLICIES[cluster.balancer],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [_unlimited()]},
        "load_assignment": {"cluster_name": cluster.name, "endpoints": _localities(cluster.endpoints)},
        "typed_extension_protocol_options": {f"envoy.extensions.{_HTTP_OPTIONS}": _http_options(cluster)},
    }


def _unlimited() -> Json:
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {**dict.fromkeys(names, _UNLIMITED), "track_remaining": True}


def _http_options(cluster: Cluster) -> Json:
    never = math.isinf(cluster.idle_timeout)
    return typed(
        _HTTP_OPTIONS,
        common_http_protocol_options={"idle_timeout": "0s" if never else duration(cluster.idle_timeout)},
        explicit_http_config={"http_protocol_options": {"header_key_format": KEEP_CASE, "enable_trailers": True}},
    )


def _localities(endpoints: tuple[Endpoint, ...]) -> list[Json]:
    """One group for each locality; without a policy for them they make no difference."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.locality)
    return [
        present({"locality": _locality(name), "lb_endpoints": [_endpoint(each) for each in group]})
        for name, group in groupby(ordered, key=lambda endpoint: endpoint.locality)
    ]


def _locality(text: str) -> Json:
    return present(dict(zip(("region", "zone", "sub_zone"), text.split("/", 2), strict=False)))


def _endpoint(endpoint: Endpoint) -> Json:
    if endpoint.address.startswith("unix://"):
        address: Json = {"pipe": {"path": endpoint.address.removeprefix("unix://")}}
    else:
        address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    return {
        "endpoint": {"address": address},
        "load_balancing_weight": endpoint.weight,
        "health_status": "UNKNOWN" if endpoint.healthy else "UNHEALTHY",
    }
