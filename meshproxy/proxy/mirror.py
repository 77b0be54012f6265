"""Copies of requests to mirrors: sent beside the request, answered into the void, never waited for.

A copy that fails, or does not keep up, is dropped, and nobody is told. What a copy holds of a body is bounded, and so
is the number of copies under way: beyond that, requests are not mirrored.
"""

from __future__ import annotations

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError
from meshproxy.base.headers import Fields
from meshproxy.base.message import CHUNKED, Request
from meshproxy.plan.fault import MILLION
from meshproxy.plan.route import Route
from meshproxy.proxy import forwarding
from meshproxy.proxy.context import Context
from meshproxy.proxy.record import ExchangeRecord
from meshproxy.proxy.timer import Alarm
from meshproxy.telemetry.command_operators import without_port
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.dial import Pending
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import Purpose
from meshproxy.wire.http1_framing import chunk, forwardable_trailers, last_chunk, request_head

_MOST = 1024
"""Copies under way in this worker."""
_FORWARDED_FOR = b"x-forwarded-for"
_under_way: set[Copy] = set()


class Copies:
    """All copies of one request. `feed` them whenever more of its body has come; `close` when no more will."""

    __slots__ = ("_body", "_copies", "_request", "_taken")

    def __init__(self, request: Request, copies: list[Copy]) -> None:
        self._request = request
        self._copies = copies
        self._body = request.body  # the list last seen, and how many of its parts were taken
        self._taken = 0
        self.feed()

    def feed(self) -> None:
        """What has come of the body since, before it is passed on: only the list of parts is ours to look at."""
        request = self._request
        if request.body is not self._body:
            self._body, self._taken = request.body, 0
        parts = request.body[self._taken :]
        self._taken = len(request.body)
        for copy in self._copies:
            copy.send(parts)

    def close(self) -> None:
        """A request that never became whole must not look whole to its mirrors."""
        if not self._request.complete:
            for copy in self._copies:
                copy.drop()


class Mirroring(ExchangeRecord):
    """The part of an exchange that deals with its mirrors."""

    _copies: Copies | None = None

    def _begin_copies(self, route: Route) -> None:
        """The copies that chance and the clusters allow, of the request as it goes on. An upgrade is not copied, nor is
        what goes to a cluster that does not exist."""
        request, context = self.request, self._context
        if request.upgrade is not None:
            return
        fields = _told(self.upstream_fields, without_port(self.client.local_address))
        per_try = route.retry.per_try_timeout if route.retry is not None else None
        tail = forwarding.copy_tail(request, route.timeout or per_try)  # a copy has all the time there is
        copies: list[Copy] = []
        for mirror in route.mirrors:
            cluster = self._live.clusters.get(mirror.cluster)
            if clock.draw() * MILLION >= mirror.share or cluster is None or len(_under_way) >= _MOST:
                continue
            host = _shadow(self.authority) if mirror.shadow_suffix else self.authority
            copy = Copy(context, cluster, request, request_head(request.method, self.target, host, fields, tail))
            within = route.timeout or context.options.stream_idle_timeout
            if copy.start(cluster.purpose(host, self.client), within):
                copies.append(copy)
        if copies:
            self._copies = Copies(request, copies)


def _shadow(host: bytes) -> bytes:
    """`reviews-shadow:9080`, as Istio did before 1.28."""
    name, colon, port = host.partition(b":")
    return b"%b-shadow%b%b" % (name, colon, port)


def _told(fields: Fields, address: str) -> Fields:
    """The request comes from us now, and from inside (Envoy, `AsyncStreamImpl::sendHeaders`)."""
    passed = [value for name, value in fields if name.lower() == _FORWARDED_FOR]
    rest = [pair for pair in fields if pair[0].lower() != _FORWARDED_FOR]
    return [*rest, (_FORWARDED_FOR, b",".join((*passed, address.encode()))), (b"x-envoy-internal", b"true")]


class Copy:
    """One copy on its way to one endpoint of one mirror."""

    __slots__ = (
        "_alarm",
        "_cluster",
        "_connection",
        "_context",
        "_dial",
        "_endpoint",
        "_request",
        "_waiting",
        "_written",
    )

    def __init__(self, context: Context, cluster: LiveCluster, request: Request, head: bytes) -> None:
        self._context = context
        self._cluster = cluster
        self._request = request
        self._waiting = [head]  # until there is a connection
        self._written = False  # to its end
        self._connection: UpstreamConnection | None = None
        self._dial: Pending | None = None
        self._endpoint: LiveEndpoint | None = None
        self._alarm: Alarm | None = None

    def start(self, purpose: Purpose | None, timeout: float) -> bool:
        """Whether there is an endpoint to send it to."""
        try:
            endpoint = self._endpoint = self._cluster.pick()
        except ProxyError:
            return False
        _under_way.add(self)
        self._alarm = self._context.timer.after(timeout, self.drop)
        try:
            self._connect(endpoint, purpose)
        except ProxyError as error:  # a limit of the cluster is reached
            self._drop(error.kind)
            return False
        return True

    def _connect(self, endpoint: LiveEndpoint, purpose: Purpose | None) -> None:
        connection = self._cluster.take(endpoint, purpose)
        while connection is not None and not connection.quiet():
            connection.close()
            connection = self._cluster.take(endpoint, purpose)
        if connection is not None:
            self._begin(connection)
        else:
            self._dial = self._cluster.wait(endpoint, purpose, self._context.upstream_opened, self._on_dialled)

    def send(self, parts: list[bytes]) -> None:
        """More of the body, and its end where the request is complete."""
        request = self._request
        if self._endpoint is None or self._written:
            return
        chunked = request.content_length == CHUNKED
        out = chunk(parts) if parts and chunked else list(parts)
        if request.complete:
            self._written = True
            if chunked:
                out.append(last_chunk(forwardable_trailers(request.trailers)))
        self._write(out)

    def _write(self, parts: list[bytes]) -> None:
        """Holds back no more than a retry may keep of a body."""
        limit = self._context.options.retry_buffer
        if self._connection is None:
            self._waiting += parts
            if sum(map(len, self._waiting)) > limit:
                self.drop()
        elif parts:
            transport = self._connection.transport
            transport.writelines(parts)
            if transport.get_write_buffer_size() > limit:
                self.drop()

    def _on_dialled(self) -> None:
        dial, self._dial = self._dial, None
        if dial is None:
            return
        try:
            self._begin(dial.result())
        except ProxyError as error:
            self.on_upstream_failed(error)

    def _begin(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        connection.begin(self, self._request.method, None)
        parts, self._waiting = self._waiting, []
        self._write(parts)

    # ---- told by the connection

    def on_upstream_data(self) -> None:
        """The answer is read to its end, so that the connection can be kept, and dropped."""
        connection = self._connection
        if connection is None:
            return
        reader = connection.reader
        reader.informational.clear()
        response = reader.response
        if response is None:
            return
        response.body.clear()
        if response.complete and self._endpoint is not None:
            if self._written:
                connection.release(clock.monotonic())
            else:
                connection.close()
            self._end(None)

    def on_upstream_failed(self, error: ProxyError) -> None:
        self._drop(error.kind)

    def on_upstream_blocked(self, blocked: bool) -> None:
        """Nobody waits for a mirror: what it does not take is held up to the limit."""

    # ---- the end

    def drop(self) -> None:
        """Gives up."""
        self._drop(None)

    def _drop(self, failure: Kind | None) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        self._end(failure)

    def _end(self, failure: Kind | None) -> None:
        endpoint, self._endpoint = self._endpoint, None
        self._connection = None
        self._waiting = []
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if endpoint is not None:
            self._cluster.done(endpoint, failure)
        _under_way.discard(self)
