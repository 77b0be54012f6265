"""One endpoint of one cluster, alive: how many requests it has, which of its connections are idle.

Lives as long as its key (cluster, address, port) does; survives reloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.plan.cluster import Endpoint

if TYPE_CHECKING:
    from meshproxy.upstream.connection import UpstreamConnection


class LiveEndpoint:
    """`active` counts requests in flight here; `retired` says that no configuration names it any more."""

    __slots__ = (
        "active",
        "address",
        "connections",
        "failures",
        "idle",
        "name",
        "plan",
        "port",
        "requests",
        "retired",
        "weight",
    )

    def __init__(self, plan: Endpoint) -> None:
        self.address = plan.address
        self.port = plan.port
        self.name = f"[{plan.address}]:{plan.port}" if ":" in plan.address else f"{plan.address}:{plan.port}"
        if plan.address.startswith("unix://"):
            self.name = plan.address
        self.active = 0
        self.requests = 0
        self.failures = 0
        self.idle: list[UpstreamConnection] = []
        self.connections: set[UpstreamConnection] = set()
        self.retired = False
        self.plan = plan
        self.weight = plan.weight

    def update(self, plan: Endpoint) -> None:
        """A new configuration names it too, perhaps with another weight."""
        self.plan = plan
        self.weight = plan.weight

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
