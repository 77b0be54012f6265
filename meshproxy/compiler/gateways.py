"""Gateway listeners: the servers of all Gateways we serve, one listener per bind and port. The first server on a port
decides whether it is plain HTTP, TLS or TCP; servers that are something else are left out (mergeGateways)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from meshproxy.base.origin import Origin
from meshproxy.compiler.gateway_tls import TERMINATING, Certificates
from meshproxy.compiler.matches import catches_all
from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.policies import https_redirect
from meshproxy.compiler.protocols import Protocol, by_word
from meshproxy.compiler.report import Report
from meshproxy.compiler.routes import build_routes, skipped_blocks
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.selection import has_labels
from meshproxy.compiler.streams import Chains, auto_passthrough, first_tcp, tls_chains
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.catalog import Catalog
from meshproxy.model.gateway import Gateway, Server
from meshproxy.model.hosts import host_intersection, is_exported
from meshproxy.model.problem import SCHEMA_WARNING
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Route, Skipped
from meshproxy.plan.stream_table import Chain
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

_ANY_ADDRESS = "0.0.0.0"
_PRIVILEGED = 1024
_UNPRIVILEGED_BASE = 8000
_CONFIG = "proxy.istio.io/config"
_OF_HTTP = ("HTTPS",)
_ALPN = ("http/1.1",)

Key = tuple[str, int]
"""Address and port."""


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the servers of all Gateways are compiled with."""

    by_gateway: Mapping[str, list[Bound]]
    scope: Scope
    options: BuildOptions
    clusters: Mapping[str, Cluster]
    certificates: Certificates

    def bound(self, place: _Place) -> Iterator[Bound]:
        """The VirtualServices that name the server's Gateway and are visible to it."""
        gateway = place.gateway.meta
        for each in self.by_gateway.get(gateway.full_name, ()):
            if is_exported(each.service.export_to, each.namespace, gateway.namespace):
                yield each

    def at(self, place: _Place) -> Scope:
        return replace(self.scope, gateway=place.gateway.meta.full_name, port=place.number)


def build_gateway_listeners(
    gateways: Iterable[Gateway],
    bound: tuple[Bound, ...],
    scope: Scope,
    options: BuildOptions,
    *,
    clusters: Mapping[str, Cluster] | None = None,
    certificates: Certificates | None = None,
) -> tuple[Listener, ...]:
    """Gateways whose selector chooses us; all of them where we have no labels at all."""
    by_gateway: dict[str, list[Bound]] = defaultdict(list)
    for each in bound:
        for name in each.gateways:
            by_gateway[name].append(each)
    certificates = certificates or Certificates(Catalog(), options, scope.report)
    around = Surroundings(by_gateway, scope, options, clusters or {}, certificates)
    selected = [each for each in gateways if not options.labels or has_labels(options.labels, each.selector)]
    return tuple(_listener(key, places, around) for key, places in _servers(selected, scope.report).items())


def _servers(gateways: Iterable[Gateway], report: Report) -> dict[Key, list[_Place]]:
    """Servers by address and port. Of servers with a `tls` block, one that repeats a host of an earlier one is
    dropped whole; of plain TCP there is one for a port."""
    found: dict[Key, list[_Place]] = defaultdict(list)
    protocols: dict[Key, Protocol] = {}
    tls_hosts: set[tuple[str, int, str]] = set()
    for place in (_Place(gateway, server) for gateway in gateways for server in gateway.servers):
        key = (place.address, place.number)
        protocol = _protocol(place, report)
        if protocol is None or protocols.setdefault(key, protocol) is not protocol or _repeats(place, tls_hosts):
            continue
        if protocol is not Protocol.TCP or not found[key]:
            found[key].append(place)
    return found


def _protocol(place: _Place, report: Report) -> Protocol | None:
    port = place.server.port
    if port is None:
        return None
    if place.server.bind.startswith("unix:"):
        report.unsupported("a Gateway server on a Unix socket", place.server.at.field("bind"))
        return None
    return by_word(port.protocol)


def _repeats(place: _Place, tls_hosts: set[tuple[str, int, str]]) -> bool:
    if place.server.tls is None:
        return False
    hosts = {(place.address, place.number, host.rpartition("/")[2].lower()) for host in place.server.hosts}
    repeated = bool(hosts & tls_hosts)
    if not repeated:
        tls_hosts |= hosts
    return repeated


def _listener(key: Key, places: list[_Place], around: Surroundings) -> Listener:
    address, number = key
    name = f"{address}_{number}"
    host, port = _opened(address, number, around.options)
    proxied = any(_speaks_proxy_protocol(place.gateway, around.scope.report) for place in places)
    chains = Chains()
    behind: list[Listener] = []
    hosts = VirtualHosts(())
    protocol = by_word(places[0].server.port.protocol) if places[0].server.port is not None else Protocol.HTTP
    if protocol is Protocol.HTTP:
        hosts = _virtual_hosts(places, around)
        chains.add((Chain(http=name),))
    elif protocol is Protocol.TLS:
        for place in places:
            _add_tls(place, (host, port), around, chains, behind)
    else:
        chains.add(first_tcp(_of_hosts(places[0], around), around.at(places[0])))
    return Listener(
        name=name,
        host=host,
        port=port,
        server_port=number,
        virtual_hosts=hosts,
        is_gateway=True,
        origin=places[0].server.at.origin,
        gateways=tuple(dict.fromkeys(place.gateway.meta.full_name for place in places)),
        streams=chains.table(proxy_protocol=proxied) if proxied or protocol is not Protocol.HTTP else None,
        behind=tuple(behind),
    )


def _add_tls(
    place: _Place, opened: tuple[str, int], around: Surroundings, chains: Chains, behind: list[Listener]
) -> None:
    """The chains of one TLS server, and the listener behind it where HTTP is."""
    server = place.server
    tls, port = server.tls, server.port
    if tls is None or port is None:
        return
    names = tuple(host.rpartition("/")[2].lower() for host in server.hosts)
    owner = place.gateway.meta
    if tls.mode == "AUTO_PASSTHROUGH":
        chains.add(auto_passthrough(names, around.clusters))
    elif tls.mode not in TERMINATING:
        chains.add(tls_chains(_of_hosts(place, around), around.at(place)))
    elif port.protocol.upper() not in _OF_HTTP:
        built = around.certificates.build(tls, owner.namespace, ())
        chains.add(first_tcp(_of_hosts(place, around), around.at(place), names, built))
    else:
        built = around.certificates.build(tls, owner.namespace, _ALPN)
        name = f"https.{port.number}.{port.name}.{owner.name}.{owner.namespace}"
        at = server.at.field("hosts")
        chains.add(
            (
                Chain(
                    server_names=names,
                    is_tls=True,
                    tls=built,
                    http=name,
                    origin=server.at.origin,
                    lines=((at.file, at.line),),
                ),
            )
        )
        behind.append(
            Listener(
                name=name,
                host=opened[0],
                port=opened[1],
                server_port=place.number,
                virtual_hosts=_virtual_hosts([place], around),
                is_gateway=True,
                scheme=b"https",
                origin=server.at.origin,
                gateways=(owner.full_name,),
            )
        )


def _of_hosts(place: _Place, around: Surroundings) -> Iterator[Bound]:
    """VirtualServices with a host in common with the server."""
    for each in around.bound(place):
        if any(host_intersection(host, name) for host in place.hosts(each.namespace) for name in each.hosts):
            yield each


def _speaks_proxy_protocol(gateway: Gateway, report: Report) -> bool:
    """`gatewayTopology.proxyProtocol` of the annotation that holds a gateway's ProxyConfig."""
    try:
        config = yaml.safe_load(gateway.meta.annotations.get(_CONFIG, ""))
    except yaml.YAMLError:
        report.warn(SCHEMA_WARNING, f"the annotation {_CONFIG} is not YAML", gateway.meta.at.origin)
        return False
    topology = config.get("gatewayTopology") if isinstance(config, dict) else None
    return isinstance(topology, dict) and topology.get("proxyProtocol") is not None


def _virtual_hosts(places: list[_Place], around: Surroundings) -> VirtualHosts:
    """The route table of HTTP servers that share one."""
    domains: dict[str, _Domain] = {}
    for place in places:
        for each in around.bound(place):
            _add(domains, place, each, around.at(place))
        if place.redirects:
            for written in place.server.hosts:
                host = written.rpartition("/")[2].lower()
                domains.setdefault(host, _Domain(place.server.at.origin)).redirects = True
    number = places[0].number
    return VirtualHosts(tuple(_virtual_host(name, number, domain) for name, domain in domains.items()))


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
