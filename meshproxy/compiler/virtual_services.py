"""VirtualServices as one namespace sees them: visible ones in Istio's order, delegation resolved, hosts in full."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshproxy.compiler.delegates import expand, find_delegates
from meshproxy.compiler.report import Report
from meshproxy.model.hosts import MESH, is_exported, resolve_gateway, resolve_host
from meshproxy.model.virtual_service import VirtualService


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A VirtualService with its hosts and gateways as they are meant."""

    service: VirtualService
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.service.meta.full_name

    @property
    def namespace(self) -> str:
        return self.service.meta.namespace


def bind_services(services: Iterable[VirtualService], report: Report) -> tuple[Bound, ...]:
    """All roots, in the catalog's order."""
    services = tuple(services)
    delegates = find_delegates(services)
    return tuple(
        Bound(
            service=expand(service, delegates, report),
            hosts=tuple(resolve_host(host, service.meta.namespace) for host in service.hosts),
            gateways=tuple(resolve_gateway(name, service.meta.namespace) for name in service.gateways) or (MESH,),
        )
        for service in services
        if service.hosts
    )


def of_mesh(services: Iterable[Bound], namespace: str, *, http: bool = True) -> list[Bound]:
    """Those of the mesh a client in `namespace` sees: its own private ones first, then those exported to it by
    name, then the public ones (push_context.go). `http`: only those with rules for HTTP."""
    visible = [
        each
        for each in services
        if MESH in each.gateways
        and (not http or each.service.http)
        and is_exported(each.service.export_to, each.namespace, namespace)
    ]
    return sorted(visible, key=lambda each: _distance(each, namespace))


def _distance(each: Bound, namespace: str) -> int:
    export_to = each.service.export_to
    if not export_to or "*" in export_to:
        return 2
    return 0 if each.namespace == namespace else 1
