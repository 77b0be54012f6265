"""Localities: which endpoints are asked first, and which share a locality gets (Istio, `loadbalancer.go`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meshproxy.compiler.endpoints import REGION, ZONE
from meshproxy.compiler.registry import Service
from meshproxy.model.kubernetes import Service as KubernetesService
from meshproxy.model.load_balancer import Distribute, Failover, LoadBalancerSettings
from meshproxy.plan.cluster import Endpoint

SUBZONE, NETWORK, LOCALITY = "topology.istio.io/subzone", "topology.istio.io/network", "istio-locality"
_NEAR = (NETWORK, REGION, ZONE, SUBZONE)
"""What `trafficDistribution: PreferClose` compares, the most significant first."""
_CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
_ANNOTATION = "networking.istio.io/traffic-distribution"

Weights = tuple[tuple[str, int], ...]
"""Locality and weight."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where this workload is, and what it is called by."""

    locality: tuple[str, str, str]
    labels: Mapping[str, str]


def here(labels: Mapping[str, str]) -> Here:
    """From the workload's labels: `istio-locality` (region.zone.subzone), else Kubernetes' topology labels."""
    written = labels.get(LOCALITY, "")
    locality = parts(written if "/" in written else written.replace(".", "/"))
    if not written:
        locality = labels.get(REGION, ""), labels.get(ZONE, ""), labels.get(SUBZONE, "")
    return Here(locality, with_topology(labels, locality))


def parts(locality: str) -> tuple[str, str, str]:
    """Region, zone and subzone, each perhaps empty."""
    region, zone, subzone, *_ = (*locality.split("/", 2), "", "")
    return region, zone, subzone


def localized(
    endpoints: Sequence[Endpoint],
    settings: LoadBalancerSettings | None,
    service: Service,
    *,
    failover: bool,
    at: Here,
) -> tuple[tuple[Endpoint, ...], Weights]:
    """The endpoints with their priorities, and the weights of localities. `failover`: outlier detection is on, without
    which nobody would ever fail over."""
    setting = settings.locality_lb_setting if settings is not None else None
    if setting is not None and setting.enabled is False:
        return tuple(endpoints), ()
    if setting is None and _prefers_close(service):
        return _prioritized(endpoints, _label_priorities(endpoints, _NEAR, at)), ()
    if setting is not None and setting.distribute:
        return _distributed(endpoints, setting.distribute, at)
    if not failover:
        return tuple(endpoints), ()
    rules: Sequence[Failover] = setting.failover if setting is not None else ()
    if setting is None or not setting.failover_priority:
        return _prioritized(endpoints, [_distance(each, rules, at) for each in endpoints]), ()
    priorities = _label_priorities(endpoints, setting.failover_priority, at)
    if rules:
        priorities = [5 * first + _distance(each, rules, at) for first, each in zip(priorities, endpoints, strict=True)]
    return _prioritized(endpoints, priorities), ()


def _prefers_close(service: Service) -> bool:
    source = service.sources[0] if service.sources else None
    if not isinstance(source, KubernetesService):
        return source is not None and source.meta.annotations.get(_ANNOTATION, "") in _CLOSE
    return (source.traffic_distribution or source.meta.annotations.get(_ANNOTATION, "")) in _CLOSE


def _prioritized(endpoints: Iterable[Endpoint], priorities: Iterable[int]) -> tuple[Endpoint, ...]:
    """Priorities without gaps, from 0 on."""
    pairs = list(zip(endpoints, priorities, strict=True))
    rank = {priority: index for index, priority in enumerate(sorted({priority for _, priority in pairs}))}
    return tuple(
        replace(endpoint, priority=rank[priority]) if rank[priority] else endpoint for endpoint, priority in pairs
    )


def _distance(endpoint: Endpoint, rules: Iterable[Failover], at: Here) -> int:
    """0: the same subzone, 1: the same zone, 2: the same region, 3: elsewhere; 4: elsewhere, and a `failover` of our
    region leads to another one."""
    theirs = parts(endpoint.locality)
    if theirs[0] != at.locality[0]:
        target = next((rule.to for rule in rules if rule.from_ == at.locality[0]), theirs[0])
        return 3 if theirs[0] == target else 4
    if theirs[1] != at.locality[1]:
        return 2
    return 0 if theirs[2] == at.locality[2] else 1


def _label_priorities(endpoints: Iterable[Endpoint], keys: Sequence[str], at: Here) -> list[int]:
    """By the number of leading labels in which an endpoint agrees with us, or with what `key=value` wants."""
    wanted = []
    for written in keys:
        key, equals, value = written.partition("=")
        wanted.append((key, value if equals else at.labels.get(key, "")))
    found = []
    for endpoint in endpoints:
        labels = with_topology(dict(endpoint.labels), parts(endpoint.locality))
        agreed = next((n for n, (key, value) in enumerate(wanted) if labels.get(key, "") != value), len(wanted))
        found.append(len(wanted) - agreed)
    return found


def with_topology(labels: Mapping[str, str], locality: tuple[str, str, str]) -> Mapping[str, str]:
    """The labels, and those that say the same as the locality."""
    known = {key: value for key, value in zip((REGION, ZONE, SUBZONE), locality, strict=True) if value}
    return {**known, **labels}


def _distributed(
    endpoints: Sequence[Endpoint], rules: Iterable[Distribute], at: Here
) -> tuple[tuple[Endpoint, ...], Weights]:
    """By the first rule that speaks of where we are: localities that it does not name get nothing."""
    rule = next((each for each in rules if _matches(at.locality, each.from_)), None)
    if rule is None:
        return tuple(endpoints), ()
    sizes: Counter[str] = Counter()
    for endpoint in endpoints:
        sizes[endpoint.locality] += endpoint.weight
    weights: dict[str, int] = {}
    for pattern, weight in rule.to.items():
        covered = [name for name in sizes if name not in weights and _matches(parts(name), pattern)]
        total = sum(sizes[name] for name in covered)
        weights |= {name: math.ceil(sizes[name] * weight / total) for name in covered}
    return tuple(endpoint for endpoint in endpoints if endpoint.locality in weights), tuple(weights.items())


def _matches(locality: tuple[str, str, str], pattern: str) -> bool:
    """A pattern may end early, or with `*`."""
    return all(want in ("", "*", have) for have, want in zip(locality, parts(pattern), strict=True))
