"""The services one workload can see, by their full host: from Kubernetes Services, ServiceEntries and `--map`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshproxy.base.origin import Origin
from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.protocols import Protocol, by_name, by_word
from meshproxy.model.catalog import Catalog
from meshproxy.model.hosts import DOMAIN, is_exported, resolve_host, service_host
from meshproxy.model.kubernetes import Service as KubernetesService
from meshproxy.model.service_entry import ServiceEntry
from meshproxy.plan.cluster import Resolution

_RESOLUTIONS = {
    "": Resolution.DYNAMIC,
    "NONE": Resolution.DYNAMIC,
    "STATIC": Resolution.STATIC,
    "DNS": Resolution.STRICT_DNS,
    "DNS_ROUND_ROBIN": Resolution.LOGICAL_DNS,
    "DYNAMIC_DNS": Resolution.DYNAMIC,
}
"""By Istio's word. NONE is the address the client dialled: here, the host it asks for."""
EXPORT_TO = "networking.istio.io/exportTo"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """`target` is the number or name endpoints listen on, 0 where it is the port itself."""

    number: int
    name: str
    protocol: Protocol
    target: int | str = 0

    @property
    def is_http(self) -> bool:
        return self.protocol in (Protocol.HTTP, Protocol.SNIFFED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One host. `sources` are the resources that define it, of which its endpoints are made."""

    host: str
    namespace: str
    name: str = ""  # of a Kubernetes Service
    ports: tuple[ServicePort, ...] = ()
    addresses: tuple[str, ...] = ()
    headless: bool = False
    resolution: Resolution = Resolution.STATIC
    sources: tuple[KubernetesService | ServiceEntry, ...] = ()
    origin: Origin | None = None

    @property
    def http_ports(self) -> tuple[ServicePort, ...]:
        return tuple(port for port in self.ports if port.is_http)

    def names(self, namespace: str) -> Iterator[str]:
        """All names a client in `namespace` may call it by (generateVirtualHostDomains)."""
        names = [self.host] if self.host == "*" else [self.host, f"{self.host}."]
        if self.name:
            if self.namespace == namespace:
                names.append(self.name)
            names += f"{self.name}.{self.namespace}", f"{self.name}.{self.namespace}.svc"
        yield from names
        if self.headless:
            yield from (f"*.{name}" for name in names)
        yield from self.addresses


@dataclass(frozen=True, slots=True)
class Registry:
    """`services` by host; `mapped` what `--map` says: host → subset (or "") → addresses."""

    services: Mapping[str, Service]
    mapped: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]]


def build_registry(catalog: Catalog, options: BuildOptions) -> Registry:
    """Kubernetes' own service wins over a ServiceEntry of the same host, our namespace's over another's, and the
    older over the newer."""
    namespace = options.namespace
    services: dict[str, Service] = {}
    for service in catalog.services:
        export_to = [part.strip() for part in service.meta.annotations.get(EXPORT_TO, "").split(",") if part.strip()]
        if is_exported(export_to, service.meta.namespace, namespace):
            built = _from_kubernetes(service)
            services.setdefault(built.host, built)
    entries: dict[str, Service] = {}
    visible = [
        entry for entry in catalog.service_entries if is_exported(entry.export_to, entry.meta.namespace, namespace)
    ]
    for entry in sorted(visible, key=lambda entry: entry.meta.namespace != namespace):
        for host in map(str.lower, entry.hosts):
            built = _from_entry(entry, host)
            entries[host] = _merged(entries[host], built) if host in entries else built
    services = entries | services
    mapped: dict[str, dict[str, tuple[tuple[str, int], ...]]] = {}
    for name, subset, addresses in options.maps:
        subsets = mapped.setdefault(resolve_host(name, namespace), {})
        subsets[subset] = subsets.get(subset, ()) + addresses
    for host in mapped.keys() - services.keys():
        services[host] = _from_map(host, catalog)
    return Registry(dict(sorted(services.items())), mapped)


def _from_kubernetes(service: KubernetesService) -> Service:
    meta = service.meta
    ips = service.cluster_ips or (service.cluster_ip,)
    return Service(
        host=service_host(meta.name, meta.namespace),
        namespace=meta.namespace,
        name=meta.name,
        ports=tuple(
            ServicePort(port.port, port.name, protocol, port.target_port)
            for port in service.ports
            if (protocol := by_name(port.name, port.port, port.app_protocol, port.protocol)) is not Protocol.UDP
        ),
        addresses=_literal(ips),
        headless=service.cluster_ip == "None",
        sources=(service,),
        origin=service.at.origin,
    )


def _from_entry(entry: ServiceEntry, host: str) -> Service:
    return Service(
        host=host,
        namespace=entry.meta.namespace,
        ports=tuple(
            ServicePort(port.number, port.name, protocol, port.target_port)
            for port in entry.ports
            if (protocol := by_word(port.protocol)) is not Protocol.UDP
        ),
        addresses=_literal(entry.addresses),
        resolution=_RESOLUTIONS[entry.resolution],
        sources=(entry,),
        origin=entry.at.origin,
    )


def _merged(first: Service, other: Service) -> Service:
    """Two ServiceEntries of one host: ports and endpoints of one namespace come together, another's are not seen."""
    if first.namespace != other.namespace:
        return first
    numbers = {port.number for port in first.ports}
    return Service(
        host=first.host,
        namespace=first.namespace,
        ports=first.ports + tuple(port for port in other.ports if port.number not in numbers),
        addresses=tuple(dict.fromkeys(first.addresses + other.addresses)),
        resolution=first.resolution,
        sources=first.sources + other.sources,
        origin=first.origin,
    )


def _from_map(host: str, catalog: Catalog) -> Service:
    """A host that nobody declares: its ports are those that destinations name, else 80. What a port speaks is what
    the rules are that name it."""
    ports: dict[int, Protocol] = {}
    for service in catalog.virtual_services:
        for protocol, rules in (
            (Protocol.HTTP, [rule.route for rule in service.http]),
            (Protocol.TLS, [rule.route for rule in service.tls]),
            (Protocol.TCP, [rule.route for rule in service.tcp]),
        ):
            for destination in (route.destination for routes in rules for route in routes):
                if destination is None or destination.port is None:
                    continue
                if resolve_host(destination.host, service.meta.namespace) == host:
                    ports.setdefault(destination.port.number, protocol)
    name, _, rest = host.partition(".")
    namespace, _, suffix = rest.partition(".")
    is_local = suffix == f"svc.{DOMAIN}"
    return Service(
        host=host,
        namespace=namespace if is_local else "",
        name=name if is_local else "",
        ports=tuple(ServicePort(number, protocol.name.lower(), protocol) for number, protocol in sorted(ports.items()))
        or (ServicePort(80, "http", Protocol.HTTP),),
    )


def _literal(addresses: Iterable[str]) -> tuple[str, ...]:
    """Single IP addresses as a Host header has them; networks name nobody."""
    found: list[str] = []
    for address in addresses:
        try:
            network = ipaddress.ip_network(address)
        except ValueError:
            continue
        if network.num_addresses == 1 and not network.network_address.is_unspecified:
            ip = str(network.network_address)
            found.append(f"[{ip}]" if network.version == 6 else ip)
    return tuple(found)
