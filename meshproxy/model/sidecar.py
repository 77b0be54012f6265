"""Sidecar: what a workload's proxy can see and what it listens on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.model.checks import (
    UNIX,
    dns_label,
    domain,
    ip_address,
    known_protocol,
    optional_dns_label,
    unix_path,
)
from meshproxy.model.connection_pool import ConnectionPoolSettings
from meshproxy.model.destination import Destination
from meshproxy.model.fields import enum, message, messages, text, texts, whole
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.protocols import parse_protocol
from meshproxy.model.reader import Message
from meshproxy.model.references import scoped_host_problem
from meshproxy.model.resource import Resource
from meshproxy.model.server_tls import ServerTLSSettings
from meshproxy.model.service_entry import WorkloadSelector

_CAPTURE_MODES = ("DEFAULT", "IPTABLES", "NONE")
_DEFAULT_ENDPOINT = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\])?:([0-9]{1,5})")
_NO_INGRESS_TLS = ("subject_alt_names", "https_redirect", "credential_name", "credential_names", "tls_certificates")


def _default_endpoint(written: str) -> str | None:
    if not written:
        return None
    if written.startswith(UNIX):
        return unix_path(written.removeprefix(UNIX))
    found = _DEFAULT_ENDPOINT.fullmatch(written)
    if found and 1 <= int(found[1]) <= 65535:
        return None
    return f'"{written}" is not 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path'


def _egress_host(written: str) -> str | None:
    """`namespace/dnsName`; `*`, `.` and `~` (none, or before a name: all but it) stand for namespaces too."""
    namespace, slash, host = written.partition("/")
    if not slash or not (namespace and host):
        return f'"{written}" is not of the form namespace/dnsName, such as "./*" or "*/reviews.prod.svc.cluster.local"'
    owner = namespace.removeprefix("~")
    if owner not in ("", "*", ".") and (wrong := dns_label(owner)):
        return f"the namespace of {written}: {wrong}"
    return scoped_host_problem(host)


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    number: int = whole(0, 65535)
    protocol: str = text(known_protocol)
    name: str = text(optional_dns_label)
    target_port: int = whole()

    def rules(self) -> Iterator[Problem]:
        if self.target_port:
            yield self.at.error("target_port", "targetPort has no effect on a Sidecar: remove it")


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioIngressListener(Message):
    port: SidecarPort | None = message(SidecarPort, required=True)
    bind: str = text()
    capture_mode: str = enum(*_CAPTURE_MODES)
    default_endpoint: str = text(_default_endpoint)
    tls: ServerTLSSettings | None = message(ServerTLSSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)

    def rules(self) -> Iterator[Problem]:
        if self.bind and (wrong := ip_address(self.bind)):
            yield self.at.error("bind", wrong)
        if self.port is None:
            return
        if not self.port.number:
            yield self.port.at.error("number", "an ingress listener needs a port from 1 to 65535")
        protocol = parse_protocol(self.port.protocol)
        if self.tls is not None:
            yield from self._tls_problems(self.tls)
            if not protocol.is_tls:
                yield self.at.error("tls", "tls needs a port of the protocol HTTPS or TLS")
        if self.connection_pool is not None and self.connection_pool.http is not None and not protocol.is_http:
            yield self.connection_pool.at.warning("http", "this port is not HTTP: only the tcp settings apply")

    def _tls_problems(self, tls: ServerTLSSettings) -> Iterator[Problem]:
        for name in _NO_INGRESS_TLS:
            if getattr(tls, name):
                yield tls.at.error(name, f"{json_name(name)} is not supported in the tls of a Sidecar")
        if tls.mode in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"):
            yield tls.at.error("mode", f"the mode {tls.mode} is not supported in the tls of a Sidecar")


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    port: SidecarPort | None = message(SidecarPort)
    bind: str = text()
    capture_mode: str = enum(*_CAPTURE_MODES)
    hosts: tuple[str, ...] = texts(_egress_host, required=True)

    def rules(self) -> Iterator[Problem]:
        if self.port is not None:
            yield from self._bind_problems(self.port)
        covered: set[str] = set()
        namespaces = {host.partition("/")[0] for host in self.hosts if not host.startswith("~")}
        for index, host in enumerate(self.hosts):
            namespace = host.partition("/")[0]
            if host in covered or f"{namespace}/*" in covered:
                yield self.at.warning("hosts", f'"{host}" is named before already', index)
            covered.add(host)
        if "*/*" in covered and len(namespaces) > 1:
            yield self.at.warning("hosts", '"*/*" imports everything: the other hosts add nothing')

    def _bind_problems(self, port: SidecarPort) -> Iterator[Problem]:
        if port.number:
            if self.bind and (wrong := ip_address(self.bind)):
                yield self.at.error("bind", wrong)
            return
        if not self.bind.startswith(UNIX):
            yield port.at.error("number", "a port needs a number, or the listener a bind to a unix socket")
        elif wrong := unix_path(self.bind.removeprefix(UNIX)):
            yield self.at.error("bind", wrong)
        if self.capture_mode == "IPTABLES":
            yield self.at.error("capture_mode", "connections to a unix socket are not captured: write NONE")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    mode: str = enum("REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS")
    egress_proxy: Destination | None = message(Destination)

    def rules(self) -> Iterator[Problem]:
        if self.mode == "ALLOW_ANY_DYNAMIC_DNS":
            yield self.at.error("mode", "ALLOW_ANY_DYNAMIC_DNS is only for the mesh config")
        elif self.egress_proxy is not None:
            if self.mode != "ALLOW_ANY":
                yield self.at.error("egress_proxy", "egressProxy needs the mode ALLOW_ANY")
            if self.egress_proxy.host and (wrong := domain(self.egress_proxy.host)):
                yield self.egress_proxy.at.error("host", wrong)
            if self.egress_proxy.port is None:
                yield self.egress_proxy.at.error("port", "egressProxy needs a port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar(Resource):
    workload_selector: WorkloadSelector | None = message(WorkloadSelector)
    ingress: tuple[IstioIngressListener, ...] = messages(IstioIngressListener)
    egress: tuple[IstioEgressListener, ...] = messages(IstioEgressListener)
    inbound_connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outbound_traffic_policy: OutboundTrafficPolicy | None = message(OutboundTrafficPolicy)

    def rules(self) -> Iterator[Problem]:
        if not self.at.marks.keys() & {"ingress", "egress", "outbound_traffic_policy", "inbound_connection_pool"}:
            message = "a Sidecar needs ingress, egress, outboundTrafficPolicy or inboundConnectionPool"
            yield self.at.error("", message)
        for listeners in (self.ingress, self.egress):
            yield from _same_port_problems(listeners)
        for index, listener in enumerate(self.egress[:-1]):
            if listener.port is None:
                message = "a listener without port takes all ports: it must be the last one, and the only one"
                yield self.at.error("egress", message, index)


def _same_port_problems(
    listeners: tuple[IstioIngressListener, ...] | tuple[IstioEgressListener, ...],
) -> Iterator[Problem]:
    seen: set[int | str] = set()
    for listener in listeners:
        if listener.port is None:
            continue
        key = listener.port.number or listener.bind
        if key in seen:
            yield listener.port.at.error("number", f"another listener has {key} already")
        seen.add(key)
