"""The mesh listener: one table of all services a workload sees, by Host, as Istio's explicit HTTP proxy has it.

Every HTTP port of a service is a virtual host of its own, found as `name:port`; the first of them is also found by
the bare name, and by any port the service does not have.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from meshproxy.base.origin import Origin
from meshproxy.compiler.destination_rules import covering
from meshproxy.compiler.registry import Service
from meshproxy.compiler.routes import build_routes, default_route, skipped_blocks
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.hosts import host_matches, is_wildcard
from meshproxy.plan.route import Route, Skipped
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

_FOREIGN_PORT = 80
"""Where a VirtualService is served whose hosts are no services at all."""


def build_mesh_hosts(bound: list[Bound], mesh: Scope) -> VirtualHosts:
    """`bound` are the mesh's VirtualServices in order; of those for one host the first that acts has it entirely."""
    services = mesh.registry.services
    # names that are no services go first: `reviews.prod` takes that name away from the service
    hosts = [*_foreign_hosts(bound, mesh)]
    governing = Governing(bound)
    for service in services.values():
        hosts += _service_hosts(service, governing.of(service.host), mesh)
    return VirtualHosts(tuple(_claimed(hosts)))


def _service_hosts(service: Service, candidates: list[Bound], mesh: Scope) -> Iterator[VirtualHost]:
    names = tuple(service.names(mesh.namespace))
    for port in service.http_ports:
        scope = replace(mesh, service=service.host, port=port.number)
        found, routes = _first_acting(candidates, scope)
        yield _virtual_host(
            service.host,
            port.number,
            names,
            routes or (default_route(service.host, port.number, service.origin, scope),),
            bare=port is service.http_ports[0],
            origin=found.service.at.origin if found is not None else service.origin,
            virtual_service=found.name if found is not None else "",
            skipped=skipped_blocks(found.service, scope) if found is not None else (),
        )


def _foreign_hosts(bound: list[Bound], mesh: Scope) -> Iterator[VirtualHost]:
    """Hosts that are no services: on the HTTP ports of the services the same VirtualService governs, else on 80.
    A wildcard that covers any service serves no other name."""
    services = mesh.registry.services
    covered = {pattern for host in services for pattern in covering(host) if is_wildcard(pattern)}
    for each in bound:
        foreign = [host for host in each.hosts if host not in (covered if is_wildcard(host) else services)]
        if not foreign:
            continue
        ports = _http_ports(each, services) or [_FOREIGN_PORT]
        for host, port in itertools.product(foreign, ports):
            scope = replace(mesh, service=host, port=port)
            routes = build_routes(each.service, scope)
            if routes:
                yield _virtual_host(
                    host,
                    port,
                    (host,),
                    routes,
                    bare=port == ports[0],
                    origin=each.service.at.origin,
                    virtual_service=each.name,
                    skipped=skipped_blocks(each.service, scope),
                )


def _http_ports(bound: Bound, services: Mapping[str, Service]) -> list[int]:
    """The HTTP ports of all services that a VirtualService governs."""
    governed = [
        service
        for host in bound.hosts
        for service in (services.values() if is_wildcard(host) else filter(None, (services.get(host),)))
        if host_matches(service.host, host)
    ]
    return sorted({port.number for service in governed for port in service.http_ports})


class Governing:
    """Which VirtualServices may govern a service."""

    def __init__(self, bound: list[Bound]) -> None:
        self._exact: dict[str, list[Bound]] = defaultdict(list)
        self._wildcards: dict[str, Bound] = {}
        for each in bound:
            for host in each.hosts:
                if is_wildcard(host):
                    self._wildcards.setdefault(host, each)
                else:
                    self._exact[host].append(each)

    def of(self, host: str) -> list[Bound]:
        """All that name it, in order; else the one with the longest wildcard."""
        if host in self._exact:
            return self._exact[host]
        return next(([self._wildcards[pattern]] for pattern in covering(host) if pattern in self._wildcards), [])


def _first_acting(candidates: Iterable[Bound], scope: Scope) -> tuple[Bound | None, tuple[Route, ...]]:
    """One without any rule for this place counts as absent."""
    for each in candidates:
        routes = build_routes(each.service, scope)
        if routes:
            return each, routes
    return None, ()


def _virtual_host(
    host: str,
    port: int,
    names: tuple[str, ...],
    routes: tuple[Route, ...],
    *,
    bare: bool,
    origin: Origin | None,
    virtual_service: str,
    skipped: tuple[Skipped, ...] = (),
) -> VirtualHost:
    """`bare`: it is found by the names without a port too."""
    with_port = tuple(f"{name}:{port}" for name in names if name != "*")
    return VirtualHost(
        name=f"{host}:{port}",
        domains=(*names, *with_port) if bare else with_port,
        routes=RouteTable(routes),
        port=port,
        origin=origin,
        virtual_service=virtual_service,
        skipped=skipped,
    )


def _claimed(hosts: Iterable[VirtualHost]) -> Iterator[VirtualHost]:
    """Every domain stays with the first that claims it; who has none left is left out."""
    taken: set[str] = set()
    for host in hosts:
        free = tuple(domain for domain in map(str.lower, host.domains) if domain not in taken)
        taken.update(free)
        if free:
            yield replace(host, domains=free)
