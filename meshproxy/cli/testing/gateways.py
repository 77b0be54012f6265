"""Gateways that VirtualServices name and the files lack: route tests often live without them."""

from __future__ import annotations

from dataclasses import replace

from meshproxy.model.catalog import Catalog, Source, read_catalog
from meshproxy.model.hosts import MESH, resolve_gateway

_GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: "{name}", namespace: "{namespace}"}}
spec:
  selector: {{}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
"""


def with_assumed_gateways(catalog: Catalog) -> tuple[Catalog, list[str]]:
    """`catalog` with an HTTP server for any host in the place of each Gateway it lacks, and their names."""
    known = {gateway.meta.full_name for gateway in catalog.gateways}
    named = {
        resolve_gateway(name, service.meta.namespace)
        for service in catalog.virtual_services
        for name in (
            *service.gateways,
            *(name for rule in service.http for block in rule.match for name in block.gateways),
        )
    }
    missing = sorted(named - known - {MESH})
    pairs = [name.partition("/") for name in missing]
    text = "".join(_GATEWAY.format(name=name, namespace=namespace) for namespace, _, name in pairs)
    made, _ = read_catalog([Source("(assumed)", text.encode())])
    return replace(catalog, gateways=(*catalog.gateways, *made.gateways)), missing
