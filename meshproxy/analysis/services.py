"""Services and ServiceEntries: port names, protocols, addresses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, View, scopes
from meshproxy.model.kubernetes import ServicePort as KubernetesPort
from meshproxy.model.problem import Problem
from meshproxy.model.protocols import port_protocol
from meshproxy.model.service_entry import ServiceEntry, ServicePort

#: What istiod labels the Services with that it makes for Kubernetes Gateways.
_MANAGED = "gateway.istio.io/managed"
_CONTROLLERS = frozenset(f"istio.io-{name}-controller" for name in ("gateway", "mesh", "eastwest"))


def check_port_names(view: View) -> Iterator[Problem]:
    """IST0118, IST0150: names that say no protocol."""
    for service in view.catalog.services:
        labels = service.meta.labels
        external = service.type == "ExternalName"
        if "istio" in labels or labels.get("release") == "istio" or labels.get(_MANAGED) in _CONTROLLERS:
            continue
        for port in service.ports:
            if not _says_nothing(port) and not (external and port.name == "tcp"):
                continue
            yield _port_name(port, external=external)


def _says_nothing(port: KubernetesPort) -> bool:
    transport = port.protocol or "TCP"
    return port_protocol(port.name, port.port, app_protocol=port.app_protocol, transport=transport).is_sniffed


def _port_name(port: KubernetesPort, *, external: bool) -> Problem:
    origin = port.at.field("name")
    if external:
        return finding(
            "IST0150", f'port {port.port} of an ExternalName Service is named "{port.name}": name its protocol', origin
        )
    named = f'"{port.name}"' if port.name else "without a name"
    if port.app_protocol:
        named = f'with appProtocol "{port.app_protocol}"'
    target = f", targetPort {port.target_port}" if port.target_port else ""
    return finding(
        "IST0118",
        f"port {port.port}{target} {named} says no protocol, so the first bytes decide: name it http, grpc-…, "
        f"tcp-… or set appProtocol",
        origin,
    )


def check_addresses(view: View) -> Iterator[Problem]:
    """IST0134: TCP ports of a ServiceEntry that has no address to tell them apart by."""
    for entry in view.catalog.service_entries if not view.mesh.allocates_addresses else ():
        allocated = entry.reported is not None and entry.reported.addresses
        for port in entry.ports if not (entry.addresses or allocated) else ():
            if port.protocol.lower() in ("", "tcp"):
                protocol = f"protocol {port.protocol}" if port.protocol else "no protocol"
                message = (
                    f"port {port.number} has {protocol}, and the entry no addresses: TCP has no host name to go by"
                )
                yield finding("IST0134", message, port.at.origin)


def check_protocols(view: View) -> Iterator[Problem]:
    """IST0177: one host and port, two protocols."""
    found: dict[tuple[str, str, int], list[tuple[ServiceEntry, ServicePort]]] = defaultdict(list)
    for entry in view.catalog.service_entries:
        for scope in dict.fromkeys(scopes(entry.export_to, entry.meta.namespace)):
            for host in entry.hosts:
                for port in entry.ports:
                    found[scope, host, port.number].append((entry, port))
    told: set[int] = set()
    for (scope, host, number), own in list(found.items()):
        seen = [*own, *(found.get(("*", host, number), ()) if scope != "*" else ())]
        protocols = sorted({port.protocol.upper() for _, port in seen})
        if len(protocols) < 2 or len({id(entry) for entry, _ in seen}) < 2:
            continue
        names = ", ".join(sorted({entry.meta.full_name for entry, _ in seen}))
        for entry, port in seen:
            if id(entry) not in told:
                told.add(id(entry))
                message = f'ServiceEntries {names} give port {number} of "{host}" several protocols: '
                yield finding("IST0177", message + ", ".join(p or "none" for p in protocols), port.at.field("protocol"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0118", "IST0150"), check_port_names),
    (("IST0134",), check_addresses),
    (("IST0177",), check_protocols),
)
