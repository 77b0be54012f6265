"""The catalog: all resources of a configuration as written, by kind, in Istio's order.

`read_catalog` is the model's entry: sources in, catalog and problems out. Owns which kinds are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshproxy.base.origin import Origin
from meshproxy.model.destination_rule import DestinationRule
from meshproxy.model.document import Source
from meshproxy.model.gateway import Gateway
from meshproxy.model.kubernetes import Endpoints, EndpointSlice, Namespace, Node, Pod, Secret, Service
from meshproxy.model.problem import Problem
from meshproxy.model.service_entry import ServiceEntry, WorkloadEntry
from meshproxy.model.sidecar import Sidecar
from meshproxy.model.virtual_service import VirtualService

__all__ = ["Catalog", "Skipped", "Source", "read_catalog"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object of a kind that is not read."""

    api_version: str
    kind: str
    full_name: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """One tuple per kind: the oldest first, then by name and namespace."""

    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    service_entries: tuple[ServiceEntry, ...] = ()
    workload_entries: tuple[WorkloadEntry, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    services: tuple[Service, ...] = ()
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    pods: tuple[Pod, ...] = ()
    secrets: tuple[Secret, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    nodes: tuple[Node, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def read_catalog(sources: Iterable[Source], *, namespace: str = "default") -> tuple[Catalog, tuple[Problem, ...]]:
    """All resources of `sources`, and every problem found in them. `namespace` is that of objects without one."""
    raise NotImplementedError
