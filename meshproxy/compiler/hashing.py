"""What the requests of a route are hashed by: the consistentHash of its destinations' DestinationRules.

Each weighted destination contributes its own (Istio, `route.go`: HashForHTTPDestination).
"""

from __future__ import annotations

from meshproxy.compiler.destination_rules import DestinationRules, port_entry
from meshproxy.compiler.registry import Registry
from meshproxy.model.load_balancer import ConsistentHashLB
from meshproxy.model.traffic_policy import PortTrafficPolicy, TrafficPolicy
from meshproxy.plan.hashing import CookieHash, HashPolicy, HeaderHash, QueryHash, SourceIpHash


class Hashing:
    """Asked for each destination of each route."""

    def __init__(self, registry: Registry, rules: DestinationRules) -> None:
        self._registry = registry
        self._rules = rules

    def of_destination(self, host: str, subset: str, port: int | None) -> HashPolicy | None:
        """Of a VirtualService's destination. `port` only where it is written there: a port's settings act only then.
        What is found first counts: the subset's port, the subset, the rule's port, the rule."""
        service = self._registry.services.get(host)
        rule = self._rules.of(service) if service is not None else None
        if rule is None:
            return None
        named = rule.subsets.get(subset)
        for policy in (named.traffic_policy if named is not None else None, rule.policy):
            entry = port_entry(policy, port) if port is not None else None
            for block in (entry, policy):
                found = build_hash_policy(_consistent(block)) if block is not None else None
                if found is not None:
                    return found
        return None

    def of_service(self, host: str, port: int) -> HashPolicy | None:
        """Of a service that no VirtualService governs: a port's settings take the place of the rule's."""
        service = self._registry.services.get(host)
        rule = self._rules.of(service) if service is not None else None
        block = (port_entry(rule.policy, port) or rule.policy) if rule is not None else None
        return build_hash_policy(_consistent(block)) if block is not None else None


def _consistent(block: TrafficPolicy | PortTrafficPolicy) -> ConsistentHashLB | None:
    balancing = block.load_balancer
    return balancing.consistent_hash if balancing is not None else None


def build_hash_policy(consistent: ConsistentHashLB | None) -> HashPolicy | None:
    if consistent is None:
        return None
    if consistent.http_header_name:
        return HeaderHash(consistent.http_header_name.lower().encode())
    if consistent.http_query_parameter_name:
        return QueryHash(consistent.http_query_parameter_name.encode())
    cookie = consistent.http_cookie
    if cookie is not None:
        return CookieHash(
            name=cookie.name.encode(),
            ttl=int(cookie.ttl) if cookie.ttl is not None else None,
            path=cookie.path.encode(),
            attributes=tuple((each.name.encode(), each.value.encode()) for each in cookie.attributes),
        )
    return SourceIpHash() if consistent.use_source_ip else None
