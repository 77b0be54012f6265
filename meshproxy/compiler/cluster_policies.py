"""The blocks of a traffic policy to the values a cluster is run by: limits, connections, ejection, tables, warm-up."""

from __future__ import annotations

import math
from typing import Any

from meshproxy.compiler.destination_rules import EffectivePolicy
from meshproxy.model.connection_pool import HTTPSettings, OutlierDetection, TCPSettings
from meshproxy.model.load_balancer import ConsistentHashLB, LoadBalancerSettings
from meshproxy.model.traffic_policy import RetryBudget, TunnelSettings
from meshproxy.plan import outlier, upstream_tls
from meshproxy.plan.cluster import CONNECT_TIMEOUT, IDLE_TIMEOUT, STREAM_IDLE_TIMEOUT, Balancer
from meshproxy.plan.hashing import HashTable, Maglev, RingHash
from meshproxy.plan.limits import ConnectionPolicy, Keepalive, Limits
from meshproxy.plan.limits import RetryBudget as Budget
from meshproxy.plan.slow_start import Warmup

_BALANCERS = {"ROUND_ROBIN": Balancer.ROUND_ROBIN, "RANDOM": Balancer.RANDOM}
_WARMED = (Balancer.ROUND_ROBIN, Balancer.LEAST_REQUEST)


def build_policies(policy: EffectivePolicy) -> dict[str, Any]:
    """The fields of a plan's Cluster that the policy decides, but for TLS and localities."""
    pool, balancing = policy.connection_pool, policy.load_balancer
    tcp = pool.tcp if pool is not None else None
    http = pool.http if pool is not None else None
    balancer = build_balancer(balancing)
    consistent = balancing.consistent_hash if balancing is not None else None
    hashing = _hash_table(consistent)
    detection = policy.outlier_detection
    return {
        "balancer": balancer,
        "hashing": hashing,
        "hashes_source": consistent is not None and consistent.use_source_ip,
        "warmup": _warmup(balancing) if hashing is None and balancer in _WARMED else None,
        "connect_timeout": (tcp.connect_timeout if tcp is not None else None) or CONNECT_TIMEOUT,
        "idle_timeout": _idle_timeout(tcp, http),
        "stream_idle_timeout": _stream_idle_timeout(tcp),
        "outlier": _outlier(detection) if detection is not None else None,
        "panic_threshold": detection.min_health_percent if detection is not None else 0,
        "limits": _limits(tcp, http),
        "retry_budget": _budget(policy.retry_budget) if policy.retry_budget is not None else None,
        "connections": _connections(tcp, http),
        "tunnel": _tunnel(policy.tunnel) if policy.tunnel is not None else None,
        "proxy_protocol": (
            upstream_tls.ProxyProtocol(policy.proxy_protocol.version or "V1")
            if policy.proxy_protocol is not None
            else None
        ),
    }


def build_balancer(balancing: LoadBalancerSettings | None) -> Balancer:
    return _BALANCERS.get(balancing.simple if balancing is not None else "", Balancer.LEAST_REQUEST)


def _hash_table(consistent: ConsistentHashLB | None) -> HashTable | None:
    """Without an algorithm it is a ring, of at least 1,024 points."""
    if consistent is None:
        return None
    if consistent.maglev is not None:
        return Maglev(consistent.maglev.table_size)
    ring = consistent.ring_hash
    return RingHash((ring.minimum_ring_size if ring is not None else consistent.minimum_ring_size) or 1024)


def _warmup(balancing: LoadBalancerSettings | None) -> Warmup | None:
    if balancing is None:
        return None
    written = balancing.warmup
    if written is None:
        return Warmup(duration=balancing.warmup_duration_secs) if balancing.warmup_duration_secs else None
    return Warmup(
        duration=written.duration or 0.0,
        minimum=(10.0 if written.minimum_percent is None else written.minimum_percent) / 100,
        aggression=written.aggression or 1.0,
    )


def _idle_timeout(tcp: TCPSettings | None, http: HTTPSettings | None) -> float:
    """http.idleTimeout, else tcp.idleTimeout; 0 means never."""
    written = http.idle_timeout if http is not None else None
    if written is None and tcp is not None:
        written = tcp.idle_timeout
    return IDLE_TIMEOUT if written is None else written or math.inf


def _stream_idle_timeout(tcp: TCPSettings | None) -> float:
    """0 means never."""
    written = tcp.idle_timeout if tcp is not None else None
    return STREAM_IDLE_TIMEOUT if written is None else written or math.inf


def _outlier(written: OutlierDetection) -> outlier.OutlierDetection:
    """An empty block switches detection on, with Envoy's defaults."""
    given = {
        "consecutive_5xx": written.consecutive_5xx_errors,
        "consecutive_gateway": written.consecutive_gateway_errors,
        "consecutive_local_origin": written.consecutive_local_origin_failures,
        "interval": written.interval,
        "base_ejection_time": written.base_ejection_time,
        "max_ejection_percent": written.max_ejection_percent or None,
    }
    return outlier.OutlierDetection(
        split=written.split_external_local_origin_errors,
        error_codes=frozenset(written.outlier_detection_http_error_codes),
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def _limits(tcp: TCPSettings | None, http: HTTPSettings | None) -> Limits | None:
    """0 is the same as unset."""
    limits = Limits(
        connections=(tcp.max_connections if tcp is not None else 0) or None,
        pending=(http.http1_max_pending_requests if http is not None else 0) or None,
        requests=(http.http2_max_requests if http is not None else 0) or None,
        retries=(http.max_retries if http is not None else 0) or None,
    )
    return limits if limits != Limits() else None


def _budget(written: RetryBudget) -> Budget:
    return Budget(
        percent=20.0 if written.percent is None else written.percent,
        minimum=written.min_retry_concurrency or 3,
        window=written.budget_interval or 0.0,
    )


def _connections(tcp: TCPSettings | None, http: HTTPSettings | None) -> ConnectionPolicy | None:
    policy = ConnectionPolicy(
        requests=http.max_requests_per_connection if http is not None else 0,
        duration=tcp.max_connection_duration if tcp is not None else None,
        keepalive=_keepalive(tcp),
    )
    return policy if policy != ConnectionPolicy() else None


def _keepalive(tcp: TCPSettings | None) -> Keepalive | None:
    written = tcp.tcp_keepalive if tcp is not None else None
    if written is None:
        return None
    return Keepalive(probes=written.probes or None, time=_seconds(written.time), interval=_seconds(written.interval))


def _seconds(written: float | None) -> int | None:
    """Whole ones, as the system counts them; at least one."""
    return max(1, int(written)) if written is not None else None


def _tunnel(written: TunnelSettings) -> upstream_tls.Tunnel:
    host = f"[{written.target_host}]" if ":" in written.target_host else written.target_host
    return upstream_tls.Tunnel(written.protocol or "CONNECT", f"{host}:{written.target_port}")
