"""TrafficPolicy: the policies a DestinationRule attaches to a host, a subset or a port."""

from dataclasses import dataclass

from meshproxy.model.connection_pool import ClientTLSSettings, ConnectionPoolSettings, OutlierDetection
from meshproxy.model.destination import PortSelector
from meshproxy.model.fields import double, duration, enum, message, messages, text, whole
from meshproxy.model.load_balancer import LoadBalancerSettings
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTrafficPolicy(Message):
    port: PortSelector | None = message(PortSelector)
    load_balancer: LoadBalancerSettings | None = message(LoadBalancerSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outlier_detection: OutlierDetection | None = message(OutlierDetection)
    tls: ClientTLSSettings | None = message(ClientTLSSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings(Message):
    protocol: str = text()
    target_host: str = text()
    target_port: int = whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocol(Message):
    version: str = enum("V1", "V2")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget(Message):
    percent: float | None = double(default=None)
    min_retry_concurrency: int = whole()
    budget_interval: float | None = duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy(Message):
    load_balancer: LoadBalancerSettings | None = message(LoadBalancerSettings)
    connection_pool: ConnectionPoolSettings | None = message(ConnectionPoolSettings)
    outlier_detection: OutlierDetection | None = message(OutlierDetection)
    tls: ClientTLSSettings | None = message(ClientTLSSettings)
    port_level_settings: tuple[PortTrafficPolicy, ...] = messages(PortTrafficPolicy)
    tunnel: TunnelSettings | None = message(TunnelSettings)
    proxy_protocol: ProxyProtocol | None = message(ProxyProtocol)
    retry_budget: RetryBudget | None = message(RetryBudget)
