"""The compiler's entry: a catalog to a Snapshot, and what is to be said about it. Same input, same plan."""

from __future__ import annotations

from dataclasses import replace

from meshproxy.compiler.clusters import ClusterBuilder
from meshproxy.compiler.connects import build_connects
from meshproxy.compiler.destination_rules import DestinationRules
from meshproxy.compiler.egress import (
    ALLOW_ANY,
    PASSTHROUGH,
    allow_any,
    chosen_sidecar,
    outbound_policy,
    passthrough_cluster,
    restricted,
)
from meshproxy.compiler.endpoints import Workloads
from meshproxy.compiler.findings import counted, find_unsupported
from meshproxy.compiler.gateway_tls import Certificates
from meshproxy.compiler.gateways import build_gateway_listeners
from meshproxy.compiler.hashing import Hashing
from meshproxy.compiler.localities import here
from meshproxy.compiler.mesh import build_mesh_hosts
from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.registry import build_registry
from meshproxy.compiler.report import Report
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.upstream_tls import ClientCertificates
from meshproxy.compiler.virtual_services import Bound, bind_services, of_mesh
from meshproxy.model.catalog import Catalog
from meshproxy.model.hosts import MESH
from meshproxy.model.problem import Problem
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import VirtualHosts

__all__ = ["BuildOptions", "build_snapshot"]


def build_snapshot(catalog: Catalog, options: BuildOptions) -> tuple[Snapshot, tuple[Problem, ...]]:
    """The plan of one workload, and findings: what does not act, what leads nowhere."""
    report = Report()
    find_unsupported(catalog, report)
    registry = build_registry(catalog, options)
    rules = DestinationRules(catalog.destination_rules, options.namespace, options.labels)
    scope = Scope(
        gateway=MESH,
        port=0,
        namespace=options.namespace,
        labels=options.labels,
        service="",
        registry=registry,
        report=report,
        hashing=Hashing(registry, rules),
        shadow_host_suffix=options.shadow_host_suffix,
    )
    bound = bind_services(catalog.virtual_services, report)
    mesh = _mesh_listener(catalog, bound, scope, options)
    clusters = ClusterBuilder(
        registry=registry,
        workloads=Workloads(catalog),
        rules=rules,
        here=here(options.labels),
        certificates=ClientCertificates(catalog, options, report),
    ).build()
    if mesh.connect is not None and mesh.connect.rest is not None:
        clusters[PASSTHROUGH] = passthrough_cluster()
    gateways = build_gateway_listeners(
        catalog.gateways,
        bound,
        scope,
        options,
        clusters=clusters,
        certificates=Certificates(catalog, options, report),
    )
    snapshot = Snapshot(
        listeners=(mesh, *gateways),
        clusters=clusters,
        digest=options.digest,
        counts=counted(catalog),
    )
    return snapshot, report.problems


def _mesh_listener(catalog: Catalog, bound: tuple[Bound, ...], scope: Scope, options: BuildOptions) -> Listener:
    """What a workload sees of the services, as its Sidecar has it."""
    sidecar = chosen_sidecar(catalog.sidecars, options)
    rules = of_mesh(bound, options.namespace, http=False)
    registry, rules = restricted(sidecar, scope.registry, rules, options.namespace)
    seen = replace(scope, registry=registry)
    hosts = build_mesh_hosts([each for each in rules if each.service.http], seen)
    opaque = [each for each in rules if each.service.tls or each.service.tcp]
    any_host = outbound_policy(sidecar, options) == ALLOW_ANY
    return Listener(
        name=MESH,
        host=options.mesh_host,
        port=options.mesh_port,
        server_port=options.mesh_port,
        virtual_hosts=VirtualHosts((*hosts.hosts, allow_any())) if any_host else hosts,
        connect=build_connects(opaque, seen, any_host=any_host),
    )
