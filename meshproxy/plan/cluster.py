"""What we know of those we call, before we call them: clusters, their endpoints and policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from meshproxy.base.origin import Origin

CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 60.0
"""Of a pooled connection, where nothing is written; math.inf keeps it for ever."""


class Balancer(Enum):
    """Values are Istio's names."""

    LEAST_REQUEST = "LEAST_REQUEST"
    ROUND_ROBIN = "ROUND_ROBIN"
    RANDOM = "RANDOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a cluster. Its key, by which live state survives reloads, is (address, port)."""

    address: str  # an IP address, or unix:///path with port 0
    port: int
    weight: int = 1
    labels: tuple[tuple[str, str], ...] = ()
    locality: str = ""  # region/zone/subzone
    healthy: bool = True  # False: known, but not ready
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A DestinationRule that speaks of the host and does not apply; `reason` says why."""

    rule: str  # namespace/name
    reason: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`name` is Istio's: `outbound|9080|v2|reviews.default.svc.cluster.local`. `origin` is the DestinationRule
    (or its subset) that shaped it, or the service's."""

    name: str
    host: str
    port: int
    subset: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    balancer: Balancer = Balancer.LEAST_REQUEST
    connect_timeout: float = CONNECT_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    origin: Origin | None = None
    rule: str = ""  # the DestinationRule that applied: namespace/name
    labels: tuple[tuple[str, str], ...] = ()  # what the subset selects by
    passed_over: tuple[PassedOver, ...] = field(default=(), compare=False)
