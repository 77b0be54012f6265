"""Clusters: for every service port, and every subset that a DestinationRule or `--map` names, who answers and how."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from meshproxy.compiler.destination_rules import DestinationRules, EffectivePolicy, effective_policy
from meshproxy.compiler.endpoints import Workloads
from meshproxy.compiler.registry import Registry, Service
from meshproxy.model.connection_pool import ConnectionPoolSettings
from meshproxy.model.hosts import cluster_name
from meshproxy.plan.cluster import CONNECT_TIMEOUT, IDLE_TIMEOUT, Balancer, Cluster, Endpoint

_BALANCERS = {"ROUND_ROBIN": Balancer.ROUND_ROBIN, "RANDOM": Balancer.RANDOM}


def build_clusters(registry: Registry, workloads: Workloads, rules: DestinationRules) -> dict[str, Cluster]:
    """By name."""
    return {
        cluster.name: cluster
        for service in registry.services.values()
        for cluster in _of_service(service, registry.mapped.get(service.host), workloads, rules)
    }


def _of_service(
    service: Service,
    mapped: Mapping[str, tuple[tuple[str, int], ...]] | None,
    workloads: Workloads,
    rules: DestinationRules,
) -> Iterator[Cluster]:
    rule = rules.of(service)
    passed_over = rules.passed_over(service, rule)
    subsets = dict.fromkeys(("", *(rule.subsets if rule is not None else ()), *(mapped or ())))
    for port in service.ports:
        endpoints = workloads.endpoints(service, port) if mapped is None else ()
        labelled = [(endpoint, set(endpoint.labels)) for endpoint in endpoints] if len(subsets) > 1 else []
        for name in subsets:
            subset = rule.subsets.get(name) if rule is not None else None
            if mapped is not None:
                chosen = _mapped_endpoints(mapped, name)
            elif subset is None:
                chosen = endpoints
            else:
                wanted = set(subset.labels.items())
                chosen = tuple(endpoint for endpoint, labels in labelled if wanted <= labels)
            policy = effective_policy(
                rule.policy if rule is not None else None,
                subset.traffic_policy if subset is not None else None,
                port.number,
            )
            yield Cluster(
                name=cluster_name(port.number, name, service.host),
                host=service.host,
                port=port.number,
                subset=name,
                endpoints=chosen,
                origin=subset.at.origin if subset is not None else rule.origin if rule is not None else service.origin,
                rule=rule.name if rule is not None else "",
                labels=tuple(subset.labels.items()) if subset is not None else (),
                passed_over=passed_over,
                balancer=_balancer(policy),
                connect_timeout=_connect_timeout(policy.connection_pool),
                idle_timeout=_idle_timeout(policy.connection_pool),
            )


def _mapped_endpoints(mapped: Mapping[str, tuple[tuple[str, int], ...]], subset: str) -> tuple[Endpoint, ...]:
    """A subset's own; else those of the host without a subset. The whole service has all of them."""
    addresses = (
        [each for part in mapped.values() for each in part] if not subset else mapped.get(subset, mapped.get("", ()))
    )
    return tuple(Endpoint(address=address, port=port) for address, port in dict.fromkeys(addresses))


def _balancer(policy: EffectivePolicy) -> Balancer:
    simple = policy.load_balancer.simple if policy.load_balancer is not None else ""
    return _BALANCERS.get(simple, Balancer.LEAST_REQUEST)


def _connect_timeout(pool: ConnectionPoolSettings | None) -> float:
    return (pool.tcp.connect_timeout if pool is not None and pool.tcp is not None else None) or CONNECT_TIMEOUT


def _idle_timeout(pool: ConnectionPoolSettings | None) -> float:
    """http.idleTimeout, else tcp.idleTimeout; 0 means never."""
    written = pool.http.idle_timeout if pool is not None and pool.http is not None else None
    if written is None and pool is not None and pool.tcp is not None:
        written = pool.tcp.idle_timeout
    return IDLE_TIMEOUT if written is None else written or math.inf
