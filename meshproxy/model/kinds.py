"""Which kinds and versions are read, and how each: the table behind the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model import kubernetes
from meshproxy.model.authorization_policy import AuthorizationPolicy
from meshproxy.model.destination_rule import DestinationRule
from meshproxy.model.envoy_filter import EnvoyFilter
from meshproxy.model.gateway import Gateway
from meshproxy.model.gateway_api import KubernetesGateway, KubernetesRoute
from meshproxy.model.policy import RequestAuthentication, WasmPlugin
from meshproxy.model.resource import Resource
from meshproxy.model.service_entry import ServiceEntry, WorkloadEntry
from meshproxy.model.sidecar import Sidecar
from meshproxy.model.telemetry import Telemetry
from meshproxy.model.virtual_service import VirtualService


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is read: `attribute` of the Catalog; from `spec`, or from the object itself."""

    attribute: str
    cls: type[Resource]
    from_spec: bool = True
    namespaced: bool = True


ISTIO = "networking.istio.io"
VERSIONS = ("v1", "v1beta1", "v1alpha3")
_SECURITY = "security.istio.io"
_GATEWAY_API = "gateway.networking.k8s.io"
KINDS: Mapping[tuple[str, str], Kind] = {
    (ISTIO, "VirtualService"): Kind("virtual_services", VirtualService),
    (ISTIO, "DestinationRule"): Kind("destination_rules", DestinationRule),
    (ISTIO, "Gateway"): Kind("gateways", Gateway),
    (ISTIO, "ServiceEntry"): Kind("service_entries", ServiceEntry),
    (ISTIO, "WorkloadEntry"): Kind("workload_entries", WorkloadEntry),
    (ISTIO, "Sidecar"): Kind("sidecars", Sidecar),
    # read for findings only: the compiler says of each that it does not act
    (ISTIO, "EnvoyFilter"): Kind("envoy_filters", EnvoyFilter),
    (_SECURITY, "AuthorizationPolicy"): Kind("authorization_policies", AuthorizationPolicy),
    (_SECURITY, "RequestAuthentication"): Kind("request_authentications", RequestAuthentication),
    ("telemetry.istio.io", "Telemetry"): Kind("telemetries", Telemetry),
    ("extensions.istio.io", "WasmPlugin"): Kind("wasm_plugins", WasmPlugin),
    (_GATEWAY_API, "Gateway"): Kind("kubernetes_gateways", KubernetesGateway),
    (_GATEWAY_API, "HTTPRoute"): Kind("http_routes", KubernetesRoute),
    (_GATEWAY_API, "GRPCRoute"): Kind("grpc_routes", KubernetesRoute),
    ("", "Service"): Kind("services", kubernetes.Service),
    ("discovery.k8s.io", "EndpointSlice"): Kind("endpoint_slices", kubernetes.EndpointSlice, from_spec=False),
    ("", "Endpoints"): Kind("endpoints", kubernetes.Endpoints, from_spec=False),
    ("", "Pod"): Kind("pods", kubernetes.Pod, from_spec=False),
    ("apps", "Deployment"): Kind("deployments", kubernetes.Deployment),
    ("", "Secret"): Kind("secrets", kubernetes.Secret, from_spec=False),
    ("", "Namespace"): Kind("namespaces", kubernetes.Namespace, from_spec=False, namespaced=False),
    ("", "Node"): Kind("nodes", kubernetes.Node, from_spec=False, namespaced=False),
    ("", "ConfigMap"): Kind("config_maps", kubernetes.ConfigMap, from_spec=False),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Kind(
        "definitions", kubernetes.CustomResourceDefinition, namespaced=False
    ),
}
SKIPPED = ("ProxyConfig", "WorkloadGroup")
"""Kinds of ISTIO that are known and not read."""
