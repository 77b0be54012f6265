"""From a request head to its route, at a cost that does not grow with the number of rules.

`VirtualHosts` finds the virtual host of a Host value: exact, then the longest suffix wildcard (`*.foo.com`), then
the longest prefix wildcard, then `*`. `RouteTable` finds the first route, in the order written, whose conditions hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.base.message import Request
from meshproxy.base.origin import Origin
from meshproxy.plan.route import Route


class RouteTable:
    """Routes in first-match order."""

    __slots__ = ("routes",)

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes

    def find(self, request: Request) -> Route | None:
        raise NotImplementedError

    def candidates(self, request: Request) -> Iterator[Route]:
        """For explain: every route, in order, up to and with the one that `find` gives."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """`domains` in lower case, with or without `:port`. `port` is the service port it stands for (0: none)."""

    name: str
    domains: tuple[str, ...]
    routes: RouteTable
    port: int = 0
    origin: Origin | None = None
    virtual_service: str = ""  # namespace/name


class VirtualHosts:
    """Virtual hosts by domain; the first one that claims a domain has it."""

    __slots__ = ("hosts",)

    def __init__(self, hosts: tuple[VirtualHost, ...]) -> None:
        self.hosts = hosts

    def find(self, host: bytes) -> VirtualHost | None:
        """By a Host value as received: letter case is ignored; with a port, `host:port` is looked for before
        `host`."""
        raise NotImplementedError
