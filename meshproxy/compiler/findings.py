"""Fields that are read and understood but do not act yet: each is a finding where it is written.

A field leaves this table with the change that makes it act.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from functools import cache

from meshproxy.compiler.report import Report
from meshproxy.model.catalog import Catalog, Skipped
from meshproxy.model.connection_pool import HTTPSettings
from meshproxy.model.http_match import HTTPMatchRequest
from meshproxy.model.http_policies import HTTPRetry
from meshproxy.model.kubernetes import EndpointSlice, Service
from meshproxy.model.load_balancer import LoadBalancerSettings
from meshproxy.model.place import json_name
from meshproxy.model.reader import Message
from meshproxy.model.resource import Resource
from meshproxy.model.service_entry import WorkloadEntry
from meshproxy.model.sidecar import IstioEgressListener, OutboundTrafficPolicy, Sidecar
from meshproxy.model.traffic_policy import TunnelSettings
from meshproxy.model.virtual_service import L4MatchAttributes

_FIELDS: dict[type[Message], tuple[str, ...]] = {
    L4MatchAttributes: ("source_subnet",),
    HTTPMatchRequest: ("stat_prefix",),
    HTTPRetry: ("retry_remote_localities",),
    LoadBalancerSettings: ("zone_aware_lb_setting",),
    HTTPSettings: ("max_concurrent_streams", "http2_keep_alive"),
    Sidecar: ("ingress", "inbound_connection_pool"),
    IstioEgressListener: ("port", "bind", "capture_mode"),
    OutboundTrafficPolicy: ("egress_proxy",),
    WorkloadEntry: ("network", "service_account"),
}
_VALUES: dict[type[Message], dict[str, frozenset[str]]] = {
    HTTPSettings: {"h2_upgrade_policy": frozenset(("UPGRADE",))},
    TunnelSettings: {"protocol": frozenset(("POST",))},
    Service: {"type": frozenset(("ExternalName",)), "internal_traffic_policy": frozenset(("Local",))},
    EndpointSlice: {"address_type": frozenset(("FQDN",))},
}


_MESH_GROUPS = ("istio.io", "gateway.networking.k8s.io")
"""Whose objects would change what a mesh does; a Deployment beside them would not."""

_WITHOUT_EFFECT = (
    *("envoy_filters", "authorization_policies", "request_authentications", "telemetries", "wasm_plugins"),
    *("kubernetes_gateways", "http_routes", "grpc_routes"),
)
"""Kinds of the catalog that ask for something of the mesh, and are read for findings only."""

_BESIDE = ("deployments", "config_maps", "definitions")
"""Kinds of the catalog that are none of a proxy's business, and read for findings only."""

_NOT_COUNTED = frozenset((*_WITHOUT_EFFECT, *_BESIDE))
"""Kinds of the catalog that nothing is built of."""


def find_unsupported(catalog: Catalog, report: Report) -> None:
    for skipped in catalog.skipped:
        if _is_of_mesh(skipped):
            report.unsupported(skipped.kind, skipped.origin)
    for name in _WITHOUT_EFFECT:
        for policy in getattr(catalog, name):
            report.unsupported(policy.meta.kind, policy.at.origin)
    for resources in (
        catalog.virtual_services,
        catalog.destination_rules,
        catalog.service_entries,
        catalog.workload_entries,
        catalog.services,
        catalog.endpoint_slices,
        catalog.sidecars,
    ):
        for resource in resources:
            _walk(resource, report)


def _is_of_mesh(skipped: Skipped) -> bool:
    return skipped.api_version.partition("/")[0].endswith(_MESH_GROUPS)


def skipped_kinds(catalog: Catalog) -> str:
    """What stands in the files and is none of a proxy's business, in words: `7 Deployment, 1 ConfigMap`; empty for
    nothing. Objects of the mesh that do not act are findings."""
    counts = Counter(each.kind for each in catalog.skipped if not _is_of_mesh(each))
    counts.update(each.meta.kind for name in _BESIDE for each in getattr(catalog, name))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _walk(message: Message, report: Report) -> None:
    for name in _FIELDS.get(type(message), ()):
        if getattr(message, name):
            report.unsupported(json_name(name), message.at.field(name))
    for name, values in _VALUES.get(type(message), {}).items():
        value = getattr(message, name)
        if value in values:
            report.unsupported(f"{json_name(name)} {value or 'NONE'}", message.at.field(name))
    kind: type = type(message)
    for name in _message_fields(kind):
        value = getattr(message, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Message):
                _walk(each, report)


@cache
def _message_fields(cls: type) -> tuple[str, ...]:
    """Fields of a message class that may hold messages worth a look."""
    ignored = ("at", "meta")
    return tuple(field.name for field in dataclasses.fields(cls) if field.name not in ignored)


def counted(catalog: Catalog) -> dict[str, int]:
    """How many there are of each kind that something may be built of, by kind."""
    counts: dict[str, int] = {}
    for field in dataclasses.fields(catalog):
        resources: Iterable[object] = getattr(catalog, field.name) if field.name not in _NOT_COUNTED else ()
        for each in resources:
            if isinstance(each, Resource):
                counts[each.meta.kind] = counts.get(each.meta.kind, 0) + 1
    return counts
