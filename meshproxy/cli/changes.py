"""What two snapshots do differently, rule by rule, each with a request that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from meshproxy.base.message import Request
from meshproxy.cli.outcome import differences, outcome
from meshproxy.cli.witness import witness
from meshproxy.plan.explain import explain, rule_of
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import VirtualHost

_LOOSE = b"any-host.example"
"""Stands for the host of a virtual host that takes any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One rule. `kind` is added, removed, moved or changed; `request` shows it: subject → before and after."""

    kind: str
    rule: str
    place: str
    listener: str
    request: Request
    differences: dict[str, tuple[str, str]]


def changes(old: Snapshot, new: Snapshot) -> list[Change]:
    """All rules of which a request tells, each once: those of `new` in their order, then those that are gone."""
    found: list[Change] = []
    seen: set[object] = set()
    for change, names in chain(_seen_from(new, old, added="added"), _seen_from(old, new, added="removed")):
        if seen.isdisjoint(names):
            found.append(change)
        seen.update(names)
    return found


_Told = tuple[Change, tuple[object, ...]]
"""A change, and what its rule is known by on both sides."""


def _seen_from(here: Snapshot, there: Snapshot, *, added: str) -> Iterator[_Told]:
    """The changes that the rules of `here` show; `added` is what a rule is that `there` lacks."""
    listeners = {listener.name: listener for listener in there.listeners}
    for listener in here.listeners:
        other = listeners.get(listener.name)
        for host in listener.virtual_hosts.hosts:
            authority = _authority(host)
            opposite = other.virtual_hosts.find(authority) if other is not None else None
            theirs = opposite.routes.routes if opposite is not None else ()
            yield from _of_host(_Sides(here, there, listener, host, theirs, added), authority)


@dataclass(frozen=True, slots=True)
class _Sides:
    here: Snapshot
    there: Snapshot
    listener: Listener
    host: VirtualHost
    theirs: Sequence[Route]
    added: str


def _of_host(sides: _Sides, authority: bytes) -> Iterator[_Told]:
    twins = _Twins(sides.theirs)
    for route in sides.host.routes.routes:
        request = witness(sides.host, route, authority)
        if request is None:
            continue  # no request tells of it
        ours = outcome(explain(sides.here, sides.listener.name, request))
        decision = explain(sides.there, sides.listener.name, request)
        theirs = outcome(decision)
        if ours == theirs:
            continue
        twin = twins.of(route)
        moved = twin is not None and twin is not decision.route and _asks(twin) == _asks(route)
        change = Change(
            kind=sides.added if twin is None else "moved" if moved else "changed",
            rule=rule_name(route, sides.host),
            place=str(route.origin) if route.origin is not None else "",
            listener=sides.listener.name,
            request=request,
            differences=differences(ours, theirs) if sides.added == "removed" else differences(theirs, ours),
        )
        yield change, tuple(_identity(each) for each in (route, twin) if each is not None)


class _Twins:
    """The routes of the other side, by what makes them the same rule: its name, else what it asks."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_identity = {_identity(each): each for each in reversed(routes)}
        self._asking = {_asks(each): each for each in reversed(routes)}

    def of(self, route: Route) -> Route | None:
        return self._by_identity.get(_identity(route)) or self._asking.get(_asks(route))


def _identity(route: Route) -> object:
    named = (route.name, route.match_index) if route.name else _asks(route)
    return route.service if _resource(route) == "" else _resource(route), named


def _asks(route: Route) -> object:
    return route.path, route.ignore_case, route.conditions


def _resource(route: Route) -> str:
    return route.origin.resource if route.origin is not None else ""


def rule_name(route: Route, host: VirtualHost) -> str:
    """`default/reviews rule 1 (canary)`, or whose default route it is."""
    origin = rule_of(route)
    if origin is None or origin.rule is None:
        return f"{host.name} (the service's own route)"
    match = f".{route.match_index}" if route.match_index else ""
    name = f" ({route.name})" if route.name else ""
    return f"{origin.resource.rpartition(' ')[2]} rule {origin.rule}{match}{name}"


def _authority(host: VirtualHost) -> bytes:
    """A name that finds `host`, the one with the port where both do."""
    plain = [domain for domain in host.domains if "*" not in domain]
    if plain:
        named = [domain for domain in plain if domain.endswith(f":{host.port}")]
        return (named or plain)[0].encode()
    return host.domains[0].encode().replace(b"*", b"any" if len(host.domains[0]) > 1 else _LOOSE)
