"""What we know of those we call, before we call them: clusters, their endpoints and policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from meshproxy.base.origin import Origin
from meshproxy.plan.hashing import HashTable
from meshproxy.plan.limits import ConnectionPolicy, Limits, RetryBudget
from meshproxy.plan.outlier import OutlierDetection
from meshproxy.plan.slow_start import Warmup
from meshproxy.plan.upstream_tls import ProxyProtocol, Tunnel, UpstreamTls

CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 60.0
"""Of a pooled connection, where nothing is written; math.inf keeps it for ever."""
STREAM_IDLE_TIMEOUT = 3600.0
"""Of a connection whose bytes are passed on as they are."""


class Balancer(Enum):
    """Values are Istio's names."""

    LEAST_REQUEST = "LEAST_REQUEST"
    ROUND_ROBIN = "ROUND_ROBIN"
    RANDOM = "RANDOM"


class Resolution(Enum):
    """How a cluster's endpoints come by their IP addresses, as Envoy names it. DNS: some are names, to be looked up,
    all their addresses used or the first. DYNAMIC: there are none, whoever is asked for is called."""

    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    DYNAMIC = "DYNAMIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a cluster. Its key, by which live state survives reloads, is (address, port); or (name, port),
    where the address is only what the name stands for at present."""

    address: str  # an IP address, or unix:///path with port 0
    port: int
    weight: int = 1
    labels: tuple[tuple[str, str], ...] = ()
    locality: str = ""  # region/zone/subzone
    healthy: bool = True  # False: known, but not ready
    priority: int = 0  # the first one that has healthy endpoints takes the load
    origin: Origin | None = None
    name: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.name or self.address, self.port


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A DestinationRule that speaks of the host and does not apply; `reason` says why."""

    rule: str  # namespace/name
    reason: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`name` is Istio's: `outbound|9080|v2|reviews.default.svc.cluster.local`. `origin` is the DestinationRule
    (or its subset) that shaped it, or the service's. Policies that are absent are None; `hashing` takes the place of
    `balancer`; `locality_weights` says what each locality gets, and is empty where nothing is distributed."""

    name: str
    host: str
    port: int
    subset: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    balancer: Balancer = Balancer.LEAST_REQUEST
    connect_timeout: float = CONNECT_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    stream_idle_timeout: float = STREAM_IDLE_TIMEOUT
    resolution: Resolution = Resolution.STATIC
    hashing: HashTable | None = None
    hashes_source: bool = False  # byte streams are hashed by the client's address
    warmup: Warmup | None = None
    locality_weights: tuple[tuple[str, int], ...] = ()
    panic_threshold: int = 0  # per cent; below it health is ignored
    outlier: OutlierDetection | None = None
    limits: Limits | None = None
    retry_budget: RetryBudget | None = None
    connections: ConnectionPolicy | None = None
    tls: UpstreamTls | None = None
    proxy_protocol: ProxyProtocol | None = None
    tunnel: Tunnel | None = None
    origin: Origin | None = None
    rule: str = ""  # the DestinationRule that applied: namespace/name
    labels: tuple[tuple[str, str], ...] = ()  # what the subset selects by
    passed_over: tuple[PassedOver, ...] = field(default=(), compare=False)

    @property
    def plain(self) -> bool:
        """Whether nothing is asked but a balancer and time-outs."""
        policies = (
            *(self.hashing, self.warmup, self.outlier, self.limits, self.retry_budget),
            *(self.connections, self.tls, self.proxy_protocol),
        )
        return (
            all(policy is None for policy in policies)
            and not self.locality_weights
            and not any(endpoint.priority for endpoint in self.endpoints)
        )
