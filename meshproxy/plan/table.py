"""From a request head to its route, at a cost that does not grow with the number of rules.

`VirtualHosts` finds the virtual host of a Host value: exact, then the longest suffix wildcard (`*.foo.com`), then
the longest prefix wildcard, then `*`. `RouteTable` finds the first route, in the order written, whose conditions hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.base.message import Request
from meshproxy.base.origin import Origin
from meshproxy.plan.match import Pattern
from meshproxy.plan.path_index import Numbered, PathIndex, PatternIndex, first_holding
from meshproxy.plan.prefixes import Prefixes
from meshproxy.plan.route import Route, Skipped

_WALKED = 4


class RouteTable:
    """Routes in first-match order.

    Routes are asked by path from up to three indices: paths as written, paths without regard to case, patterns.
    Each names its first route that holds; the earliest of them is the answer.
    """

    __slots__ = ("_folded", "_only", "_patterns", "_walked", "_written", "routes")

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        numbered: list[Numbered] = list(enumerate(routes))
        patterns = [pair for pair in numbered if isinstance(pair[1].path, Pattern)]
        folded = [pair for pair in numbered if pair[1].ignore_case and not isinstance(pair[1].path, Pattern)]
        apart = {index for index, _ in patterns} | {index for index, _ in folded}
        self._only = routes[0] if routes and routes[0].catches_all else None
        pathless = len(routes) <= _WALKED and all(route.path is None for route in routes)
        self._walked = routes if pathless else None  # few, and their paths exclude nothing: walking is shortest
        self._written = PathIndex([pair for pair in numbered if pair[0] not in apart])
        self._folded = PathIndex(folded) if folded else None
        self._patterns = PatternIndex(patterns) if patterns else None

    def find(self, request: Request) -> Route | None:
        if self._only is not None:
            return self._only
        if self._walked is not None:
            for route in self._walked:
                for condition in route.conditions:
                    if not condition.holds(request):
                        break
                else:
                    return route
            return None
        found = first_holding(self._written.candidates(request.path), request)
        if self._folded is not None:
            found = first_holding(self._folded.candidates(request.path.lower()), request, found)
        if self._patterns is not None:
            found = self._patterns.first_holding(request, found)
        return found[1] if found is not None else None

    def candidates(self, request: Request) -> Iterator[Route]:
        """For explain: every route, in order, up to and with the one that `find` gives."""
        found = self.find(request)
        for route in self.routes:
            yield route
            if route is found:
                return

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteTable) and other.routes == self.routes

    def __hash__(self) -> int:
        return hash(self.routes)

    def __repr__(self) -> str:
        return f"RouteTable({self.routes!r})"

    def __reduce__(self) -> tuple[type[RouteTable], tuple[tuple[Route, ...]]]:
        return RouteTable, (self.routes,)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """`domains` in lower case, with or without `:port`. `port` is the service port it stands for (0: none)."""

    name: str
    domains: tuple[str, ...]
    routes: RouteTable
    port: int = 0
    origin: Origin | None = None
    virtual_service: str = ""  # namespace/name
    skipped: tuple[Skipped, ...] = ()


class _Wildcards:
    """Virtual hosts by what stands before their `*`, or, read from the end, behind it; `*` is never empty."""

    __slots__ = ("_hosts", "_prefixes")

    def __init__(self, hosts: dict[bytes, VirtualHost]) -> None:
        self._prefixes = Prefixes(hosts)
        self._hosts = [hosts[key] for key in self._prefixes.keys]

    def find(self, text: bytes) -> VirtualHost | None:
        index = self._prefixes.longest(text[:-1])
        return self._hosts[index] if index >= 0 else None


class VirtualHosts:
    """Virtual hosts by domain; the first one that claims a domain has it."""

    __slots__ = ("_any", "_before", "_behind", "_exact", "hosts")

    def __init__(self, hosts: tuple[VirtualHost, ...]) -> None:
        self.hosts = hosts
        self._any: VirtualHost | None = None
        self._exact: dict[bytes, VirtualHost] = {}
        before: dict[bytes, VirtualHost] = {}
        behind: dict[bytes, VirtualHost] = {}
        for host in hosts:
            for domain in host.domains:
                name = domain.lower().encode()
                if name == b"*":
                    self._any = self._any or host
                elif name.startswith(b"*"):
                    behind.setdefault(name[:0:-1], host)
                elif name.endswith(b"*"):
                    before.setdefault(name[:-1], host)
                else:
                    self._exact.setdefault(name, host)
        self._before = _Wildcards(before) if before else None
        self._behind = _Wildcards(behind) if behind else None

    def find(self, host: bytes) -> VirtualHost | None:
        """By a Host value as received: letter case is ignored; with a port, `host:port` is looked for before
        `host`."""
        found = self._exact.get(host)
        if found is not None:
            return found
        host = host.lower()
        colon = host.rfind(b":")
        if colon > host.rfind(b"]"):
            found = self._exact.get(host) or (self._behind.find(host[::-1]) if self._behind else None)
            if found is not None:
                return found
            host = host[:colon]
        found = self._exact.get(host)
        if found is None and self._behind is not None:
            found = self._behind.find(host[::-1])
        if found is None and self._before is not None:
            found = self._before.find(host)
        return found if found is not None else self._any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VirtualHosts) and other.hosts == self.hosts

    def __hash__(self) -> int:
        return hash(self.hosts)

    def __repr__(self) -> str:
        return f"VirtualHosts({self.hosts!r})"

    def __reduce__(self) -> tuple[type[VirtualHosts], tuple[tuple[VirtualHost, ...]]]:
        return VirtualHosts, (self.hosts,)
