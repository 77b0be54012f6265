"""loadBalancer of a TrafficPolicy: algorithms, consistent hashing, locality, warm-up."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.fields import (
    UINT64,
    boolean,
    double,
    duration,
    enum,
    message,
    messages,
    text,
    texts,
    whole,
    whole_map,
)
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash(Message):
    minimum_ring_size: int = whole(0, UINT64)


@dataclass(frozen=True, slots=True, kw_only=True)
class MagLev(Message):
    table_size: int = whole(0, UINT64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAttribute(Message):
    name: str = text()
    value: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCookie(Message):
    name: str = text()
    path: str = text()
    ttl: float | None = duration()
    attributes: tuple[CookieAttribute, ...] = messages(CookieAttribute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHashLB(Message):
    http_header_name: str = text()
    http_cookie: HTTPCookie | None = message(HTTPCookie)
    use_source_ip: bool = boolean()
    http_query_parameter_name: str = text()
    ring_hash: RingHash | None = message(RingHash)
    maglev: MagLev | None = message(MagLev)
    minimum_ring_size: int = whole(0, UINT64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribute(Message):
    from_: str = text()
    to: Mapping[str, int] = whole_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover(Message):
    from_: str = text()
    to: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLoadBalancerSetting(Message):
    distribute: tuple[Distribute, ...] = messages(Distribute)
    failover: tuple[Failover, ...] = messages(Failover)
    failover_priority: tuple[str, ...] = texts()
    enabled: bool | None = boolean(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLoadBalancerSetting(Message):
    enabled: bool | None = boolean(None)
    failover: tuple[Failover, ...] = messages(Failover)
    failover_priority: tuple[str, ...] = texts()
    min_cluster_size: int | None = whole(0, UINT64, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupConfiguration(Message):
    duration: float | None = duration()
    minimum_percent: float | None = double(default=None)
    aggression: float | None = double(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSettings(Message):
    simple: str = enum("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")
    consistent_hash: ConsistentHashLB | None = message(ConsistentHashLB)
    locality_lb_setting: LocalityLoadBalancerSetting | None = message(LocalityLoadBalancerSetting)
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = message(ZoneAwareLoadBalancerSetting)
    warmup_duration_secs: float | None = duration()
    warmup: WarmupConfiguration | None = message(WarmupConfiguration)
