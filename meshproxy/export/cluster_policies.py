"""What a DestinationRule asks of a cluster, and what a route's requests are hashed by, as Envoy's messages."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.export.messages import Json, duration, extension, present, text
from meshproxy.plan.cluster import Balancer, Cluster
from meshproxy.plan.hashing import CookieHash, HashPolicy, HeaderHash, Maglev, QueryHash, RingHash
from meshproxy.plan.limits import Keepalive, RetryBudget
from meshproxy.plan.outlier import OutlierDetection
from meshproxy.plan.slow_start import Warmup
from meshproxy.plan.upstream_tls import Material, Pem, UpstreamTls

_UNLIMITED = (1 << 32) - 1
"""Istio's default of every limit."""
_POLICIES = {
    Balancer.LEAST_REQUEST: "LEAST_REQUEST",
    Balancer.ROUND_ROBIN: "ROUND_ROBIN",
    Balancer.RANDOM: "RANDOM",
}
_NAME_TYPES = ("DNS", "URI", "EMAIL", "IP_ADDRESS")


def export_policies(cluster: Cluster) -> Json:
    """Fields of an Envoy cluster."""
    return present(
        {
            **_balancing(cluster),
            "common_lb_config": _common(cluster),
            "circuit_breakers": {"thresholds": [_thresholds(cluster)]},
            "outlier_detection": _outlier(cluster.outlier) if cluster.outlier is not None else None,
            "upstream_connection_options": _keepalive(cluster),
            "transport_socket": _transport(cluster),
        }
    )


def _balancing(cluster: Cluster) -> Json:
    match cluster.hashing:
        case RingHash(minimum):
            return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": minimum}}
        case Maglev(size):
            return {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": size}}
    policy = _POLICIES[cluster.balancer]
    slow = {"slow_start_config": _warmup(cluster.warmup)} if cluster.warmup is not None else None
    return {"lb_policy": policy, f"{policy.lower()}_lb_config": slow}


def _warmup(warmup: Warmup) -> Json:
    return {
        "slow_start_window": duration(warmup.duration),
        "aggression": {"default_value": warmup.aggression, "runtime_key": "slow_start.aggression"},
        "min_weight_percent": {"value": warmup.minimum * 100},
    }


def _common(cluster: Cluster) -> Json:
    threshold: Json = {"healthy_panic_threshold": {"value": cluster.panic_threshold}}
    return {**threshold, "locality_weighted_lb_config": {}} if cluster.locality_weights else threshold


def _thresholds(cluster: Cluster) -> Json:
    limits, budget = cluster.limits, cluster.retry_budget
    given = {
        "max_connections": limits.connections if limits is not None else None,
        "max_pending_requests": limits.pending if limits is not None else None,
        "max_requests": limits.requests if limits is not None else None,
        "max_retries": limits.retries if limits is not None else None,
    }
    shown: Json = {name: _UNLIMITED if value is None else value for name, value in given.items()}
    return present({**shown, "track_remaining": True, "retry_budget": _budget(budget) if budget is not None else None})


def _budget(budget: RetryBudget) -> Json:
    shown: Json = {"budget_percent": {"value": budget.percent}, "min_retry_concurrency": budget.minimum}
    return {**shown, "budget_interval": duration(budget.window)} if budget.window else shown


def _outlier(policy: OutlierDetection) -> Json:
    shown = {
        "consecutive_5xx": policy.consecutive_5xx,
        "enforcing_consecutive_5xx": 100 if policy.consecutive_5xx else 0,
        "consecutive_gateway_failure": policy.consecutive_gateway,
        "enforcing_consecutive_gateway_failure": 100 if policy.consecutive_gateway else 0,
        "enforcing_success_rate": 0,
        "interval": duration(policy.interval),
        "base_ejection_time": duration(policy.base_ejection_time),
        "max_ejection_percent": policy.max_ejection_percent,
    }
    if policy.split:
        shown |= {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": policy.consecutive_local_origin,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_local_origin_success_rate": 0,
        }
    return shown


def export_error_codes(policy: OutlierDetection | None) -> Json | None:
    """Of Envoy's HttpProtocolOptions: which statuses are errors."""
    if policy is None or not policy.error_codes:
        return None
    rules = [
        {"http_response_headers_match": {"headers": [{"name": ":status", "string_match": {"exact": str(code)}}]}}
        for code in sorted(policy.error_codes)
    ]
    return {"error_matcher": rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}}


def export_connection_limits(cluster: Cluster) -> Json:
    """Of Envoy's HttpProtocolOptions: how long a connection is used."""
    policy = cluster.connections
    if policy is None:
        return {}
    longest = duration(policy.duration) if policy.duration is not None else None
    return present({"max_requests_per_connection": policy.requests or None, "max_connection_duration": longest})


def _keepalive(cluster: Cluster) -> Json | None:
    wanted = cluster.connections.keepalive if cluster.connections is not None else None
    if wanted is None:
        return None
    return {"tcp_keepalive": _keepalive_times(wanted)}


def _keepalive_times(wanted: Keepalive) -> Json:
    shown = {"probes": wanted.probes, "time": wanted.time, "interval": wanted.interval}
    return {f"keepalive_{name}": value for name, value in shown.items() if value is not None}


# ---- TLS and the PROXY header


def _transport(cluster: Cluster) -> Json | None:
    tls = cluster.tls
    inner = (
        extension("tls", "transport_sockets.tls.v3.UpstreamTlsContext", **_tls(tls))
        if tls is not None
        else extension("raw", "transport_sockets.raw_buffer.v3.RawBuffer")
    )
    if cluster.proxy_protocol is None:
        return inner if tls is not None else None
    return extension(
        "proxy_protocol",
        "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": cluster.proxy_protocol.value},
        transport_socket=inner,
    )


def _tls(tls: UpstreamTls) -> Json:
    chain: Json | None = None
    if tls.certificate and not isinstance(tls.key, Pem):  # what a Secret holds stays where it is: see gaps.py
        chain = {"certificate_chain": _source(tls.certificate), "private_key": _source(tls.key)}
    common = {
        "alpn_protocols": list(tls.alpn),
        "tls_certificates": [chain] if chain is not None else [],
        "validation_context": _validation(tls) if tls.verify else None,
    }
    return present({"sni": tls.sni, "common_tls_context": present(common)})


def _validation(tls: UpstreamTls) -> Json:
    trusted: Json = {"trusted_ca": _source(tls.ca)} if tls.ca else {"system_root_certs": {}}
    names = [{"san_type": kind, "matcher": {"exact": name}} for name in tls.names for kind in _NAME_TYPES]
    crl = _source(tls.crl) if tls.crl else None
    return {**trusted, **present({"match_typed_subject_alt_names": names, "crl": crl})}


def _source(material: Material) -> Json:
    if isinstance(material, Pem):
        return {"inline_string": text(material.content)}
    return {"filename": material}


def export_server_names(cluster: Cluster) -> Json | None:
    """Of Envoy's HttpProtocolOptions: the Host of a request as SNI, and what the certificate must then be for."""
    tls = cluster.tls
    if tls is None or tls.sni:
        return None
    return present({"auto_sni": True, "auto_san_validation": tls.verify_host or None})


# ---- hashes


def export_hashes(policies: Iterable[HashPolicy]) -> list[Json]:
    """Of a route."""
    return [_hash(policy) for policy in policies]


def _hash(policy: HashPolicy) -> Json:
    match policy:
        case HeaderHash(name):
            return {"header": {"header_name": text(name)}}
        case QueryHash(name):
            return {"query_parameter": {"name": text(name)}}
        case CookieHash():
            return {"cookie": _cookie(policy)}
    return {"connection_properties": {"source_ip": True}}


def _cookie(policy: CookieHash) -> Json:
    attributes = [{"name": text(name), "value": text(value)} for name, value in policy.attributes]
    ttl = f"{policy.ttl}s" if policy.ttl is not None else None
    return present({"name": text(policy.name), "ttl": ttl, "path": text(policy.path), "attributes": attributes})
