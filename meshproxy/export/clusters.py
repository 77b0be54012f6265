"""Clusters of the plan as Envoy's: endpoints, limits, connections. What limits nothing is Istio's "no limit"."""

from __future__ import annotations

import math
from itertools import groupby

from meshproxy.export.balancing import export_balancing, export_error_matcher, export_outlier
from meshproxy.export.messages import KEEP_CASE, Json, duration, extension, present, typed
from meshproxy.export.upstream_tls import export_upstream_tls
from meshproxy.plan.cluster import Cluster, Endpoint
from meshproxy.plan.limits import Keepalive, Limits

_UNLIMITED = (1 << 32) - 1
_HTTP_OPTIONS = "upstreams.http.v3.HttpProtocolOptions"


def export_cluster(cluster: Cluster) -> Json:
    connections = cluster.connections
    keepalive = connections.keepalive if connections is not None else None
    return present(
        {
            "name": cluster.name,
            "type": cluster.resolution.value,
            "connect_timeout": duration(cluster.connect_timeout),
            **export_balancing(cluster),
            "outlier_detection": export_outlier(cluster.outlier) if cluster.outlier is not None else None,
            "circuit_breakers": {"thresholds": [_thresholds(cluster)]},
            "upstream_connection_options": {"tcp_keepalive": _keepalive(keepalive)} if keepalive is not None else None,
            "load_assignment": {"cluster_name": cluster.name, "endpoints": _localities(cluster)},
            "transport_socket": _transport_socket(cluster),
            "typed_extension_protocol_options": {f"envoy.extensions.{_HTTP_OPTIONS}": _http_options(cluster)},
        }
    )


def _thresholds(cluster: Cluster) -> Json:
    limits = cluster.limits or Limits()
    fields: Json = {
        "max_connections": _number(limits.connections),
        "max_pending_requests": _number(limits.pending),
        "max_requests": _number(limits.requests),
        "max_retries": _number(limits.retries),
        "track_remaining": True,
    }
    budget = cluster.retry_budget
    if budget is not None:
        percent = {"budget_percent": {"value": budget.percent}, "min_retry_concurrency": budget.minimum}
        fields["retry_budget"] = percent
    return fields


def _number(limit: int | None) -> int:
    return _UNLIMITED if limit is None else limit


def _keepalive(keepalive: Keepalive) -> Json:
    fields = {
        "keepalive_probes": keepalive.probes,
        "keepalive_time": keepalive.time,
        "keepalive_interval": keepalive.interval,
    }
    return present(fields)


def _transport_socket(cluster: Cluster) -> Json | None:
    """TLS behind the PROXY header, where both are wanted."""
    socket = export_upstream_tls(cluster.tls) if cluster.tls is not None else None
    if cluster.proxy_protocol is None:
        return socket
    inner = socket or extension("envoy.transport_sockets.raw_buffer", "transport_sockets.raw_buffer.v3.RawBuffer")
    return extension(
        "envoy.transport_sockets.upstream_proxy_protocol",
        "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": cluster.proxy_protocol.value},
        transport_socket=inner,
    )


def _http_options(cluster: Cluster) -> Json:
    never = math.isinf(cluster.idle_timeout)
    common: Json = {"idle_timeout": "0s" if never else duration(cluster.idle_timeout)}
    connections = cluster.connections
    if connections is not None:
        common["max_requests_per_connection"] = connections.requests or None
        common["max_connection_duration"] = duration(connections.duration) if connections.duration else None
    own_codes = cluster.outlier is not None and cluster.outlier.error_codes
    return typed(
        _HTTP_OPTIONS,
        common_http_protocol_options=present(common),
        explicit_http_config={"http_protocol_options": {"header_key_format": KEEP_CASE, "enable_trailers": True}},
        **({"outlier_detection": export_error_matcher(own_codes)} if own_codes else {}),
        **_server_names(cluster),
    )


def _server_names(cluster: Cluster) -> Json:
    """Without an SNI of its own a connection names the Host of its request."""
    if cluster.tls is None or cluster.tls.sni:
        return {}
    return {"upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": cluster.tls.verify_host}}


def _localities(cluster: Cluster) -> list[Json]:
    """One group for each locality and priority."""
    weights = dict(cluster.locality_weights)
    ordered = sorted(cluster.endpoints, key=_place)
    return [
        present(
            {
                "locality": _locality(name),
                "priority": priority or None,
                "load_balancing_weight": weights.get(name),
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
