"""DestinationRules: hosts that are not there, policies that never act, TLS that verifies nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.names import host_hint
from meshproxy.analysis.view import Check, View, covers_either_way, full_host, selects
from meshproxy.model.connection_pool import ClientTLSSettings, OutlierDetection
from meshproxy.model.destination_rule import DestinationRule, Subset
from meshproxy.model.hosts import host_matches, is_wildcard
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.traffic_policy import PortTrafficPolicy, TrafficPolicy

_BLOCKS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
_RULE_BLOCKS = (*_BLOCKS, "tunnel", "proxy_protocol", "retry_budget")
_MAX_EJECTION_PERCENT = 10


def check_hosts(view: View) -> Iterator[Problem]:
    """IST0174: a host nobody knows."""
    for rule in view.catalog.destination_rules:
        host = full_host(rule)
        if not rule.host or view.look_up(host, rule.meta.namespace, rule.export_to) or not view.decidable(host):
            continue
        if is_wildcard(host) and any(covers_either_way(known, host) for known in view.hosts_by_name):
            continue
        meant = f', that is "{host}"' if host != rule.host else ""
        hint = host_hint(rule.host, host, rule.meta.namespace, view.hosts)
        yield finding(
            "IST0174",
            f'host not found: "{rule.host}"{meant}, so this rule acts on nothing{hint}',
            rule.at.field("host"),
        )


def check_tls(view: View) -> Iterator[Problem]:
    """IST0128, IST0129, MPX0128."""
    for rule in view.catalog.destination_rules:
        policy = rule.traffic_policy
        if policy is None:
            continue
        if policy.tls is not None:
            yield from _check_tls(rule, policy.tls, "IST0128", f'"{rule.host}"')
        for settings in policy.port_level_settings:
            if settings.tls is not None:
                port = settings.port.number if settings.port is not None else 0
                yield from _check_tls(rule, settings.tls, "IST0129", f'"{rule.host}:{port}"')


def _check_tls(rule: DestinationRule, tls: ClientTLSSettings, code: str, host: str) -> Iterator[Problem]:
    if tls.mode not in ("SIMPLE", "MUTUAL"):
        return
    unread = bool(tls.credential_name) and rule.workload_selector is None
    if not tls.ca_certificates and (unread or not tls.credential_name):
        message = f"TLS mode {tls.mode} for {host} without caCertificates: set them to verify the server"
        yield finding(code, message, tls.at.field("mode"))
    if unread:
        message = f"credentialName is only read where workloadSelector is set: sidecars send to {host} in plain text"
        yield finding("MPX0128", message, tls.at.field("credential_name"))


def check_merging(view: View) -> Iterator[Problem]:
    """MPX0123, MPX0124: of several DestinationRules of one host and namespace, what the merging leaves out."""
    groups: dict[tuple[object, ...], list[DestinationRule]] = defaultdict(list)
    for rule in view.catalog.destination_rules:
        selector = rule.workload_selector.match_labels if rule.workload_selector is not None else {}
        key = (rule.meta.namespace, full_host(rule), frozenset(rule.export_to), frozenset(selector.items()))
        groups[key].append(rule)
    for rules in groups.values():
        policy: DestinationRule | None = None
        subsets: dict[str, DestinationRule] = {}
        for rule in rules:
            yield from _left_out(rule, policy, subsets)
            if rule.traffic_policy is not None:
                policy = policy or rule
            for subset in rule.subsets:
                subsets.setdefault(subset.name, rule)


def _left_out(
    rule: DestinationRule, policy: DestinationRule | None, subsets: dict[str, DestinationRule]
) -> Iterator[Problem]:
    lost = [subset for subset in rule.subsets if subset.name in subsets]
    loses_policy = policy is not None and rule.traffic_policy is not None
    keeps = len(lost) < len(rule.subsets) or (rule.traffic_policy is not None and policy is None)
    if (lost or loses_policy) and not keeps:
        earlier = policy or subsets[lost[0].name]
        message = f'never applies: {earlier} ({earlier.meta.at.origin}) comes first for "{rule.host}" and has it all'
        yield finding("MPX0123", message, rule.at.field("host"))
        return
    if policy is not None and rule.traffic_policy is not None:
        message = (
            f'trafficPolicy never applies: that of {policy} ({policy.meta.at.origin}) comes first for "{rule.host}", '
            f"and policies are not merged"
        )
        yield finding("MPX0124", message, rule.traffic_policy.at.origin)
    for subset in lost:
        first = subsets[subset.name]
        message = f'subset "{subset.name}" never applies: that of {first} ({first.meta.at.origin}) comes first'
        yield finding("MPX0124", message, subset.at.field("name"))


def check_hidden(view: View) -> Iterator[Problem]:
    """MPX0123: a wildcard rule all of whose services have a narrower rule beside it."""
    for rule in view.catalog.destination_rules:
        host = full_host(rule)
        if not is_wildcard(host) or rule.workload_selector is not None:
            continue
        covered = [name for name in view.hosts_by_name if host_matches(name, host)]
        narrower = [name for name in covered if any(_beats(other, rule) for other in view.rules_by_host.get(name, ()))]
        if covered and len(covered) == len(narrower):
            message = (
                f'never applies: each service "{rule.host}" covers ({", ".join(sorted(covered)[:3])}) has a narrower '
                f"DestinationRule in this namespace, and only the narrowest acts"
            )
            yield finding("MPX0123", message, rule.at.field("host"))


def _beats(other: DestinationRule, rule: DestinationRule) -> bool:
    return other.meta.namespace == rule.meta.namespace and other.workload_selector is None


def check_ports(view: View) -> Iterator[Problem]:
    """MPX0125: portLevelSettings replace, they do not add."""
    for rule in view.catalog.destination_rules:
        top = rule.traffic_policy
        if top is not None:
            for settings in top.port_level_settings:
                yield from _dropped(settings, [name for name in _RULE_BLOCKS if getattr(top, name) is not None])
        for subset in rule.subsets:
            own = subset.traffic_policy
            for settings in own.port_level_settings if own is not None else ():
                set_above = [n for n in _BLOCKS if getattr(top, n, None) is not None or getattr(own, n) is not None]
                yield from _dropped(settings, set_above)


def _dropped(settings: PortTrafficPolicy, above: Sequence[str]) -> Iterator[Problem]:
    lost = [json_name(name) for name in above if getattr(settings, name, None) is None]
    if lost:
        port = settings.port.number if settings.port is not None else 0
        message = f"on port {port} this replaces the whole policy: {', '.join(lost)} set above does not act there"
        again = [name for name in lost if name in map(json_name, _BLOCKS)]
        advice = f"; write {', '.join(again)} here again if it shall" if again else ""
        yield finding("MPX0125", message + advice, settings.at.origin)


def check_outliers(view: View) -> Iterator[Problem]:
    """MPX0126: with few endpoints one is more than maxEjectionPercent allows."""
    for rule in view.catalog.destination_rules:
        hosts = view.look_up(full_host(rule), rule.meta.namespace, rule.export_to)
        endpoints = [labels for host in hosts for labels in view.endpoints(host)]
        if not endpoints:
            continue
        policies: list[tuple[TrafficPolicy | PortTrafficPolicy, Subset | None]] = []
        for policy, subset in ((rule.traffic_policy, None), *((each.traffic_policy, each) for each in rule.subsets)):
            if policy is not None:
                policies += [(policy, subset), *((settings, subset) for settings in policy.port_level_settings)]
        for settings, subset in policies:
            if settings.outlier_detection is not None:
                chosen = [labels for labels in endpoints if subset is None or selects(subset.labels, labels)]
                yield from _check_outlier(settings.outlier_detection, len(chosen))


def _check_outlier(detection: OutlierDetection, count: int) -> Iterator[Problem]:
    allowed = detection.max_ejection_percent or _MAX_EJECTION_PERCENT
    if count and 100 / count > allowed:
        default = "" if detection.max_ejection_percent else ", the default"
        message = (
            f"ejects nobody: one of {count} endpoints is {100 / count:.0f}%, more than the maxEjectionPercent of "
            f"{allowed}{default}; set it to {min(100, -(-100 // count))} or more"
        )
        yield finding("MPX0126", message, detection.at.field("max_ejection_percent"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0174",), check_hosts),
    (("IST0128", "IST0129", "MPX0128"), check_tls),
    (("MPX0123", "MPX0124"), check_merging),
    (("MPX0123",), check_hidden),
    (("MPX0125",), check_ports),
    (("MPX0126",), check_outliers),
)
