"""Where a VirtualService is compiled for: one port of the mesh listener or of a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from meshproxy.compiler.hashing import Hashing
from meshproxy.compiler.registry import Registry
from meshproxy.compiler.report import NO_PORT, Report
from meshproxy.compiler.selection import has_labels
from meshproxy.model.destination import Destination
from meshproxy.model.hosts import MESH, resolve_gateway, resolve_host


class Placed(Protocol):
    """What a match of any protocol asks of the place where it is compiled."""

    @property
    def gateways(self) -> tuple[str, ...]: ...
    @property
    def source_labels(self) -> Mapping[str, str]: ...
    @property
    def source_namespace(self) -> str: ...
    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`gateway` is MESH or the Gateway's `namespace/name`; `port` the service's port on the mesh listener and the
    server's on a gateway: what `match.port` and `FROM_REQUEST_PORT` speak of. `namespace` and `labels` are those of
    the workload that routes. `service` is the host asked for."""

    gateway: str
    port: int
    namespace: str
    labels: Mapping[str, str]
    service: str
    registry: Registry
    report: Report
    hashing: Hashing
    shadow_host_suffix: bool = False

    def destination(self, destination: Destination, owner: str) -> tuple[str, int]:
        """Full host and port of a destination named in a resource of namespace `owner` (GetDestinationCluster)."""
        host = resolve_host(destination.host, owner)
        if destination.port is not None and destination.port.number:
            return host, destination.port.number
        service = self.registry.services.get(host)
        if service is None:
            return host, self.port
        numbers = [port.number for port in service.ports]
        # our mesh listener takes the request's port where the service has it; on a gateway the port of the server
        # says nothing of the service's
        if self.gateway == MESH and self.port in numbers:
            return host, self.port
        if len(numbers) == 1:
            return host, numbers[0]
        if self.port not in numbers:
            self.report.warn(
                NO_PORT,
                f"{host} has the ports {', '.join(map(str, numbers))} and none of them is {self.port}: "
                "name one in destination.port.number",
                destination.at.origin,
            )
        return host, self.port

    def why_not(self, match: Placed, owner: str) -> tuple[str, str] | None:
        """Field and reason for which `match`, of a resource in namespace `owner`, can take nothing here: what does not
        depend on the request (Istio: sourceMatchHTTP). `gateways` overrides the source conditions."""
        if match.gateways:
            if self.gateway not in (resolve_gateway(name, owner) for name in match.gateways):
                return "gateways", f"gateways: wanted {' or '.join(match.gateways)}, got {self.gateway}"
        elif not has_labels(self.labels, match.source_labels):
            got = _pairs(self.labels) or "a workload without labels"
            return "source_labels", f"sourceLabels: wanted {_pairs(match.source_labels)}, got {got}"
        elif match.source_namespace not in ("", self.namespace):
            return "source_namespace", f"sourceNamespace: wanted {match.source_namespace}, got {self.namespace}"
        if match.port not in (0, self.port):
            whose = "the service" if self.gateway == MESH else "the gateway"
            return "port", f"port: wanted {match.port}, got {self.port}, the port of {whose}"
        return None


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())
