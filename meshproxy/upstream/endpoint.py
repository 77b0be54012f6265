"""One endpoint of one cluster, alive: how many requests it has, which of its connections are idle.

Lives as long as its key (cluster, address, port) does; survives reloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.base import clock
from meshproxy.plan.cluster import Endpoint
from meshproxy.upstream.outlier import Monitor

if TYPE_CHECKING:
    from meshproxy.upstream.connection import UpstreamConnection
    from meshproxy.upstream.opening import Purpose
    from meshproxy.upstream.pool import Pool


class LiveEndpoint:
    """`active` counts requests in flight here; `retired` says that no configuration names it any more. `since` is when
    it came or came back; `pools` hold the connections of a policed cluster, `idle` those of any other."""

    __slots__ = (
        "active",
        "address",
        "connections",
        "failures",
        "idle",
        "monitor",
        "name",
        "plan",
        "pools",
        "port",
        "requests",
        "retired",
        "since",
        "weight",
    )

    def __init__(self, plan: Endpoint) -> None:
        self.port = plan.port
        self._move(plan.address)
        self.active = 0
        self.requests = 0
        self.failures = 0
        self.idle: list[UpstreamConnection] = []
        self.connections: set[UpstreamConnection] = set()
        self.retired = False
        self.plan = plan
        self.weight = plan.weight
        self.since = clock.monotonic()
        self.monitor = Monitor()
        self.pools: dict[Purpose, Pool] = {}

    @property
    def usable(self) -> bool:
        """Ready, and not ejected."""
        return self.plan.healthy and not self.monitor.ejected

    def update(self, plan: Endpoint) -> None:
        """A new configuration names it too, perhaps with another weight."""
        if plan.healthy and not self.plan.healthy:
            self.since = clock.monotonic()
        self.plan = plan
        self.weight = plan.weight
        if plan.address != self.address:
            self._move(plan.address)

    def _move(self, address: str) -> None:
        """Where connections go from now on; those there are stay."""
        self.address = address
        self.name = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        if address.startswith("unix://"):
            self.name = address

    def succeed(self, other: LiveEndpoint) -> None:
        """It takes the place of `other`, whose connections are of no use to it."""
        self.since, self.requests, self.failures = other.since, other.requests, other.failures

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last first; None where there is none."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    def retire(self) -> None:
        """Idle connections go at once, busy ones when they are done."""
        self.retired = True
        for connection in tuple(self.idle):
            connection.close()
        self.idle.clear()
        self.retire_pools()

    def retire_pools(self) -> None:
        """No further request goes over the connections there are."""
        for pool in self.pools.values():
            pool.retire()
        self.pools = {}
