"""One connection whose bytes are passed on as they are: to one endpoint of the route's cluster, chosen when it begins.

As Envoy's tcp_proxy: one attempt to connect; what goes wrong closes the client's connection and is a flag in its log
line. Who chose the route, and whether TLS was taken off before, is none of its business.
"""

from __future__ import annotations

import asyncio

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.plan.hashing import source_hash
from meshproxy.plan.stream_table import StreamRoute
from meshproxy.proxy.context import Context, Live
from meshproxy.proxy.owner import Owner
from meshproxy.proxy.stream_record import StreamRecord
from meshproxy.proxy.tunnel import Half, Tunnel
from meshproxy.telemetry.command_operators import without_port
from meshproxy.upstream.breaker import Resource
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import HIGH_WATER, LOW_WATER
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.streams import admit, open_stream

_FLAGS = {
    Kind.NO_CLUSTER: "NC",
    Kind.NO_ENDPOINT: "UH",
    Kind.OVERFLOW: "UO",
    # one attempt is all there is: Envoy says so in a second flag
    Kind.CONNECT_FAILURE: "UF,URX",
    Kind.CONNECT_TIMEOUT: "UF,URX",
    Kind.UPSTREAM_CLOSED: "UC",
    Kind.DOWNSTREAM_CLOSED: "DC",
}


class _ClientHalf(Half):
    """The client's half: with it the stream begins."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._stream.start()


class Stream:
    """`half` is the protocol of the client's connection. `asked` is the host and port the client named, if it did:
    where the cluster has no endpoints of its own, they are called."""

    def __init__(
        self,
        owner: Owner,
        context: Context,
        live: Live,
        route: StreamRoute,
        record: StreamRecord,
        asked: tuple[str, int] | None = None,
    ) -> None:
        self._owner = owner
        self._context = context
        self._route = route
        self._record = record
        self._asked = asked
        self._live = live
        self.half = _ClientHalf(self)
        self._tunnel = Tunnel(self._on_ended, self.half)
        self._cluster: LiveCluster | None = None
        self._endpoint: LiveEndpoint | None = None
        self._dialing: asyncio.Task[Half] | None = None
        self._admitted: Resource | None = None
        self._started = clock.monotonic()
        self._moved = 0
        self._still_since = self._started
        self._counted = (0, 0)
        self._connected = self._done = False
        self._series = context.streams.opened(route.service)

    @property
    def transport(self) -> asyncio.Transport:
        return self.half.transport

    def start(self) -> None:
        """The client's connection is open."""
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self._owner.opened(self)
        try:
            self._pick()
        except ProxyError as error:
            self._report(error.kind)
            self._fail(error)

    def _pick(self) -> None:
        destination = self._route.action.choose(clock.draw())
        name = self._record.upstream_cluster = destination.cluster
        cluster = self._cluster = self._live.cluster(name, *(self._asked or ("", 0)))
        if cluster is None:
            raise ProxyError(Kind.NO_CLUSTER, Side.LOCAL, f"no cluster {name}")
        self._admitted = admit(cluster)
        address = self._record.downstream_remote_address
        key = source_hash(without_port(address).encode()) if cluster.plan.hashes_source else None
        endpoint = self._endpoint = cluster.pick((), key)
        self._record.upstream_host = endpoint.name
        self._record.attempts = 1
        dialing = self._dialing = self._context.loop.create_task(self._dial(cluster, endpoint))
        dialing.add_done_callback(self._on_dialed)

    async def _dial(self, cluster: LiveCluster, endpoint: LiveEndpoint) -> Half:
        record = self._record
        return await open_stream(
            cluster,
            endpoint,
            self._tunnel.down,
            host=record.requested_server_name or (self._asked[0] if self._asked is not None else ""),
            source=record.downstream_remote_address,
            local=record.downstream_local_address,
        )

    def _on_dialed(self, dialing: asyncio.Task[Half]) -> None:
        self._dialing = None
        if dialing.cancelled():
            return
        error = dialing.exception()
        if isinstance(error, ProxyError):
            self._record.transport_failure = error.cause
            self._report(error.kind)
            self._fail(error)
            return
        upstream = dialing.result().transport
        if self._done:  # the client has gone meanwhile
            upstream.abort()
            return
        self._connected = True
        self._context.upstream_opened(1)
        upstream.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        name = upstream.get_extra_info("sockname")
        self._record.upstream_local_address = address_text(name)
        self._tunnel.start([], [])

    def _fail(self, error: ProxyError) -> None:
        self._record.flags = _FLAGS.get(error.kind, "")
        self._record.details = error.cause
        self._finish()
        self.transport.close()

    # ---- the end

    def _on_ended(self) -> None:
        """Both sides are closed, or the only one there was."""
        if self._done:
            return
        if not self._connected:
            self._record.flags = "DC"
            if self._dialing is not None:
                self._dialing.cancel()
            self._report(None)
        elif not self._record.flags:
            self._record.flags = "UC" if self._tunnel.down.reset else "DC" if self._tunnel.up.reset else ""
        self._finish()

    def _report(self, failure: Kind | None) -> None:
        cluster, endpoint = self._cluster, self._endpoint
        self._endpoint = None
        if cluster is not None and endpoint is not None:
            cluster.done(endpoint, failure)
        if self._admitted is not None:
            self._admitted.give()
            self._admitted = None

    def _finish(self) -> None:
        self._done = True
        if self._connected:
            self._context.upstream_opened(-1)
            self._report(Kind.UPSTREAM_CLOSED if self._tunnel.down.reset else None)
        record = self._record
        record.duration = clock.monotonic() - self._started
        record.bytes_received, record.bytes_sent = self._tunnel.bytes_up, self._tunnel.bytes_down
        self._count()
        self._series.closed(record.flags)
        if self._context.access_log is not None:
            self._context.access_log.log(record)
        self._owner.closed(self)

    def _count(self) -> None:
        up, down = self._tunnel.bytes_up, self._tunnel.bytes_down
        self._series.moved(up - self._counted[0], down - self._counted[1])
        self._counted = up, down

    # ---- for the worker

    def start_drain(self) -> None:
        """There is no way to tell its ends: they have what drain time there is."""

    def sweep(self, now: float) -> None:
        """Counts what has moved; closes what has been still, or open, for too long."""
        moved = self._tunnel.bytes_up + self._tunnel.bytes_down
        if moved != self._moved:
            self._moved = moved
            self._still_since = now
            self._count()
        cluster = self._cluster
        if cluster is None or not self._connected or self._done:
            return
        plan = cluster.plan
        longest = plan.connections.duration if plan.connections is not None else None
        if now - self._still_since > plan.stream_idle_timeout:
            self._end("tcp_session_idle_timeout")
        elif longest is not None and now - self._started > longest:
            self._end("max_connection_duration")

    def _end(self, why: str) -> None:
        self._record.termination_details = why
        self.transport.close()


def address_text(name: object) -> str:
    """`ip:port` of a socket's name, empty where it has none."""
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return ""
