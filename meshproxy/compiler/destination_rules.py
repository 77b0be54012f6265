"""Which DestinationRule applies to a service, and what its traffic policies come to for a port and a subset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshproxy.base.origin import Origin
from meshproxy.compiler.registry import Service
from meshproxy.compiler.selection import has_labels
from meshproxy.model.connection_pool import ConnectionPoolSettings
from meshproxy.model.destination_rule import DestinationRule, Subset
from meshproxy.model.hosts import is_exported, is_wildcard, resolve_host
from meshproxy.model.load_balancer import LoadBalancerSettings
from meshproxy.model.traffic_policy import PortTrafficPolicy, TrafficPolicy

ROOT_NAMESPACE = "istio-system"


@dataclass(slots=True)
class MergedRule:
    """DestinationRules of one host, namespace, exportTo and selector: subsets united, the first policy kept."""

    rule: DestinationRule
    export_to: frozenset[str]
    policy: TrafficPolicy | None
    subsets: dict[str, Subset] = field(default_factory=dict)

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
        for subset in rule.subsets:
            self.subsets.setdefault(subset.name, subset)
        if self.policy is None:
            self.policy = rule.traffic_policy


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The blocks that hold for one cluster, each taken as a whole."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class DestinationRules:
    """All rules, as one workload looks them up."""

    def __init__(self, rules: Iterable[DestinationRule], namespace: str, labels: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._labels = labels
        self._pools: dict[str, dict[str, list[MergedRule]]] = defaultdict(dict)
        # rules with a selector first, else in the catalog's order
        for rule in sorted(rules, key=lambda rule: rule.workload_selector is None):
            owner = rule.meta.namespace
            _merge(self._pools[owner].setdefault(resolve_host(rule.host, owner), []), rule)

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
    base = _port_entry(rule, port) or rule
    inherited = EffectivePolicy(base.load_balancer, base.connection_pool) if base is not None else EffectivePolicy()
    if subset is None:
        return inherited
    entry = _port_entry(subset, port)
    if entry is not None:
        return EffectivePolicy(entry.load_balancer, entry.connection_pool)
    return EffectivePolicy(
        subset.load_balancer or inherited.load_balancer, subset.connection_pool or inherited.connection_pool
    )


def _port_entry(policy: TrafficPolicy | None, port: int) -> PortTrafficPolicy | None:
    entries = policy.port_level_settings if policy is not None else ()
    return next((entry for entry in entries if entry.port is not None and entry.port.number == port), None)
