"""Gateway listeners: the plain HTTP servers of all Gateways we serve, one listener per bind and port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from meshproxy.base.origin import Origin
from meshproxy.compiler.matches import catches_all
from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.policies import https_redirect
from meshproxy.compiler.protocols import Protocol, by_word
from meshproxy.compiler.report import Report
from meshproxy.compiler.routes import build_routes, skipped_blocks
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.selection import has_labels
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.gateway import Gateway, Server
from meshproxy.model.hosts import host_intersection, is_exported
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Route, Skipped
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

_ANY_ADDRESS = "0.0.0.0"
_PRIVILEGED = 1024
_UNPRIVILEGED_BASE = 8000


@dataclass(frozen=True, slots=True)
class _Place:
    """A server and the Gateway it belongs to."""

    gateway: Gateway
    server: Server

    @property
    def number(self) -> int:
        return self.server.port.number if self.server.port is not None else 0

    @property
    def address(self) -> str:
        return self.server.bind or _ANY_ADDRESS

    @property
    def redirects(self) -> bool:
        return self.server.tls is not None and self.server.tls.https_redirect

    def hosts(self, namespace: str) -> Iterator[str]:
        """The server's hosts to which VirtualServices of `namespace` may bind."""
        for written in self.server.hosts:
            owner, slash, host = written.rpartition("/")
            own = self.gateway.meta.namespace if owner == "." else owner
            if not slash or own in ("*", namespace):
                yield host.lower()


@dataclass(slots=True)
class _Domain:
    """A virtual host in the making."""

    origin: Origin
    virtual_service: str = ""
    routes: list[Route] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    redirects: bool = False


def build_gateway_listeners(
    gateways: Iterable[Gateway], bound: tuple[Bound, ...], scope: Scope, options: BuildOptions
) -> tuple[Listener, ...]:
    """Gateways whose selector chooses us; all of them where we have no labels at all."""
    by_gateway: dict[str, list[Bound]] = defaultdict(list)
    for each in bound:
        for name in each.gateways:
            by_gateway[name].append(each)
    selected = [each for each in gateways if not options.labels or has_labels(options.labels, each.selector)]
    return tuple(
        _listener(address, number, places, by_gateway, scope, options)
        for (address, number), places in _http_servers(selected, scope.report).items()
    )


def _http_servers(gateways: Iterable[Gateway], report: Report) -> dict[tuple[str, int], list[_Place]]:
    """Plain HTTP servers by address and port. The first server on a port decides what it speaks; of servers with a
    `tls` block, one that repeats a host of an earlier one is dropped whole (mergeGateways)."""
    found: dict[tuple[str, int], list[_Place]] = defaultdict(list)
    protocols: dict[tuple[str, int], bool] = {}
    tls_hosts: set[tuple[str, int, str]] = set()
    for place in (_Place(gateway, server) for gateway in gateways for server in gateway.servers):
        key = (place.address, place.number)
        is_http = _speaks_http(place, report)
        if protocols.setdefault(key, is_http) and is_http and not _repeats(place, tls_hosts):
            found[key].append(place)
    return found


def _speaks_http(place: _Place, report: Report) -> bool:
    port = place.server.port
    protocol = by_word(port.protocol) if port is not None else Protocol.SNIFFED
    if port is not None and protocol is not Protocol.HTTP:
        report.unsupported(f"a Gateway server of protocol {port.protocol}", port.at.field("protocol"))
        return False
    if place.server.bind.startswith("unix:"):
        report.unsupported("a Gateway server on a Unix socket", place.server.at.field("bind"))
        return False
    return port is not None


def _repeats(place: _Place, tls_hosts: set[tuple[str, int, str]]) -> bool:
    if place.server.tls is None:
        return False
    hosts = {(place.address, place.number, host.rpartition("/")[2].lower()) for host in place.server.hosts}
    repeated = bool(hosts & tls_hosts)
    if not repeated:
        tls_hosts |= hosts
    return repeated


def _listener(
    address: str,
    number: int,
    places: list[_Place],
    by_gateway: dict[str, list[Bound]],
    scope: Scope,
    options: BuildOptions,
) -> Listener:
    domains: dict[str, _Domain] = {}
    for place in places:
        name = place.gateway.meta.full_name
        for each in by_gateway.get(name, ()):
            if is_exported(each.service.export_to, each.namespace, place.gateway.meta.namespace):
                _add(domains, place, each, replace(scope, gateway=name, port=number))
        if place.redirects:
            for written in place.server.hosts:
                host = written.rpartition("/")[2].lower()
                domains.setdefault(host, _Domain(place.server.at.origin)).redirects = True
    host, port = _opened(address, number, options)
    return Listener(
        name=f"{address}_{number}",
        host=host,
        port=port,
        server_port=number,
        virtual_hosts=VirtualHosts(tuple(_virtual_host(name, number, domain) for name, domain in domains.items())),
        is_gateway=True,
        origin=places[0].server.at.origin,
        gateways=tuple(dict.fromkeys(place.gateway.meta.full_name for place in places)),
    )


def _add(domains: dict[str, _Domain], place: _Place, each: Bound, scope: Scope) -> None:
    """The routes of one VirtualService under every name it has in common with the server, the narrower one."""
    both = [host_intersection(host, name) for host in place.hosts(each.namespace) for name in each.hosts]
    for host in dict.fromkeys(name for name in both if name is not None):
        here = replace(scope, service=host)
        routes = build_routes(each.service, here)
        if not routes:
            continue
        domain = domains.setdefault(host, _Domain(each.service.at.origin, each.name))
        domain.skipped += skipped_blocks(each.service, here, len(domain.routes))
        domain.routes += routes
        domain.redirects = domain.redirects or place.redirects


def _virtual_host(name: str, port: int, domain: _Domain) -> VirtualHost:
    """Routes of several VirtualServices stand one after the other, those that catch all behind all others."""
    if domain.redirects:
        routes = [Route(name="", origin=domain.origin, action=https_redirect(), service=name)]
    else:
        routes = sorted(domain.routes, key=lambda route: catches_all(route.path, route.conditions))
    return VirtualHost(
        name=f"{name}:{port}",
        domains=(name,),
        routes=RouteTable(tuple(routes)),
        port=port,
        origin=domain.origin,
        virtual_service=domain.virtual_service,
        skipped=tuple(domain.skipped),
    )


def _opened(address: str, number: int, options: BuildOptions) -> tuple[str, int]:
    """What is bound for a server's port."""
    if number in options.binds:
        return options.binds[number]
    if number < _PRIVILEGED and not options.privileged_ports:
        return address, _UNPRIVILEGED_BASE + number
    return address, number
