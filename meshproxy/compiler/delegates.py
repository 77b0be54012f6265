"""Delegation: the rules of a VirtualService with those of its delegates in their place (Istio: mergeHTTPRoutes).

One level only. A delegate must be visible to its root; what cannot be merged is left out and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from meshproxy.compiler.report import DELEGATION, Report
from meshproxy.model.destination import Destination
from meshproxy.model.hosts import is_exported, resolve_gateway, resolve_host
from meshproxy.model.http_match import HTTPMatchRequest, StringMatch
from meshproxy.model.virtual_service import HTTPRoute, VirtualService

Delegates = Mapping[tuple[str, str], VirtualService]
"""By namespace and name."""

Blocks = tuple[HTTPMatchRequest, ...]

_INHERITED = (
    "rewrite direct_response timeout retries fault mirror mirrors mirror_percent mirror_percentage cors_policy headers"
).split()
_STRINGS = "uri scheme method authority".split()
_MAPS = "headers without_headers query_params".split()


def find_delegates(services: Iterable[VirtualService]) -> Delegates:
    """A VirtualService without hosts is one; of two with a name the first counts."""
    found: dict[tuple[str, str], VirtualService] = {}
    for service in services:
        if not service.hosts:
            found.setdefault((service.meta.namespace, service.meta.name), service)
    return found


def expand(root: VirtualService, delegates: Delegates, report: Report) -> VirtualService:
    """`root` with every delegating rule replaced by what it and its delegate come to."""
    if all(rule.delegate is None for rule in root.http):
        return root
    rules: list[HTTPRoute] = []
    for rule in root.http:
        rules += _merged_rules(root, rule, delegates, report) if rule.delegate is not None else (rule,)
    return replace(root, http=tuple(rules))


def _merged_rules(root: VirtualService, rule: HTTPRoute, delegates: Delegates, report: Report) -> Iterator[HTTPRoute]:
    delegate = rule.delegate
    if delegate is None:
        return
    owner = root.meta.namespace
    key = (delegate.namespace or owner, delegate.name)
    leaf = delegates.get(key)
    if leaf is None or not is_exported(leaf.export_to, leaf.meta.namespace, owner):
        what = "there is no such VirtualService without hosts" if leaf is None else "its exportTo hides it from here"
        message = f"the delegate {'/'.join(key)} is not found ({what}): the rule is left out"
        report.warn(DELEGATION, message, delegate.at.origin)
        return
    rule = _with_full_names(rule, owner)
    for written in leaf.http:
        if written.delegate is not None:
            report.warn(DELEGATION, "a delegate cannot delegate: the rule is left out", written.delegate.at.origin)
            continue
        each = _with_full_names(written, leaf.meta.namespace)
        blocks = _merged_blocks(rule.match, each.match)
        if blocks is None:
            message = f"its matches conflict with those of the rule that delegates here ({rule.at.origin}): left out"
            report.warn(DELEGATION, message, each.at.origin)
            continue
        inherited = {name: getattr(each, name) or getattr(rule, name) for name in _INHERITED}
        yield replace(each, name=_joined(rule.name, each.name), match=blocks, **inherited)


def _with_full_names(rule: HTTPRoute, namespace: str) -> HTTPRoute:
    """Hosts and gateways as they are meant in `namespace`: what is merged may come from another one."""

    def full(destination: Destination | None) -> Destination | None:
        return replace(destination, host=resolve_host(destination.host, namespace)) if destination else None

    return replace(
        rule,
        match=tuple(
            replace(block, gateways=tuple(resolve_gateway(name, namespace) for name in block.gateways))
            for block in rule.match
        ),
        route=tuple(replace(each, destination=full(each.destination)) for each in rule.route),
        mirror=full(rule.mirror),
        mirrors=tuple(replace(each, destination=full(each.destination)) for each in rule.mirrors),
    )


def _merged_blocks(root: Blocks, leaf: Blocks) -> Blocks | None:
    """Every block of the leaf with every block of the root it agrees with; None if any agrees with none."""
    if not root or not leaf:
        return root or leaf
    found: list[HTTPMatchRequest] = []
    for block in leaf:
        agreeing = [other for other in root if not _conflict(other, block)]
        if not agreeing:
            return None
        found += (_merged_block(other, block) for other in agreeing)
    return tuple(found)


def _merged_block(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    merged: dict[str, Any] = {"name": _joined(root.name, leaf.name)}
    for name in _STRINGS:
        merged[name] = getattr(leaf, name) if getattr(leaf, name) is not None else getattr(root, name)
    for name in (*_MAPS, "source_labels"):
        merged[name] = {**getattr(root, name), **getattr(leaf, name)}
    for name in ("port", "source_namespace", "gateways", "stat_prefix"):
        merged[name] = getattr(leaf, name) or getattr(root, name)
    return replace(leaf, **merged)


def _joined(root: str, leaf: str) -> str:
    return "-".join(name for name in (root, leaf) if name)


def _conflict(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    return (
        any(_strings_conflict(getattr(root, name), getattr(leaf, name)) for name in _STRINGS)
        or any(
            _strings_conflict(match, getattr(leaf, name).get(key))
            for name in _MAPS
            for key, match in getattr(root, name).items()
        )
        or root.ignore_uri_case != leaf.ignore_uri_case
        or bool(root.port and leaf.port and root.port != leaf.port)
        or bool(root.source_namespace and root.source_namespace != leaf.source_namespace)
        or any(leaf.source_labels.get(key, value) != value for key, value in root.source_labels.items())
        or bool(root.gateways and leaf.gateways and not set(leaf.gateways) <= set(root.gateways))
    )


def _strings_conflict(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Whether the leaf's condition is not plainly inside of the root's."""
    if root is None or leaf is None:
        return False
    if root.exact is not None:
        return leaf.exact != root.exact
    if root.prefix is not None:
        inner = leaf.exact if leaf.exact is not None else leaf.prefix
        return inner is None or not inner.startswith(root.prefix)
    return True  # a pattern or a presence test against anything
