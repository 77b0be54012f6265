"""A VirtualService's HTTP rules to routes, for one scope: every (rule, match block) pair that can apply, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from meshproxy.base.origin import Origin
from meshproxy.compiler.header_ops import HeaderChanges, build_headers, or_none
from meshproxy.compiler.matches import asks_for_claims, build_conditions, build_path, catches_all, condition_lines
from meshproxy.compiler.policies import (
    build_cors,
    build_direct_response,
    build_fault,
    build_redirect,
    build_retry,
    build_rewrite,
    share,
)
from meshproxy.compiler.report import UnusableError
from meshproxy.compiler.scope import Scope
from meshproxy.model.destination import Destination as Written
from meshproxy.model.destination import HTTPRouteDestination
from meshproxy.model.hosts import cluster_name, resolve_host
from meshproxy.model.http_match import HTTPMatchRequest
from meshproxy.model.virtual_service import HTTPRoute, VirtualService
from meshproxy.plan.hashing import HashPolicy
from meshproxy.plan.match import PathMatch
from meshproxy.plan.retry import DEFAULT, Retry
from meshproxy.plan.route import Action, Destination, Forward, Mirror, Route, Skipped


def build_routes(service: VirtualService, scope: Scope) -> tuple[Route, ...]:
    """All routes of `service` in `scope`; none where no block can apply there: it then counts as absent."""
    routes: list[Route] = []
    owner = service.meta.namespace
    for rule in service.http:
        for index, block in _blocks(rule):
            if block is not None and why_skipped(block, scope, owner) is not None:
                continue
            try:
                route = _route(rule, index, block, scope, owner)
            except UnusableError as error:
                scope.report.unusable(error)
                continue
            routes.append(route)
            if block is None or catches_all(route.path, route.conditions):
                return tuple(routes)  # nothing behind it can be reached
    return tuple(routes)


def default_route(host: str, port: int, origin: Origin | None, scope: Scope) -> Route:
    """Of a service that no VirtualService governs."""
    policy = scope.hashing.of_service(host, port)
    destination = Destination(cluster=cluster_name(port, "", host), host=host, port=port)
    return Route(
        name="default",
        origin=origin,
        action=_forward((destination,)),
        retry=replace(DEFAULT, avoid_previous_hosts=False) if policy is not None else DEFAULT,
        hashes=(policy,) if policy is not None else (),
        service=host,
    )


def _blocks(rule: HTTPRoute) -> Iterator[tuple[int | None, HTTPMatchRequest | None]]:
    yield from enumerate(rule.match) if rule.match else ((None, None),)


def skipped_blocks(service: VirtualService, scope: Scope, first: int = 0) -> tuple[Skipped, ...]:
    """The match blocks that `build_routes` leaves out in `scope`. `first` is the number of routes that the virtual
    host has already."""
    found: list[Skipped] = []
    owner = service.meta.namespace
    before = first
    for rule in service.http:
        for index, block in _blocks(rule):
            why = why_skipped(block, scope, owner) if block is not None else None
            if block is None or index is None or why is None:
                before += 1
                continue
            origin = block.at.field(why[0])
            found.append(
                Skipped(
                    name=_name(rule, block),
                    origin=block.at.origin,
                    match_index=index,
                    reason=why[1],
                    line=(origin.file, origin.line),
                    before=before,
                )
            )
    return tuple(found)


def why_skipped(block: HTTPMatchRequest, scope: Scope, owner: str) -> tuple[str, str] | None:
    """Field and reason for which the block can take nothing here, whatever the request."""
    if asks_for_claims(block, scope.report):
        return "headers", "it asks for claims of a JWT, which nothing verifies here"
    return scope.why_not(block, owner)


def _name(rule: HTTPRoute, block: HTTPMatchRequest | None) -> str:
    return f"{rule.name}.{block.name}" if block is not None and block.name else rule.name


def _route(rule: HTTPRoute, index: int | None, block: HTTPMatchRequest | None, scope: Scope, owner: str) -> Route:
    path, ignore_case = build_path(block)
    changes = build_headers(rule.headers, scope.report)
    if len(rule.route) == 1:
        changes = changes.then(build_headers(rule.route[0].headers, scope.report))
    action = _action(rule, path, scope, owner)
    forwards = isinstance(action, Forward)
    timeout = rule.timeout or None if forwards else None
    hashes = tuple(_hashes(rule, scope, owner)) if forwards else ()
    return Route(
        name=_name(rule, block),
        origin=(block or rule).at.origin,
        action=action,
        path=path,
        ignore_case=ignore_case,
        conditions=build_conditions(block) if block is not None else (),
        rewrite=build_rewrite(rule.rewrite, path, changes.authority) if forwards else None,
        request_headers=or_none(changes.request) if forwards else None,
        response_headers=or_none(changes.response),
        timeout=timeout,
        retry=_retry(rule, timeout, hashed=bool(hashes)) if forwards else None,
        hashes=hashes,
        fault=build_fault(rule.fault) if forwards else None,
        cors=build_cors(rule.cors_policy) if forwards else None,
        mirrors=tuple(_mirrors(rule, scope, owner)) if forwards else (),
        match_index=index,
        rule=rule.at.origin if block is not None else None,
        lines=condition_lines(block, path) if block is not None else (),
        service=scope.service,
    )


def _action(rule: HTTPRoute, path: PathMatch | None, scope: Scope, owner: str) -> Action:
    """Validation refuses more than one of them; translation has this order."""
    if rule.redirect is not None:
        return build_redirect(rule.redirect, path, scope.port)
    if rule.direct_response is not None:
        return build_direct_response(rule.direct_response)
    if not rule.route:
        raise UnusableError("the rule has no route", rule.at.origin)
    if len(rule.route) == 1:
        return _forward((_destination(rule.route[0], 1, None, scope, owner),))
    weighted = [
        _destination(each, each.weight, build_headers(each.headers, scope.report), scope, owner)
        for each in rule.route
        if each.weight > 0
    ]
    if not weighted:
        raise UnusableError("the weights of the destinations sum up to 0", rule.at.field("route"))
    return _forward(tuple(weighted))


def _forward(destinations: tuple[Destination, ...]) -> Forward:
    return Forward(destinations, sum(each.weight for each in destinations))


def _destination(
    written: HTTPRouteDestination, weight: int, changes: HeaderChanges | None, scope: Scope, owner: str
) -> Destination:
    if written.destination is None:
        raise UnusableError("destination is required", written.at.origin)
    cluster, host, port = _cluster(written.destination, scope, owner)
    return Destination(
        cluster=cluster,
        host=host,
        subset=written.destination.subset,
        port=port,
        weight=weight,
        request_headers=or_none(changes.request) if changes is not None else None,
        response_headers=or_none(changes.response) if changes is not None else None,
        authority=changes.authority if changes is not None else None,
    )


def _hashes(rule: HTTPRoute, scope: Scope, owner: str) -> Iterator[HashPolicy]:
    """What each destination that can be chosen wants to be hashed."""
    for each in rule.route:
        written = each.destination
        if written is None or (len(rule.route) > 1 and not each.weight):
            continue
        port = written.port.number if written.port is not None else None
        policy = scope.hashing.of_destination(resolve_host(written.host, owner), written.subset, port or None)
        if policy is not None:
            yield policy


def _retry(rule: HTTPRoute, timeout: float | None, *, hashed: bool) -> Retry | None:
    """Retries of a hashed request stay with its endpoint, unless `retryIgnorePreviousHosts` is written."""
    retry = build_retry(rule.retries, timeout)
    insists = rule.retries is not None and rule.retries.retry_ignore_previous_hosts
    if retry is None or insists or not hashed or len(rule.route) != 1:
        return retry
    return replace(retry, avoid_previous_hosts=False)


def _cluster(written: Written, scope: Scope, owner: str) -> tuple[str, str, int]:
    host, port = scope.destination(written, owner)
    return cluster_name(port, written.subset, host), host, port


def _mirrors(rule: HTTPRoute, scope: Scope, owner: str) -> Iterator[Mirror]:
    """`mirror` with its percentage (the deprecated `mirrorPercent` where that is absent), and `mirrors`."""
    policies = [(each.destination, share(each.percentage, 100)) for each in rule.mirrors]
    if rule.mirror is not None:
        absent = 100 if rule.mirror_percent is None else rule.mirror_percent
        policies.insert(0, (rule.mirror, share(rule.mirror_percentage, absent)))
    for written, portion in policies:
        if written is not None and portion:
            cluster, host, port = _cluster(written, scope, owner)
            yield Mirror(
                cluster=cluster,
                host=host,
                subset=written.subset,
                port=port,
                share=portion,
                shadow_suffix=scope.shadow_host_suffix,
            )
