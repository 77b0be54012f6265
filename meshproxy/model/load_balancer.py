"""loadBalancer of a TrafficPolicy: algorithms, consistent hashing, locality, warm-up."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.checks import milliseconds, not_negative, percent
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
from meshproxy.model.place import Place
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message

_LARGEST_TABLE = 5000011
_TOPOLOGY = frozenset(("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"))


def _positive(number: float) -> str | None:
    return None if number > 0 else "must be greater than 0"


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, math.isqrt(number) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash(Message):
    minimum_ring_size: int = whole(0, UINT64)


@dataclass(frozen=True, slots=True, kw_only=True)
class MagLev(Message):
    table_size: int = whole(0, UINT64, required=True)

    def rules(self) -> Iterator[Problem]:
        size = self.table_size
        if "table_size" in self.at.marks and (size >= _LARGEST_TABLE or not _is_prime(size)):
            yield self.at.error("table_size", f"{size} is not a prime number below {_LARGEST_TABLE} (65537 is usual)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAttribute(Message):
    name: str = text(required=True)
    value: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCookie(Message):
    name: str = text(required=True)
    path: str = text()
    ttl: float | None = duration(not_negative)
    attributes: tuple[CookieAttribute, ...] = messages(CookieAttribute)

    def rules(self) -> Iterator[Problem]:
        names = [attribute.name for attribute in self.attributes]
        for index, attribute in enumerate(self.attributes):
            if attribute.name in names[:index]:
                yield attribute.at.error("name", f'the cookie attribute "{attribute.name}" stands here twice')


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHashLB(Message):
    ONE_OF: ClassVar = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev", "minimum_ring_size"),
    )

    http_header_name: str = text()
    http_cookie: HTTPCookie | None = message(HTTPCookie)
    use_source_ip: bool = boolean()
    http_query_parameter_name: str = text()
    ring_hash: RingHash | None = message(RingHash)
    maglev: MagLev | None = message(MagLev)
    minimum_ring_size: int = whole(0, UINT64)

    def rules(self) -> Iterator[Problem]:
        if self.minimum_ring_size:
            yield self.at.warning("minimum_ring_size", "minimumRingSize is deprecated: write ringHash.minimumRingSize")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribute(Message):
    from_: str = text()
    to: Mapping[str, int] = whole_map()

    def rules(self) -> Iterator[Problem]:
        for locality, weight in self.to.items():
            if not 1 <= weight <= 100:
                yield self.at.error("to", f"the weight of {locality} is {weight}: write 1 to 100", locality)
        if (total := sum(self.to.values())) != 100:
            yield self.at.error("to", f"the weights add up to {total}: they must add up to 100")
        for index, locality in enumerate(self.to):
            if wrong := _locality_overlap(locality, tuple(self.to)[:index]):
                yield self.at.error("to", wrong, locality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover(Message):
    from_: str = text()
    to: str = text()

    def rules(self) -> Iterator[Problem]:
        if self.from_ == self.to:
            yield self.at.error("to", "failover must lead to another region")
        for name, region in (("from_", self.from_), ("to", self.to)):
            if "/" in region or "*" in region:
                yield self.at.error(name, f'"{region}" is not a region: failover knows neither zones nor wildcards')


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLoadBalancerSetting(Message):
    distribute: tuple[Distribute, ...] = messages(Distribute)
    failover: tuple[Failover, ...] = messages(Failover)
    failover_priority: tuple[str, ...] = texts()
    enabled: bool | None = boolean(None)

    def rules(self) -> Iterator[Problem]:
        if self.distribute and self.failover:
            yield self.at.error("failover", "distribute and failover exclude each other: keep one")
        if self.failover:
            yield from _topology_problems(self.at, self.failover_priority, "excludes failover: keep one")
        for index, entry in enumerate(self.distribute):
            if wrong := _locality_overlap(entry.from_, [other.from_ for other in self.distribute[:index]]):
                yield entry.at.error("from_", wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAwareLoadBalancerSetting(Message):
    enabled: bool | None = boolean(None)
    failover: tuple[Failover, ...] = messages(Failover)
    failover_priority: tuple[str, ...] = texts()
    min_cluster_size: int | None = whole(0, UINT64, default=None)

    def rules(self) -> Iterator[Problem]:
        why = "is what zone-aware balancing sorts by already: remove it"
        yield from _topology_problems(self.at, self.failover_priority, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupConfiguration(Message):
    duration: float | None = duration(milliseconds, required=True)
    minimum_percent: float | None = double(percent, default=None)
    aggression: float | None = double(_positive, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSettings(Message):
    ONE_OF: ClassVar = (
        ("simple", "consistent_hash"),
        ("locality_lb_setting", "zone_aware_lb_setting"),
        ("warmup_duration_secs", "warmup"),
    )

    simple: str = enum("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")
    consistent_hash: ConsistentHashLB | None = message(ConsistentHashLB)
    locality_lb_setting: LocalityLoadBalancerSetting | None = message(LocalityLoadBalancerSetting)
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = message(ZoneAwareLoadBalancerSetting)
    warmup_duration_secs: float | None = duration(not_negative)
    warmup: WarmupConfiguration | None = message(WarmupConfiguration)

    def failover_problems(self) -> Iterator[Problem]:
        """For a policy without outlierDetection: nothing ever fails over there."""
        for setting in (self.locality_lb_setting, self.zone_aware_lb_setting):
            if setting is not None and (setting.failover or setting.failover_priority):
                field = "failover" if setting.failover else "failover_priority"
                yield setting.at.warning(field, "without outlierDetection in the same policy failover does nothing")


def _topology_problems(at: Place, labels: Sequence[str], why: str) -> Iterator[Problem]:
    for index, label in enumerate(labels):
        if label in _TOPOLOGY:
            yield at.error("failover_priority", f'the topology label "{label}" {why}', index)


def _locality_overlap(locality: str, earlier: Sequence[str]) -> str | None:
    """What is wrong with a locality (`region/zone/subzone`, `*` at its end) beside those that stand before it."""
    if "*" in locality[:-1]:
        return f'"{locality}": a "*" may only stand at the end'
    if "" in locality.split("/", 2):
        return f'"{locality}": region, zone and subzone must not be empty'
    steps = _named(locality)
    for other in earlier:
        shorter, longer = sorted((steps, _named(other)), key=len)
        if longer[: len(shorter)] == shorter:
            return f'"{locality}" overlaps with "{other}"'
    return None


def _named(locality: str) -> list[str]:
    return [step for step in locality.split("/", 2) if step != "*"]
