"""One worker's data plane: what its listeners hand their connections to, and what a snapshot is applied to.

Owns the set of connections and the live clusters; opens no sockets (that is control's) and reads no configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from meshproxy.base import clock
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.connect import ForwardProxy
from meshproxy.proxy.context import Context, Explain, Live, Log, Metrics
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.forwarding import http_date
from meshproxy.proxy.front import Front
from meshproxy.proxy.known_client import KnownClient
from meshproxy.proxy.options import Options
from meshproxy.proxy.owner import Connection, Known
from meshproxy.proxy.server_tls import contexts
from meshproxy.telemetry.metrics import RequestMetrics
from meshproxy.telemetry.stats import Labels, Stats
from meshproxy.telemetry.stream_metrics import StreamMetrics
from meshproxy.upstream.clusters import Clusters


class Proxy:
    """`now` is the coarse clock of the sweep, in monotonic seconds: good for idle times, read without a call."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        stats: Stats,
        access_log: Log | None = None,
        options: Options | None = None,
        namespace: str = "default",
        labels: Labels = (),
    ) -> None:
        self.clusters = Clusters(stats)
        self.now = clock.monotonic()
        self._downstream_total = stats.counter("meshproxy_downstream_cx_total", ())
        self._downstream_active = stats.gauge("meshproxy_downstream_cx_active", ())
        self._upstream_total = stats.counter("meshproxy_upstream_cx_total", ())
        self._upstream_active = stats.gauge("meshproxy_upstream_cx_active", ())
        self._connections: set[Connection] = set()
        self._metrics = RequestMetrics(stats, namespace, labels)
        self._context = Context(
            loop,
            clusters=self.clusters,
            options=options or Options(),
            metrics=self._metrics,
            streams=StreamMetrics(stats, namespace, labels),
            access_log=access_log,
            upstream_opened=self._upstream_opened,
        )
        self._sweeper = loop.call_later(self._context.options.sweep_interval, self._sweep)

    @property
    def active(self) -> int:
        """Connections of clients still open."""
        return len(self._connections)

    def stage(self, snapshot: Snapshot) -> Iterator[None]:
        """The long part of `apply`, in steps between which requests have their turn."""
        return self.clusters.stage(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """From the next request on this snapshot decides; requests in flight finish on theirs."""
        self.clusters.reconcile(snapshot)
        tls = contexts(snapshot.servers, self._context.live.tls)
        self._context.live = Live(snapshot, self.clusters, tls)

    def protocol_factory(self, listener: str) -> Callable[[], asyncio.BaseProtocol]:
        """For `loop.create_server`. The listener may go from the snapshot while its connections live: they get 404."""
        context = self._context

        def protocol() -> asyncio.BaseProtocol:
            plan = context.live.listeners.get(listener)
            if plan is not None and plan.streams is not None:
                return Front(self, context, plan.streams, self._known_client)
            if plan is not None and plan.connect is not None:
                return ForwardProxy(self, context, listener, self._known_client)
            return Downstream(self, context, listener, is_gateway=plan is not None and plan.is_gateway)

        return protocol

    def _known_client(self, listener: str, known: Known) -> asyncio.Protocol:
        """What answers HTTP behind a front."""
        plan = self._context.live.listeners.get(listener)
        if plan is not None and plan.connect is not None:
            return ForwardProxy(self, self._context, listener, self._known_client)
        return KnownClient(self, self._context, listener, known, is_gateway=plan is not None and plan.is_gateway)

    def explain(self, explain: Explain | None) -> None:
        """From the next response on its head passes through `explain`; None costs nothing."""
        self._context.explain = explain
        self._context.reconsider()

    def watch(self, watched: Callable[[Metrics], Metrics]) -> None:
        """Puts `watched` before what is told of every request that ends."""
        self._context.metrics = watched(self._context.metrics)

    def start_drain(self) -> None:
        """Answers carry `Connection: close` from now on; idle connections are closed."""
        self._context.draining = True
        self._context.reconsider()
        self._context.outbox.flush()
        for connection in tuple(self._connections):
            connection.start_drain()

    def abort(self) -> None:
        """Everything closed at once."""
        self._sweeper.cancel()
        for connection in tuple(self._connections):
            connection.transport.abort()
        self.clusters.close()
        self._metrics.flush()

    # ---- told by the connections

    def opened(self, connection: Connection) -> None:
        limit = self._context.options.max_connections
        if limit and len(self._connections) >= limit:
            connection.transport.abort()
            return
        self._connections.add(connection)
        self._downstream_total.add()
        self._downstream_active.add(1)

    def closed(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._downstream_active.add(-1)

    def handed_over(self, connection: Connection) -> None:
        """What follows it on the same connection will be `opened`: it counts once."""
        if connection in self._connections:
            self.closed(connection)
            self._downstream_total.add(-1)

    def _upstream_opened(self, change: int) -> None:
        self._upstream_active.add(change)
        if change > 0:
            self._upstream_total.add()

    def _sweep(self) -> None:
        """The one look at everything that may have been still for too long."""
        now = self.now = clock.monotonic()
        context = self._context
        context.date = http_date()
        self._metrics.flush()
        self._sweeper = context.loop.call_later(context.options.sweep_interval, self._sweep)
        for connection in tuple(self._connections):
            connection.sweep(now)
        self.clusters.close_idle(now)
