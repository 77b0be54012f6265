"""Who of a cluster is chosen, and who is left alone for a while: load balancing and outlier detection as Envoy has
them."""

from __future__ import annotations

from meshproxy.export.messages import Json, duration, present, text
from meshproxy.plan.cluster import Balancer, Cluster
from meshproxy.plan.hashing import CookieHash, HashPolicy, HeaderHash, QueryHash, RingHash, SourceIpHash
from meshproxy.plan.outlier import OutlierDetection
from meshproxy.plan.slow_start import Warmup

_POLICIES = {
    Balancer.LEAST_REQUEST: ("LEAST_REQUEST", "least_request_lb_config"),
    Balancer.ROUND_ROBIN: ("ROUND_ROBIN", "round_robin_lb_config"),
    Balancer.RANDOM: ("RANDOM", ""),
}
_CERTAIN = 100


def export_balancing(cluster: Cluster) -> Json:
    """A hash table takes the place of the balancer; slow start is for those that know it."""
    common: Json = {"healthy_panic_threshold": {"value": cluster.panic_threshold}}
    if cluster.locality_weights:
        common["locality_weighted_lb_config"] = {}
    table = cluster.hashing
    if table is not None and isinstance(table, RingHash):
        size: Json = {"ring_hash_lb_config": {"minimum_ring_size": table.minimum}}
    elif table is not None:
        size = {"maglev_lb_config": {"table_size": table.size}}
    else:
        policy, options = _POLICIES[cluster.balancer]
        slow = _slow_start(cluster.warmup) if cluster.warmup is not None and options else None
        return {"lb_policy": policy, **({options: slow} if slow else {}), "common_lb_config": common}
    return {"lb_policy": table.name, **size, "common_lb_config": common}


def _slow_start(warmup: Warmup) -> Json:
    return {
        "slow_start_config": {
            "slow_start_window": duration(warmup.duration),
            "aggression": {"default_value": warmup.aggression, "runtime_key": "slow_start.aggression"},
            "min_weight_percent": {"value": warmup.minimum * 100},
        }
    }


def export_outlier(outlier: OutlierDetection) -> Json:
    """What counts ejects with certainty; what does not count is not enforced. Rates of success are never asked."""
    counts = {
        "consecutive_5xx": outlier.consecutive_5xx,
        "consecutive_gateway_failure": outlier.consecutive_gateway,
    }
    if outlier.split:
        counts["consecutive_local_origin_failure"] = outlier.consecutive_local_origin
    enforced = {f"enforcing_{name}": _CERTAIN if count else 0 for name, count in counts.items()}
    return {
        **{name: count for name, count in counts.items() if count},
        **enforced,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "split_external_local_origin_errors": outlier.split,
        "interval": duration(outlier.interval),
        "base_ejection_time": duration(outlier.base_ejection_time),
        "max_ejection_time": duration(outlier.max_ejection_time),
        "max_ejection_percent": outlier.max_ejection_percent,
    }


def export_error_matcher(codes: frozenset[int]) -> Json:
    """Exactly these statuses are errors to outlier detection."""
    rules = [
        {"http_response_headers_match": {"headers": [{"name": ":status", "string_match": {"exact": str(code)}}]}}
        for code in sorted(codes)
    ]
    return {"error_matcher": rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}}


def export_hash_policy(policy: HashPolicy) -> Json:
    match policy:
        case HeaderHash(name):
            return {"header": {"header_name": text(name)}}
        case SourceIpHash():
            return {"connection_properties": {"source_ip": True}}
        case QueryHash(name):
            return {"query_parameter": {"name": text(name)}}
        case CookieHash():
            attributes = [{"name": text(name), "value": text(value)} for name, value in policy.attributes]
            ttl = f"{policy.ttl}s" if policy.ttl is not None else None
            cookie = {"name": text(policy.name), "ttl": ttl, "path": text(policy.path), "attributes": attributes}
            return {"cookie": present(cookie)}
