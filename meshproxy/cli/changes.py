"""What two snapshots do differently, rule by rule, each with a request that shows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from meshproxy.base.message import Request
from meshproxy.cli.outcome import differences, outcome
from meshproxy.cli.witness import witness
from meshproxy.plan.explain import explain, rule_of
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import VirtualHost

_MOST_SUSPECTS = 100
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
    """All rules of which a request tells, each once: what the rules of `new` show, those of `old`, and what only a
    request that two rules want can show."""
    found: list[Change] = []
    seen: set[object] = set()
    sides = [*_sides(new, old, "added", "removed"), *_sides(old, new, "removed", "added")]
    for change, names in chain(_alone(sides), _between(sides)):
        if seen.isdisjoint(names):
            found.append(change)
        seen.update(names)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """One virtual host here, and what has its name there. `added` is what a rule is that only this side has."""

    here: Snapshot
    there: Snapshot
    listener: Listener
    host: VirtualHost
    opposite: VirtualHost | None
    authority: bytes
    added: str
    removed: str

    @property
    def schemes(self) -> tuple[bytes, ...]:
        return (self.listener.scheme,) if self.listener.is_gateway else (b"http", b"https")

    @property
    def theirs(self) -> Sequence[Route]:
        return self.opposite.routes.routes if self.opposite is not None else ()

    def suspects(self) -> list[Route]:
        """The routes of the other side that are not among ours, or not in the same order."""
        ours = self.host.routes.routes
        known = {*map(_does, ours)} - _moved(*((self.theirs, ours) if self.added == "added" else (ours, self.theirs)))
        return [each for each in self.theirs if _does(each) not in known][:_MOST_SUSPECTS]

    def same(self, request: Request) -> tuple[bool, Route | None]:
        """Whether it makes no difference, and the route that takes it there."""
        taker, found = self.differences(request)
        return not found, taker

    def not_of(self, suspect: Route, request: Request) -> tuple[bool, Route | None]:
        """Whether it shows nothing of `suspect`, and the route that takes it there."""
        taker, found = self.differences(request)
        return not found or taker is not suspect, taker

    def differences(self, request: Request) -> tuple[Route | None, dict[str, tuple[str, str]]]:
        """The route that takes it there, and what differs: before and after."""
        ours = outcome(explain(self.here, self.listener.name, request))
        decision = explain(self.there, self.listener.name, request)
        pair = (outcome(decision), ours) if self.added == "added" else (ours, outcome(decision))
        return decision.route, differences(*pair)


_Told = tuple[Change, tuple[object, ...]]
"""A change, and what its rule is known by on both sides."""


def _sides(here: Snapshot, there: Snapshot, added: str, removed: str) -> Iterator[_Sides]:
    listeners = {listener.name: listener for listener in there.http_listeners}
    for listener in here.http_listeners:
        other = listeners.get(listener.name)
        for host in listener.virtual_hosts.hosts:
            authority = _authority(host)
            yield _Sides(
                here=here,
                there=there,
                listener=listener,
                host=host,
                opposite=other.virtual_hosts.find(authority) if other is not None else None,
                authority=authority,
                added=added,
                removed=removed,
            )


def _alone(sides: list[_Sides]) -> Iterator[_Told]:
    """What each rule shows by a request of its own."""
    for each in sides:
        twins = _Twins(each.theirs)
        for route in each.host.routes.routes:
            request = witness(each.host, route, each.authority, schemes=each.schemes, refused=each.same)
            if request is not None:
                taker, found = each.differences(request)
                yield _told(each, route, twins.of(route), taker, request, found)


def _between(sides: list[_Sides]) -> Iterator[_Told]:
    """What the rules of the other side show that are not in their place here, by requests that a rule here takes."""
    for each in sides:
        twins = _Twins(each.host.routes.routes)
        for suspect in each.suspects():
            for route in each.host.routes.routes:
                refused = partial(each.not_of, suspect)
                request = witness(each.host, route, each.authority, schemes=each.schemes, also=suspect, refused=refused)
                if request is not None:
                    _, found = each.differences(request)
                    yield _told(each, suspect, twins.of(suspect), route, request, found, from_there=True)
                    break


def _told(
    sides: _Sides,
    route: Route,
    twin: Route | None,
    taker: Route | None,
    request: Request,
    found: dict[str, tuple[str, str]],
    *,
    from_there: bool = False,
) -> _Told:
    """`taker` has the request on the side that `route` is not from."""
    alone = sides.removed if from_there else sides.added
    moved = twin is not None and twin is not taker and _asks(twin) == _asks(route)
    host = sides.opposite if from_there and sides.opposite is not None else sides.host
    change = Change(
        kind=alone if twin is None else "moved" if moved else "changed",
        rule=rule_name(route, host),
        place=str(rule_of(route) or ""),
        listener=sides.listener.name,
        request=request,
        differences=found,
    )
    return change, tuple(_identity(each) for each in (route, twin) if each is not None)


def _moved(old: Sequence[Route], new: Sequence[Route]) -> set[object]:
    """What is done on both sides, but not in the same order."""
    places: dict[object, int] = {}
    for place, route in enumerate(new):
        places.setdefault(_does(route), place)
    common = [does for does in map(_does, old) if does in places]
    kept = _ascending([places[does] for does in common])
    return {does for number, does in enumerate(common) if number not in kept}


def _ascending(numbers: Sequence[int]) -> set[int]:
    """The positions of a longest ascending part of `numbers`."""
    ends: list[int] = []  # positions: where ascending parts of each length end lowest
    before: list[int | None] = []
    for position, number in enumerate(numbers):
        length = bisect_left(ends, number, key=numbers.__getitem__)
        before.append(ends[length - 1] if length else None)
        ends[length : length + 1] = [position]
    found: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def _does(route: Route) -> object:
    """What a route asks and does, wherever it is written."""
    return replace(route, name="", origin=None, rule=None, lines=(), match_index=None)


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
