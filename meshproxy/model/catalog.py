"""The catalog: all resources of a configuration as written, by kind, in Istio's order. The model's entry.

Owns what every object must have; which kinds there are is in `kinds.py`, the fields are the kinds' own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from meshproxy.base.origin import Origin
from meshproxy.model.authorization_policy import AuthorizationPolicy
from meshproxy.model.destination_rule import DestinationRule
from meshproxy.model.document import Source, mark, read_documents, written
from meshproxy.model.envoy_filter import EnvoyFilter
from meshproxy.model.gateway import Gateway
from meshproxy.model.gateway_api import KubernetesGateway, KubernetesRoute
from meshproxy.model.kinds import ISTIO, KINDS, SKIPPED, VERSIONS, Kind
from meshproxy.model.kubernetes import (
    ConfigMap,
    CustomResourceDefinition,
    Deployment,
    Endpoints,
    EndpointSlice,
    Namespace,
    Pod,
    Secret,
    Service,
)
from meshproxy.model.kubernetes import Node as KubernetesNode
from meshproxy.model.place import Home, Place
from meshproxy.model.policy import RequestAuthentication, WasmPlugin
from meshproxy.model.problem import DUPLICATE, Level, Problem
from meshproxy.model.reader import read_message
from meshproxy.model.resource import Envelope, Metadata, Resource
from meshproxy.model.service_entry import ServiceEntry, WorkloadEntry
from meshproxy.model.sidecar import Sidecar
from meshproxy.model.telemetry import Telemetry
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
    envoy_filters: tuple[EnvoyFilter, ...] = ()
    authorization_policies: tuple[AuthorizationPolicy, ...] = ()
    request_authentications: tuple[RequestAuthentication, ...] = ()
    telemetries: tuple[Telemetry, ...] = ()
    wasm_plugins: tuple[WasmPlugin, ...] = ()
    kubernetes_gateways: tuple[KubernetesGateway, ...] = ()
    http_routes: tuple[KubernetesRoute, ...] = ()
    grpc_routes: tuple[KubernetesRoute, ...] = ()
    services: tuple[Service, ...] = ()
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    pods: tuple[Pod, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    secrets: tuple[Secret, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    nodes: tuple[KubernetesNode, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    definitions: tuple[CustomResourceDefinition, ...] = ()
    skipped: tuple[Skipped, ...] = ()


_ISTIO_GROUPS = frozenset(
    f"{name}.istio.io" for name in ("networking", "security", "telemetry", "extensions", "install", "analysis")
)
_NO_OBJECT = "not a Kubernetes object: expected a mapping with apiVersion, kind and metadata"


def read_catalog(sources: Iterable[Source], *, namespace: str = "default") -> tuple[Catalog, tuple[Problem, ...]]:
    """All resources of `sources`, and every problem found in them. `namespace` is that of objects without one.

    Of two objects of one kind, namespace and name the later one counts.
    """
    reader = _Reader(namespace)
    for source in sources:
        for root in read_documents(source, reader.problems):
            reader.read(root, source.name)
    return reader.catalog(), tuple(reader.problems)


class _Reader:
    """Collects what is read, keyed so that a later object replaces an earlier one."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.problems: list[Problem] = []
        self.skipped: list[Skipped] = []
        self.resources: dict[str, dict[tuple[str, str], Resource]] = {}

    def catalog(self) -> Catalog:
        ordered: dict[str, Any] = {
            attribute: tuple(sorted(found.values(), key=lambda resource: resource.meta.order))
            for attribute, found in self.resources.items()
        }
        return Catalog(**ordered, skipped=tuple(self.skipped))

    def read(self, node: Node, file: str) -> None:
        """One object, or the items of a list of them."""
        kind, api_version = written(node, "kind"), written(node, "apiVersion")
        items = _items(node) if kind.endswith("List") else None
        if items is not None:
            for item in items:
                self.read(item, file)
            return
        group, _, version = api_version.rpartition("/")
        known = KINDS.get((group, kind))
        namespace = ""
        if known is None or known.namespaced:
            namespace = written(node, "metadata", "namespace") or self.namespace
        name = "/".join(filter(None, (namespace, written(node, "metadata", "name"))))
        at = Place(Home(file, f"{kind} {name}" if kind else ""), mark(node))
        if not (kind and api_version):
            self.problems.append(at.error("", _NO_OBJECT))
        elif (found := _misspelt(node, group, version, kind)) is not None:
            at.marks[found[0]] = mark(found[1])
            self.problems.append(at.error(found[0], found[2]))
        elif known is None:
            self.skipped.append(Skipped(api_version, kind, name, at.origin))
        else:
            self._keep(known, self._resource(known, node, at, namespace))

    def _resource(self, known: Kind, node: Node, at: Place, namespace: str) -> Resource:

        def filled(meta: Metadata | None) -> Metadata:
            kind, api_version = written(node, "kind"), written(node, "apiVersion")
            return replace(meta or Metadata(at=at), namespace=namespace, kind=kind, api_version=api_version)

        if not known.from_spec:
            resource = read_message(known.cls, node, at, self.problems)
            return replace(resource, meta=filled(resource.meta))
        envelope = read_message(Envelope, node, at, self.problems)
        spec = envelope.spec or MappingNode("", [])
        place = Place(at.home, mark(spec) if envelope.spec else at.mark, "spec", at)
        return read_message(known.cls, spec, place, self.problems, meta=filled(envelope.meta), reported=envelope.status)

    def _keep(self, known: Kind, resource: Resource) -> None:
        found = self.resources.setdefault(known.attribute, {})
        key = (resource.meta.namespace, resource.meta.name)
        if earlier := found.get(key):
            first = earlier.meta.at.field("name")
            message = f"{resource} is defined twice: this definition replaces the one at {first}"
            self.problems.append(Problem(DUPLICATE, Level.WARNING, message, resource.meta.at.field("name")))
        found[key] = resource


def _items(node: Node) -> Sequence[Node] | None:
    """The items of a Kubernetes list, None where there are none."""
    found = next((value for key, value in node.value if key.value == "items"), None)
    return found.value if isinstance(found, SequenceNode) else None


def _misspelt(node: Node, group: str, version: str, kind: str) -> tuple[str, Node, str] | None:
    """Field, its node and what is wrong, where an object is meant for Istio and would be skipped unread."""
    fields = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
    if group == ISTIO and version not in VERSIONS:
        known = ", ".join(f"{ISTIO}/{each}" for each in VERSIONS)
        return "api_version", fields["apiVersion"], f'unknown apiVersion "{group}/{version}": write one of {known}'
    names = [name for owner, name in KINDS if owner == ISTIO]
    if group == ISTIO and kind not in names and kind not in SKIPPED:
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        return "kind", fields["kind"], f'unknown kind "{kind}" in {ISTIO}{hint}'
    if group.endswith("istio.io") and group not in _ISTIO_GROUPS:
        known = ", ".join(sorted(_ISTIO_GROUPS))
        return "api_version", fields["apiVersion"], f'unknown API group "{group}": Istio has {known}'
    return None
