"""What all connections of one worker share, and what one snapshot means to them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.listener import Listener
from meshproxy.plan.server_tls import ServerTls
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.forwarding import http_date
from meshproxy.proxy.options import Options
from meshproxy.proxy.outbox import Outbox
from meshproxy.proxy.timer import Timer
from meshproxy.telemetry.record import Record
from meshproxy.telemetry.stream_metrics import StreamMetrics
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.clusters import Clusters


class Metrics(Protocol):
    def observe(self, record: Record, service: str) -> None: ...


class Log(Protocol):
    def log(self, record: Record, plain: bool = False) -> None:
        """`plain`: it is one of a plain exchange."""


Explain = Callable[[Request, bytes, str, Snapshot, Fields], Fields]
"""(request, the client's IP address, listener, snapshot, a response's fields) → its fields with what explains them."""


class Live:
    """One snapshot in use: a request keeps the one it began with. `clusters` has those with endpoints of their own;
    `tls` the contexts of all servers that can terminate TLS."""

    __slots__ = ("_all", "clusters", "listeners", "snapshot", "tls")

    def __init__(self, snapshot: Snapshot, clusters: Clusters, tls: Mapping[ServerTls, ssl.SSLContext]) -> None:
        self.snapshot = snapshot
        self.listeners: dict[str, Listener] = {listener.name: listener for listener in snapshot.http_listeners}
        self.clusters = clusters.by_name
        self.tls = tls
        self._all = clusters

    def cluster(self, name: str, host: str, port: int) -> LiveCluster | None:
        """By name; where it is one that calls whoever is asked for, that for `host` and `port`."""
        return self.clusters.get(name) or self._all.dynamic(name, host, port)


class Context:
    """`live` is replaced by a reload, with one assignment; `date` by the sweep; `explain` where the admin wants it."""

    __slots__ = (
        "access_log",
        "as_usual",
        "date",
        "draining",
        "explain",
        "live",
        "loop",
        "metrics",
        "options",
        "outbox",
        "streams",
        "timer",
        "upstream_opened",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clusters: Clusters,
        options: Options,
        metrics: Metrics,
        streams: StreamMetrics,
        access_log: Log | None,
        upstream_opened: Callable[[int], None],
    ) -> None:
        self.loop = loop
        self.options = options
        self.metrics = metrics
        self.streams = streams
        self.access_log = access_log
        self.upstream_opened = upstream_opened
        self.timer = Timer(loop)
        self.outbox = Outbox(loop)
        self.live = Live(Snapshot(), clusters, {})
        self.date = http_date()  # renewed by the sweep
        self.draining = False
        self.explain: Explain | None = None
        self.as_usual = True

    def reconsider(self) -> None:
        """After a change of the two: whether answers go down as they are."""
        self.as_usual = not self.draining and self.explain is None
