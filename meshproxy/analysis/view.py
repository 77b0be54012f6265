"""The catalog as analyzers ask for it: hosts, gateways, subsets and workloads, each found by name at once.

Owns the indexes and Istio's host look-up among them; judges nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeVar

from meshproxy.model.catalog import Catalog
from meshproxy.model.destination import Destination
from meshproxy.model.destination_rule import DestinationRule, Subset
from meshproxy.model.gateway import Gateway
from meshproxy.model.gateway_api import KubernetesGateway
from meshproxy.model.hosts import DOMAIN, host_matches, is_wildcard, resolve_host
from meshproxy.model.kubernetes import Namespace, Pod, Service
from meshproxy.model.mesh_config import MeshConfig
from meshproxy.model.problem import Problem
from meshproxy.model.resource import Resource
from meshproxy.model.service_entry import ServiceEntry, WorkloadEntry
from meshproxy.model.virtual_service import HTTPRoute, VirtualService

ROOT_NAMESPACE = "istio-system"
_MESH_CONFIG = f"{ROOT_NAMESPACE}/istio"
_INJECTOR = "istio-sidecar-injector"
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", ROOT_NAMESPACE)
_EXPORT_TO = "networking.istio.io/exportTo"
_TOPOLOGY = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
)

Labels = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the registry: what a destination may name."""

    name: str
    namespace: str
    ports: tuple[int, ...]
    scopes: tuple[str, ...]
    resource: Service | ServiceEntry


@dataclass(frozen=True, slots=True)
class Target:
    """One destination of a VirtualService; `http` is the rule it belongs to, where that is an HTTP one."""

    destination: Destination
    host: str
    mirror: bool
    http: HTTPRoute | None


class View:
    """One catalog and its indexes, each built when first asked for."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._targets: dict[int, tuple[Target, ...]] = {}

    # --- the mesh

    @cached_property
    def mesh(self) -> MeshConfig:
        """The mesh config, as far as the files have it."""
        for config_map in self.catalog.config_maps:
            if config_map.meta.full_name == _MESH_CONFIG and config_map.data is not None and config_map.data.mesh:
                return config_map.data.mesh
        return MeshConfig()

    @cached_property
    def root_namespace(self) -> str:
        return self.mesh.root_namespace or ROOT_NAMESPACE

    @cached_property
    def injects_by_default(self) -> bool:
        """Whether sidecars are injected where no label says a word."""
        found = (each.data for each in self.catalog.config_maps if each.meta.name == _INJECTOR)
        return any(data is not None and data.values is not None and data.values.by_default for data in found)

    # --- the registry

    @cached_property
    def hosts(self) -> tuple[Host, ...]:
        services = (_service_host(service) for service in self.catalog.services)
        return (*services, *(host for entry in self.catalog.service_entries for host in _entry_hosts(entry)))

    @cached_property
    def hosts_by_name(self) -> Mapping[str, list[Host]]:
        return _grouped(self.hosts, lambda host: host.name)

    @cached_property
    def _by_scope(self) -> Mapping[tuple[str, str], list[Host]]:
        found: dict[tuple[str, str], list[Host]] = defaultdict(list)
        for host in self.hosts:
            for scope in host.scopes:
                found[scope, host.name].append(host)
        return found

    @cached_property
    def _wildcards(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if is_wildcard(host.name))

    def look_up(self, name: str, namespace: str, export_to: Iterable[str] = ()) -> list[Host]:
        """The hosts a resource of `namespace` with this exportTo means by the full name `name`, as Istio's analyzers
        look it up."""
        own = [namespace if scope == "." else scope for scope in export_to] or [namespace]
        for scope in ("*", *own):
            if found := self._by_scope.get((scope, name)):
                return found
        bare = name.removeprefix("*")
        visible = {"*", namespace}
        return [h for h in self._wildcards if bare.endswith(h.name.removeprefix("*")) and visible & set(h.scopes)]

    def decidable(self, name: str) -> bool:
        """Whether the files can tell that a host is missing: a cluster's name needs Services among them."""
        if name.endswith(f".svc.{DOMAIN}"):
            return bool(self.catalog.services)
        return bool(self.hosts)

    # --- gateways, destinations, subsets

    @cached_property
    def gateways(self) -> Mapping[str, Gateway]:
        return {gateway.meta.full_name: gateway for gateway in self.catalog.gateways}

    @cached_property
    def kubernetes_gateways(self) -> Mapping[str, KubernetesGateway]:
        return {gateway.meta.full_name: gateway for gateway in self.catalog.kubernetes_gateways}

    def targets(self, service: VirtualService) -> tuple[Target, ...]:
        """Every destination and mirror of a VirtualService."""
        found = self._targets.get(id(service))
        if found is None:
            found = self._targets[id(service)] = tuple(_targets(service))
        return found

    @cached_property
    def subsets(self) -> Mapping[tuple[str, str], list[tuple[DestinationRule, Subset]]]:
        """Who declares a subset: by full host name and subset."""
        found: dict[tuple[str, str], list[tuple[DestinationRule, Subset]]] = defaultdict(list)
        for rule in self.catalog.destination_rules:
            for subset in rule.subsets:
                found[full_host(rule), subset.name].append((rule, subset))
        return found

    @cached_property
    def rules_by_host(self) -> Mapping[str, list[DestinationRule]]:
        return _grouped(self.catalog.destination_rules, full_host)

    # --- workloads

    @cached_property
    def namespaces(self) -> Mapping[str, Namespace]:
        return {namespace.meta.name: namespace for namespace in self.catalog.namespaces}

    @cached_property
    def known_namespaces(self) -> frozenset[str]:
        """Those the files define or have objects in, and those every mesh has."""
        named = {resource.meta.namespace for resource in resources(self.catalog)}
        return frozenset({*self.namespaces, *named, *_NAMESPACES, self.root_namespace} - {""})

    @cached_property
    def _node_labels(self) -> Mapping[str, Labels]:
        return {
            node.meta.name: {key: node.meta.labels[key] for key in _TOPOLOGY if node.meta.labels.get(key)}
            for node in self.catalog.nodes
        }

    def pod_labels(self, pod: Pod) -> Labels:
        """A Pod's labels and its node's topology."""
        node = pod.spec.node_name if pod.spec is not None else ""
        return {**pod.meta.labels, **self._node_labels.get(node, {})}

    @cached_property
    def _pods_by_label(self) -> Mapping[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, pod in enumerate(self.catalog.pods):
            for pair in self.pod_labels(pod).items():
                found[pair].append(index)
        return found

    def pods(self, labels: Labels, namespace: str | None = None) -> list[Pod]:
        """The Pods that carry all of `labels`, of one namespace or of any."""
        if labels:
            sets = [set(self._pods_by_label.get(pair, ())) for pair in labels.items()]
            indices: Iterable[int] = sorted(set.intersection(*sets))
        else:
            indices = range(len(self.catalog.pods))
        chosen = (self.catalog.pods[index] for index in indices)
        return [pod for pod in chosen if namespace is None or pod.meta.namespace == namespace]

    @cached_property
    def services_by_namespace(self) -> Mapping[str, list[Service]]:
        return _grouped(self.catalog.services, lambda service: service.meta.namespace)

    @cached_property
    def _entries_by_namespace(self) -> Mapping[str, list[WorkloadEntry]]:
        return _grouped(self.catalog.workload_entries, lambda entry: entry.meta.namespace)

    def endpoints(self, host: Host) -> list[Labels]:
        """The labels of each endpoint the files give for a host; empty where they give none."""
        resource = host.resource
        if isinstance(resource, ServiceEntry) and resource.endpoints:
            return [endpoint.labels for endpoint in resource.endpoints]
        if isinstance(resource, ServiceEntry):
            selector = resource.workload_selector.labels if resource.workload_selector is not None else {}
        else:
            selector = resource.selector
        if not selector:
            return []
        entries = self._entries_by_namespace.get(host.namespace, ())
        return [
            *(self.pod_labels(pod) for pod in self.pods(selector, host.namespace)),
            *(entry.labels for entry in entries if selects(selector, entry.labels)),
        ]


Check = Callable[[View], Iterator[Problem]]
"""One analyzer."""


def resources(catalog: Catalog) -> Iterator[Resource]:
    """All that was read, kind by kind."""
    for declared in fields(catalog):
        yield from (each for each in getattr(catalog, declared.name) if isinstance(each, Resource))


def full_host(rule: DestinationRule) -> str:
    return resolve_host(rule.host, rule.meta.namespace)


def selects(selector: Labels, labels: Labels) -> bool:
    return selector.items() <= labels.items()


def covers_either_way(one: str, other: str) -> bool:
    """Whether two hosts, of which either may be a wildcard, have a name in common."""
    return host_matches(one, other) or host_matches(other, one)


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found


def scopes(export_to: Iterable[str], namespace: str) -> tuple[str, ...]:
    """The namespaces an object is visible in, `*` for all."""
    names = tuple(namespace if name == "." else name for name in export_to)
    return ("*",) if not names or "*" in names else names


def _service_host(service: Service) -> Host:
    exported = (part.strip() for part in service.meta.annotations.get(_EXPORT_TO, "").split(","))
    return Host(
        f"{service.meta.name}.{service.meta.namespace}.svc.{DOMAIN}",
        service.meta.namespace,
        tuple(port.port for port in service.ports),
        scopes([part for part in exported if part], service.meta.namespace),
        service,
    )


def _entry_hosts(entry: ServiceEntry) -> Iterator[Host]:
    ports = tuple(port.number for port in entry.ports)
    visible = scopes(entry.export_to, entry.meta.namespace)
    for name in entry.hosts:
        yield Host(resolve_host(name, entry.meta.namespace), entry.meta.namespace, ports, visible, entry)


def _targets(service: VirtualService) -> Iterator[Target]:
    for rule in service.http:
        for routed in rule.route:
            yield from _target(service, routed.destination, rule)
        for mirror in (rule.mirror, *(policy.destination for policy in rule.mirrors)):
            yield from _target(service, mirror, rule, mirror=True)
    streams = [routed for rule in service.tls for routed in rule.route]
    streams += [routed for rule in service.tcp for routed in rule.route]
    for stream in streams:
        yield from _target(service, stream.destination, None)


def _target(
    service: VirtualService, destination: Destination | None, rule: HTTPRoute | None, *, mirror: bool = False
) -> Iterator[Target]:
    if destination is not None and destination.host:
        yield Target(destination, resolve_host(destination.host, service.meta.namespace), mirror, rule)
