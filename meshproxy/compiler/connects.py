"""The mesh listener as a forward proxy of bytes: what a CONNECT to each TLS and TCP port of a service leads to.

HTTP ports are not here: what comes behind a CONNECT to one is HTTP for the mesh listener, as without it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from meshproxy.compiler.egress import passthrough
from meshproxy.compiler.mesh import Governing
from meshproxy.compiler.protocols import Protocol
from meshproxy.compiler.registry import Service, ServicePort
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.streams import Chains, tcp_chains, tls_chains, to_service
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.hosts import MESH
from meshproxy.model.service_entry import ServiceEntry
from meshproxy.plan.connect_table import Connectable, ConnectTable
from meshproxy.plan.stream_table import Chain, Network, StreamTable

_OPAQUE = (Protocol.TLS, Protocol.TCP, Protocol.SNIFFED)


def build_connects(bound: list[Bound], mesh: Scope, *, any_host: bool) -> ConnectTable:
    """`any_host`: hosts that no service has are connected to as well."""
    governing = Governing(bound)
    rest = StreamTable((Chain(tunnel=passthrough()),)) if any_host else None
    return ConnectTable(
        (
            Connectable(
                names=tuple(name.lower() for name in service.names(mesh.namespace)),
                port=port.number,
                networks=_networks(service),
                table=_table(service, port, governing.of(service.host), mesh),
            )
            for service in mesh.registry.services.values()
            for port in service.ports
            if port.protocol in _OPAQUE
        ),
        rest,
    )


def _table(service: Service, port: ServicePort, candidates: list[Bound], mesh: Scope) -> StreamTable:
    """The rules of the first VirtualService that has any for this port; the service itself for all else."""
    scope = replace(mesh, service=service.host, port=port.number)
    found = Chains()
    for each in candidates:
        if port.protocol is Protocol.TLS:
            found.add(tls_chains((each,), scope))
        elif port.protocol is Protocol.TCP:
            found.add(tcp_chains((each,), scope))
        if found.chains:
            break
    found.add((Chain(tunnel=to_service(service.host, port.number)),))
    return found.table(http=MESH if port.protocol is Protocol.SNIFFED else "")


def _networks(service: Service) -> tuple[Network, ...]:
    return tuple(_each_network(service))


def _each_network(service: Service) -> Iterator[Network]:
    for address in service.addresses:
        yield ipaddress.ip_network(address.strip("[]"))
    for source in service.sources:
        if isinstance(source, ServiceEntry):
            for address in source.addresses:
                if "/" in address:
                    yield ipaddress.ip_network(address, strict=False)
