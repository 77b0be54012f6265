"""TrafficPolicy: the policies a DestinationRule attaches to a host, a subset or a port."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from meshproxy.model.checks import domain_or_ip, not_negative, percent
from meshproxy.model.connection_pool import ClientTLSSettings, ConnectionPoolSettings, OutlierDetection
from meshproxy.model.destination import PortSelector
from meshproxy.model.fields import double, duration, enum, message, messages, text, whole
from meshproxy.model.load_balancer import LoadBalancerSettings
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message


def _tunnel_protocol(name: str) -> str | None:
    return None if name in ("", "CONNECT", "POST") else f'"{name}" is not a tunnel protocol: write CONNECT or POST'


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTrafficPolicy(Message):
    port: PortSelector | None = message(PortSelector, required=True)
    load_balancer: LoadBalancerSettings | None = message(LoadBalancerSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outlier_detection: OutlierDetection | None = message(OutlierDetection)
    tls: ClientTLSSettings | None = message(ClientTLSSettings)

    def rules(self) -> Iterator[Problem]:
        yield from _block_problems(self, ("load_balancer", "connection_pool", "outlier_detection", "tls"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings(Message):
    protocol: str = text(_tunnel_protocol)
    target_host: str = text(domain_or_ip, required=True)
    target_port: int = whole(1, 65535, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocol(Message):
    version: str = enum("V1", "V2")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget(Message):
    percent: float | None = double(percent, default=None)
    min_retry_concurrency: int = whole()
    budget_interval: float | None = duration(not_negative)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy(Message):
    ONE_OF: ClassVar = (("tunnel", "proxy_protocol"),)

    load_balancer: LoadBalancerSettings | None = message(LoadBalancerSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outlier_detection: OutlierDetection | None = message(OutlierDetection)
    tls: ClientTLSSettings | None = message(ClientTLSSettings)
    port_level_settings: tuple[PortTrafficPolicy, ...] = messages(PortTrafficPolicy)
    tunnel: TunnelSettings | None = message(TunnelSettings)
    proxy_protocol: ProxyProtocol | None = message(ProxyProtocol)
    retry_budget: RetryBudget | None = message(RetryBudget)

    def rules(self) -> Iterator[Problem]:
        yield from _block_problems(self, [field.name for field in fields(self) if field.name != "at"])


def _block_problems(policy: PortTrafficPolicy | TrafficPolicy, members: Sequence[str]) -> Iterator[Problem]:
    if not any(getattr(policy, name) for name in members):
        yield policy.at.error("", f"this policy is empty: write one of {', '.join(map(json_name, members))}")
    if policy.load_balancer is not None and policy.outlier_detection is None:
        yield from policy.load_balancer.failover_problems()
