"""Which DestinationRule applies to a service, and what its traffic policies come to for a port and a subset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshproxy.base.origin import Origin
from meshproxy.compiler.registry import Service
from meshproxy.compiler.selection import has_labels
from meshproxy.model.connection_pool import ClientTLSSettings, ConnectionPoolSettings, OutlierDetection
from meshproxy.model.destination_rule import DestinationRule, Subset
from meshproxy.model.hosts import host_matches, is_exported, is_wildcard, resolve_host
from meshproxy.model.load_balancer import LoadBalancerSettings
from meshproxy.model.traffic_policy import (
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    TrafficPolicy,
    TunnelSettings,
)
from meshproxy.plan.cluster import PassedOver

ROOT_NAMESPACE = "istio-system"


@dataclass(slots=True)
class MergedRule:
    """DestinationRules of one host, namespace, exportTo and selector: subsets united, the first policy kept."""

    rule: DestinationRule
    export_to: frozenset[str]
    policy: TrafficPolicy | None
    subsets: dict[str, Subset] = field(default_factory=dict)
    parts: list[DestinationRule] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.rule.meta.full_name

    @property
    def origin(self) -> Origin:
        return self.rule.at.origin

    @property
    def selector(self) -> Mapping[str, str] | None:
        return self.rule.workload_selector.match_labels if self.rule.workload_selector is not None else None

    def add(self, rule: DestinationRule) -> None:
        self.parts.append(rule)
        for subset in rule.subsets:
            self.subsets.setdefault(subset.name, subset)
        if self.policy is None:
            self.policy = rule.traffic_policy


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The blocks that hold for one cluster, each taken as a whole."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


_PORT_BLOCKS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
_RULE_BLOCKS = ("tunnel", "proxy_protocol", "retry_budget")


class DestinationRules:
    """All rules, as one workload looks them up."""

    def __init__(self, rules: Iterable[DestinationRule], namespace: str, labels: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._labels = labels
        self._pools: dict[str, dict[str, list[MergedRule]]] = defaultdict(dict)
        self._has_wildcards = False
        self._by_host: dict[str, list[DestinationRule]] = defaultdict(list)
        # rules with a selector first, else in the catalog's order
        for rule in sorted(rules, key=lambda rule: rule.workload_selector is None):
            owner = rule.meta.namespace
            host = resolve_host(rule.host, owner)
            _merge(self._pools[owner].setdefault(host, []), rule)
            self._by_host[host].append(rule)
            self._has_wildcards = self._has_wildcards or is_wildcard(host)
            if "." not in rule.host:
                self._by_host[rule.host.lower()].append(rule)

    def of(self, service: Service) -> MergedRule | None:
        """The rule for `service`: our namespace's, else the service's, else the root namespace's. The first of the
        three that has any for the host wins outright; in the latter two the host is chosen before exportTo is asked."""
        client = self._namespace
        own = self._most_specific(client, service.host)
        if client == ROOT_NAMESPACE:
            own = [each for each in own if each.export_to and each.export_to <= {client}]
        found = own
        for owner in (service.namespace, ROOT_NAMESPACE):
            found = found or [
                each
                for each in self._most_specific(owner, service.host)
                if is_exported(each.export_to, owner, client)
                and (each.selector is None or owner == client)  # a rule with a selector is its namespace's own
            ]
        return self._selected(found)

    def passed_over(self, service: Service, applied: MergedRule | None) -> tuple[PassedOver, ...]:
        """The rules that speak of `service` and are not (part of) the one that applies."""
        patterns = covering(service.host) if self._has_wildcards else (service.host,)
        hosts = (*patterns, *((service.name,) if service.name else ()))
        taken = {id(part) for part in applied.parts} if applied is not None else set()
        rules = {id(rule): rule for host in hosts for rule in self._by_host.get(host, ()) if id(rule) not in taken}
        return tuple(
            PassedOver(rule.meta.full_name, self._why_not(rule, service, applied), rule.at.origin)
            for rule in rules.values()
        )

    def _why_not(self, rule: DestinationRule, service: Service, applied: MergedRule | None) -> str:
        """The first thing that keeps `rule` from applying to `service`."""
        owner, client = rule.meta.namespace, self._namespace
        host = resolve_host(rule.host, owner)
        if not host_matches(service.host, host):
            return f"its host {rule.host} means {host}"
        if owner not in (client, service.namespace, ROOT_NAMESPACE):
            places = ", ".join(dict.fromkeys(filter(None, (client, service.namespace, ROOT_NAMESPACE))))
            return f"its namespace {owner} is not looked at: only {places}"
        if owner != client and not is_exported(rule.export_to, owner, client):
            return f"its exportTo hides it from the namespace {client}"
        selector = rule.workload_selector
        if selector is not None and owner != client:
            return f"it has a workloadSelector, and those are for its own namespace {owner}"
        if selector is not None and not has_labels(self._labels, selector.match_labels):
            wanted = ",".join(f"{key}={value}" for key, value in selector.match_labels.items())
            return f"its workloadSelector wants {wanted}"
        if applied is None:
            return "it is not exported to here"
        if owner != applied.rule.meta.namespace:
            return f"{applied.name} is looked at before the namespace {owner}"
        if host != resolve_host(applied.rule.host, owner):
            return f"{applied.name} names the host more exactly"
        return f"{applied.name} comes first"

    def _most_specific(self, owner: str, host: str) -> list[MergedRule]:
        pool = self._pools.get(owner)
        if not pool:
            return []
        return next((pool[pattern] for pattern in covering(host) if pattern in pool), [])

    def _selected(self, found: Iterable[MergedRule]) -> MergedRule | None:
        plain = None
        for each in found:
            if each.selector is None:
                plain = plain or each
            elif has_labels(self._labels, each.selector):
                return each
        return plain


def covering(host: str) -> Iterable[str]:
    """`host` and all wildcards that cover it, the most specific first."""
    yield host
    for start in range(2 if is_wildcard(host) else 1, len(host) + 1):
        yield f"*{host[start:]}"


def _merge(found: list[MergedRule], rule: DestinationRule) -> None:
    """MD: mergeDestinationRule. A rule exported to more than an earlier one adds to it and stands for itself too."""
    owner = rule.meta.namespace
    export_to = frozenset(owner if name == "." else name for name in rule.export_to)
    stands_alone = True
    for each in found:
        if each.rule.workload_selector != rule.workload_selector:
            continue
        if each.export_to == export_to or (each.export_to and each.export_to < (export_to or {"*"})):
            each.add(rule)
            stands_alone = each.export_to != export_to
            break
    if stands_alone:
        merged = MergedRule(rule, export_to, None)
        merged.add(rule)
        found.append(merged)


def effective_policy(rule: TrafficPolicy | None, subset: TrafficPolicy | None, port: int) -> EffectivePolicy:
    """The inheritance matrix: a port's entry replaces the whole policy of its level, a subset's blocks replace the
    rule's block by block; of a subset's port entry the absent ones too."""
    at_port = port_entry(rule, port)
    if at_port is not None:
        inherited = _blocks(at_port, _PORT_BLOCKS)
    else:
        inherited = _blocks(rule, _PORT_BLOCKS + _RULE_BLOCKS)
    if subset is not None:
        entry = port_entry(subset, port)
        if entry is not None:
            inherited |= _blocks(entry, _PORT_BLOCKS)
        else:
            own = _blocks(subset, _PORT_BLOCKS + _RULE_BLOCKS)
            inherited |= {name: block for name, block in own.items() if block is not None}
    return EffectivePolicy(**inherited)


def _blocks(policy: TrafficPolicy | PortTrafficPolicy | None, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(policy, name, None) for name in names}


def port_entry(policy: TrafficPolicy | None, port: int) -> PortTrafficPolicy | None:
    entries = policy.port_level_settings if policy is not None else ()
    return next((entry for entry in entries if entry.port is not None and entry.port.number == port), None)
