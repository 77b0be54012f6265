"""Clusters of the plan as Envoy's: their endpoints, and how a connection to one is used."""

from __future__ import annotations

import math
from itertools import groupby

from meshproxy.export.cluster_policies import (
    export_connection_limits,
    export_error_codes,
    export_policies,
    export_server_names,
)
from meshproxy.export.messages import KEEP_CASE, Json, duration, present, typed
from meshproxy.plan.cluster import Cluster, Endpoint

_NEVER = "0s"
_HTTP_OPTIONS = "upstreams.http.v3.HttpProtocolOptions"


def export_cluster(cluster: Cluster) -> Json:
    return {
        "name": cluster.name,
        "type": cluster.resolution.value,
        "connect_timeout": duration(cluster.connect_timeout),
        **export_policies(cluster),
        "load_assignment": {"cluster_name": cluster.name, "endpoints": _localities(cluster)},
        "typed_extension_protocol_options": {f"envoy.extensions.{_HTTP_OPTIONS}": _http_options(cluster)},
    }


def _http_options(cluster: Cluster) -> Json:
    idle = _NEVER if math.isinf(cluster.idle_timeout) else duration(cluster.idle_timeout)
    options = {
        "common_http_protocol_options": {"idle_timeout": idle, **export_connection_limits(cluster)},
        "explicit_http_config": {"http_protocol_options": {"header_key_format": KEEP_CASE, "enable_trailers": True}},
        "upstream_http_protocol_options": export_server_names(cluster),
        "outlier_detection": export_error_codes(cluster.outlier),
    }
    return typed(_HTTP_OPTIONS, **present(options))


def _localities(cluster: Cluster) -> list[Json]:
    """One group for each priority and locality. Where loads are distributed a locality without a share gets none."""
    weights = dict(cluster.locality_weights)
    ordered = sorted(cluster.endpoints, key=_place)
    return [
        present(
            {
                "locality": _locality(name),
                "priority": priority or None,
                "load_balancing_weight": weights.get(name) or None,
                "lb_endpoints": [_endpoint(each) for each in group],
            }
        )
        for (priority, name), group in groupby(ordered, key=_place)
    ]


def _place(endpoint: Endpoint) -> tuple[int, str]:
    return endpoint.priority, endpoint.locality


def _locality(text: str) -> Json:
    return present(dict(zip(("region", "zone", "sub_zone"), text.split("/", 2), strict=False)))


def _endpoint(endpoint: Endpoint) -> Json:
    if endpoint.address.startswith("unix://"):
        address: Json = {"pipe": {"path": endpoint.address.removeprefix("unix://")}}
    else:
        address = {"socket_address": {"address": endpoint.name or endpoint.address, "port_value": endpoint.port}}
    return {
        "endpoint": {"address": address},
        "load_balancing_weight": endpoint.weight,
        "health_status": "UNKNOWN" if endpoint.healthy else "UNHEALTHY",
    }
