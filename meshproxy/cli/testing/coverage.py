"""Which rules and match blocks no case reached, and what of them no case asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshproxy.base.message import Request
from meshproxy.base.origin import Origin
from meshproxy.model.catalog import Catalog
from meshproxy.model.virtual_service import HTTPRoute
from meshproxy.plan.explain import Decision, why_not
from meshproxy.plan.route import Route
from meshproxy.plan.snapshot import Snapshot

_NO_HOST = "no case asks for its host"
_Key = tuple[str, str]
"""Resource and path: what a block is known by, whichever listener it is compiled for."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A match block (or a rule without any) that no case reached. `why`: what no case had, in words."""

    virtual_service: str
    rule: int
    name: str
    match: int | None
    origin: Origin
    why: tuple[str, ...]

    def __str__(self) -> str:
        match = f", match {self.match}" if self.match is not None else ""
        name = f" ({self.name})" if self.name else ""
        return f"{self.virtual_service} rule {self.rule}{name}{match}"


@dataclass(frozen=True, slots=True)
class Covered:
    """`total` counts match blocks, a rule without any as one."""

    total: int
    missed: tuple[Missed, ...]

    @property
    def percent(self) -> float:
        return 100 * (self.total - len(self.missed)) / self.total if self.total else 100.0


def cover(catalog: Catalog, snapshots: Iterable[Snapshot], decisions: Iterable[Decision]) -> Covered:
    """What `decisions`, made in `snapshots`, leave of the rules of `catalog`."""
    decisions = tuple(decisions)
    routes = {_key(route.origin): route for snapshot in snapshots for route in _routes(snapshot) if route.origin}
    reached = {_key(d.route.origin) for d in decisions if d.route is not None and d.route.origin is not None}
    # a delegate's rule without matches stands in its root's match: known by its own place
    reached |= {_key(d.route.rule) for d in decisions if d.route is not None and d.route.rule is not None}
    requests = [d.request for d in decisions]
    asked = set(_asked(decisions))
    total, missed = 0, []
    for service in catalog.virtual_services:
        for number, rule in enumerate(service.http):
            for match, origin in _blocks(rule):
                total += 1
                if _key(origin) not in reached:
                    route = routes.get(_key(origin))
                    hostless = route is not None and origin.resource not in asked
                    why = (_NO_HOST,) if hostless else tuple(_why(route, requests))
                    missed.append(Missed(service.meta.full_name, number, rule.name, match, origin, why))
    return Covered(total, tuple(missed))


def _asked(decisions: Iterable[Decision]) -> Iterator[str]:
    """The resources that have a rule for a host that was asked for."""
    for host in {id(d.virtual_host): d.virtual_host for d in decisions}.values():
        for route in host.routes.routes if host is not None else ():
            yield from (origin.resource for origin in (route.origin, route.rule) if origin is not None)


def _blocks(rule: HTTPRoute) -> Iterator[tuple[int | None, Origin]]:
    """A rule that delegates is reached where its delegate's are."""
    if rule.delegate is not None:
        return
    if not rule.match:
        yield None, rule.at.origin
    for index, block in enumerate(rule.match):
        yield index, block.at.origin


def _key(origin: Origin | None) -> _Key:
    return (origin.resource, origin.path) if origin is not None else ("", "")


def _routes(snapshot: Snapshot) -> Iterator[Route]:
    for listener in snapshot.http_listeners:
        for host in listener.virtual_hosts.hosts:
            yield from host.routes.routes


def _why(route: Route | None, requests: list[Request]) -> Iterator[str]:
    """The conditions that no request fulfils, else that none fulfils all of them."""
    if route is None:
        yield "no request can reach it here"
        return
    lacking = []
    path = route.path
    if path is not None and not any(path.matches(r.path.lower() if route.ignore_case else r.path) for r in requests):
        lacking.append(f"uri {path.describe()}")
    for condition in route.conditions:
        if requests and not any(map(condition.holds, requests)):
            said, _, _ = condition.explain(requests[0]).rpartition(", got")
            lacking.append(said.replace(": wanted", ""))
    if lacking:
        yield from (f"no case has {each}" for each in lacking)
    elif any(why_not(route, request) is None for request in requests):
        yield "an earlier rule, or another host, takes the cases that have it all"
    else:
        yield "no case has all of it at once"
