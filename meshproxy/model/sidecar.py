"""Sidecar: what a workload's proxy can see and what it listens on."""

from dataclasses import dataclass

from meshproxy.model.connection_pool import ConnectionPoolSettings
from meshproxy.model.destination import Destination
from meshproxy.model.fields import enum, message, messages, text, texts, whole
from meshproxy.model.reader import Message
from meshproxy.model.resource import Resource
from meshproxy.model.server_tls import ServerTLSSettings
from meshproxy.model.service_entry import WorkloadSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPort(Message):
    number: int = whole()
    protocol: str = text()
    name: str = text()
    target_port: int = whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioIngressListener(Message):
    port: SidecarPort | None = message(SidecarPort)
    bind: str = text()
    capture_mode: str = enum("DEFAULT", "IPTABLES", "NONE")
    default_endpoint: str = text()
    tls: ServerTLSSettings | None = message(ServerTLSSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioEgressListener(Message):
    port: SidecarPort | None = message(SidecarPort)
    bind: str = text()
    capture_mode: str = enum("DEFAULT", "IPTABLES", "NONE")
    hosts: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTrafficPolicy(Message):
    mode: str = enum("REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS")
    egress_proxy: Destination | None = message(Destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar(Resource):
    workload_selector: WorkloadSelector | None = message(WorkloadSelector)
    ingress: tuple[IstioIngressListener, ...] = messages(IstioIngressListener)
    egress: tuple[IstioEgressListener, ...] = messages(IstioEgressListener)
    inbound_connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outbound_traffic_policy: OutboundTrafficPolicy | None = message(OutboundTrafficPolicy)
