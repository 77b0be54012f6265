"""What all connections of one worker share, and what one snapshot means to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.forwarding import http_date
from meshproxy.proxy.options import Options
from meshproxy.proxy.timer import Timer
from meshproxy.telemetry.record import Record
from meshproxy.upstream.cluster import LiveCluster


class Metrics(Protocol):
    def observe(self, record: Record, service: str) -> None: ...


class Log(Protocol):
    def log(self, record: Record) -> None: ...


Explain = Callable[[Request, bytes, str, Snapshot, Fields], Fields]
"""(request, the client's IP address, listener, snapshot, a response's fields) → its fields with what explains them."""


class Live:
    """One snapshot in use: a request keeps the one it began with."""

    __slots__ = ("clusters", "listeners", "snapshot")

    def __init__(self, snapshot: Snapshot, clusters: Mapping[str, LiveCluster]) -> None:
        self.snapshot = snapshot
        self.listeners: dict[str, Listener] = {listener.name: listener for listener in snapshot.listeners}
        self.clusters = clusters


class Context:
    """`live` is replaced by a reload, with one assignment; `date` by the sweep; `explain` where the admin wants it."""

    __slots__ = (
        "access_log",
        "date",
        "draining",
        "explain",
        "live",
        "loop",
        "metrics",
        "options",
        "timer",
        "upstream_opened",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        options: Options,
        metrics: Metrics,
        access_log: Log | None,
        upstream_opened: Callable[[int], None],
    ) -> None:
        self.loop = loop
        self.options = options
        self.metrics = metrics
        self.access_log = access_log
        self.upstream_opened = upstream_opened
        self.timer = Timer(loop)
        self.live = Live(Snapshot(), {})
        self.date = http_date()  # renewed by the sweep
        self.draining = False
        self.explain: Explain | None = None
