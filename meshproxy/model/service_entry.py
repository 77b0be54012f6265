"""ServiceEntry and WorkloadEntry: services and endpoints no Kubernetes registry knows."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from meshproxy.model.checks import (
    UNIX,
    dns_label,
    domain,
    domain_or_ip,
    known_protocol,
    label_key,
    label_value,
    partial_wildcard,
    selector_key,
    selector_part,
    subnet,
    unix_path,
    wildcard_domain,
)
from meshproxy.model.fields import enum, message, messages, text, text_map, texts, whole, whole_map
from meshproxy.model.hosts import is_ip, is_wildcard
from meshproxy.model.problem import Problem
from meshproxy.model.protocols import Protocol, parse_protocol
from meshproxy.model.reader import Message
from meshproxy.model.references import export_to_problems, selector_problems
from meshproxy.model.resource import Resource

_DYNAMIC_PROTOCOLS = (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.TLS)
_NO_ALLOCATION = "networking.istio.io/enable-autoallocate-ip"


def _entry_host(host: str) -> str | None:
    return 'the host "*" is too wide: write "*." and a domain' if host == "*" else wildcard_domain(host)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSelector(Message):
    labels: Mapping[str, str] = text_map(selector_part, key=selector_key)

    def rules(self) -> Iterator[Problem]:
        yield from selector_problems(self.at, self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Message):
    number: int = whole(1, 65535, required=True)
    protocol: str = text(known_protocol)
    name: str = text(dns_label, required=True)
    target_port: int = whole(0, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Resource):
    """A resource of its own, or an endpoint of a ServiceEntry (then without name)."""

    address: str = text()
    ports: Mapping[str, int] = whole_map(1, 65535, key=dns_label)
    labels: Mapping[str, str] = text_map(label_value, key=label_key)
    network: str = text()
    locality: str = text()
    weight: int = whole()
    service_account: str = text()

    @property
    def is_unix(self) -> bool:
        """Whether the address is a unix socket."""
        return self.address.startswith(UNIX)

    def rules(self) -> Iterator[Problem]:
        if not self.address:
            if self.network:
                yield self.at.warning("address", f"without address: only the gateway of {self.network} reaches it")
            else:
                yield self.at.error("address", "an endpoint needs an address: an IP, a host name or unix:///path")
        elif self.is_unix:
            if wrong := unix_path(self.address.removeprefix(UNIX)):
                yield self.at.error("address", wrong)
            if self.ports:
                yield self.at.error("ports", "a unix socket has no ports")
        elif wrong := domain_or_ip(self.address):
            yield self.at.error("address", wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Resource):
    hosts: tuple[str, ...] = texts(_entry_host, required=True)
    addresses: tuple[str, ...] = texts(subnet)
    ports: tuple[ServicePort, ...] = messages(ServicePort)
    location: str = enum("MESH_EXTERNAL", "MESH_INTERNAL")
    resolution: str = enum("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")
    endpoints: tuple[WorkloadEntry, ...] = messages(WorkloadEntry)
    workload_selector: WorkloadSelector | None = message(WorkloadSelector)
    export_to: tuple[str, ...] = texts()
    subject_alt_names: tuple[str, ...] = texts()

    def rules(self) -> Iterator[Problem]:
        if self.workload_selector is not None and "endpoints" in self.at.marks:
            yield self.at.error("endpoints", "workloadSelector and endpoints exclude each other: keep one")
        if self.resolution != "DYNAMIC_DNS":
            for index, host in enumerate(self.hosts):
                if wrong := partial_wildcard(host):
                    yield self.at.warning("hosts", wrong, index)
        yield from self._port_problems()
        yield from _BY_RESOLUTION[self.resolution or "NONE"](self)
        yield from self._address_problems()
        yield from export_to_problems(self.at, self.export_to, self.meta.namespace, none_allowed=True)

    def _port_problems(self) -> Iterator[Problem]:
        names: set[str] = set()
        numbers: set[int] = set()
        for port in self.ports:
            if port.name in names:
                yield port.at.error("name", f'the port name "{port.name}" stands here twice')
            if port.number in numbers:
                yield port.at.error("number", f"the port {port.number} stands here twice")
            names.add(port.name)
            numbers.add(port.number)
            protocol = parse_protocol(port.protocol)
            if (
                len(self.hosts) > 1
                and self.resolution not in ("", "NONE")
                and not (protocol.is_http or protocol.is_tls)
            ):
                message = "with several hosts only HTTP and TLS ports can be told apart: split this ServiceEntry"
                yield port.at.error("protocol", message)

    def _address_problems(self) -> Iterator[Problem]:
        for index, address in enumerate(self.addresses):
            if "/" in address and self.resolution not in ("", "NONE", "STATIC"):
                yield self.at.error("addresses", "CIDR blocks are only for resolution NONE and STATIC", index)
        allocated = self.resolution not in ("", "NONE") and self.meta.labels.get(_NO_ALLOCATION) != "false"
        for port in self.ports if not self.addresses and not allocated else ():
            if port.protocol in ("", "TCP"):
                yield port.at.warning("protocol", "a TCP port needs addresses, or connections cannot be told apart")

    def _none_problems(self) -> Iterator[Problem]:
        if self.endpoints:
            yield self.at.error("endpoints", "resolution NONE has no endpoints: write STATIC or DNS")
        if self.workload_selector is not None:
            yield self.at.warning("workload_selector", "resolution NONE selects no workloads: write STATIC")

    def _static_problems(self) -> Iterator[Problem]:
        for endpoint in self.endpoints:
            if endpoint.address and not endpoint.is_unix and not is_ip(endpoint.address):
                message = f'"{endpoint.address}" is not an IP address: resolution STATIC needs one, or write DNS'
                yield endpoint.at.error("address", message)
            if endpoint.is_unix and len(self.ports) != 1:
                yield endpoint.at.error("address", "a unix socket needs a ServiceEntry of exactly one port")
            yield from self._endpoint_port_problems(endpoint)

    def _dns_problems(self) -> Iterator[Problem]:
        for index, host in enumerate(self.hosts if not self.endpoints else ()):
            if domain(host):
                yield self.at.error("hosts", f'"{host}" cannot be looked up: name endpoints, or hosts in full', index)
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints) > 1:
            yield self.at.error("endpoints", "resolution DNS_ROUND_ROBIN has one endpoint at most")
        for endpoint in self.endpoints:
            if endpoint.is_unix or (not endpoint.address and endpoint.network):
                yield endpoint.at.error("address", "resolution DNS needs a host name or an IP address")
            yield from self._endpoint_port_problems(endpoint)
        opaque = [port for port in self.ports if (protocol := parse_protocol(port.protocol)).is_tcp or protocol.is_tls]
        if self.addresses and len(self.hosts) > 1 and opaque:
            yield self.at.warning("hosts", "several hosts share these addresses on a TCP port: split this ServiceEntry")

    def _dynamic_problems(self) -> Iterator[Problem]:
        for index, host in enumerate(self.hosts):
            if not is_wildcard(host):
                yield self.at.error("hosts", f'"{host}": resolution DYNAMIC_DNS needs wildcard hosts', index)
        for name in ("addresses", "endpoints"):
            if getattr(self, name):
                yield self.at.error(name, f"resolution DYNAMIC_DNS has no {name}: it looks up the host asked for")
        for port in self.ports:
            if parse_protocol(port.protocol) not in _DYNAMIC_PROTOCOLS:
                yield port.at.error("protocol", "resolution DYNAMIC_DNS needs the protocol HTTP, HTTP2, GRPC or TLS")

    def _endpoint_port_problems(self, endpoint: WorkloadEntry) -> Iterator[Problem]:
        names: Set[str] = {port.name for port in self.ports}
        for name in endpoint.ports.keys() - names:
            yield endpoint.at.error("ports", f'"{name}" is not a port of this ServiceEntry', name)


_BY_RESOLUTION = {
    "NONE": ServiceEntry._none_problems,
    "STATIC": ServiceEntry._static_problems,
    "DNS": ServiceEntry._dns_problems,
    "DNS_ROUND_ROBIN": ServiceEntry._dns_problems,
    "DYNAMIC_DNS": ServiceEntry._dynamic_problems,
}
