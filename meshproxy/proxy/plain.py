"""The usual request: a plain head, a route that asks nothing but to forward, a connection that is kept, an answer that
comes whole. It goes straight through, from one side's callback to the other's, and writes each head once.

At the first thing that is not as usual the exchange as a whole (`exchange.Exchange`) takes over, in the state that has
been reached: `_whole`. What is decided, counted and logged is the same either way.
"""

from __future__ import annotations

from meshproxy.base import clock
from meshproxy.base.errors import ProxyError
from meshproxy.base.headers import IDEMPOTENT, OWS, Fields
from meshproxy.base.plain import PlainRequest, PlainResponse
from meshproxy.plan.route import Destination, Route
from meshproxy.proxy import forwarding
from meshproxy.proxy.attempt import JUST_NOW
from meshproxy.proxy.client import Client
from meshproxy.proxy.context import Context
from meshproxy.proxy.exchange import Exchange, drawn
from meshproxy.proxy.heads import plain_answer
from meshproxy.proxy.record import Views
from meshproxy.telemetry.record import Picker
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint

#: How a log format that is compiled for plain exchanges alone has the attributes of a record: what is the same for all,
#: and how the rest is found without a call.
SHORTER = {
    "q.version": 'b"HTTP/1.1"',
    "r.attempts": "1",
    "r.authority": "q.host",
    "r.details": '"via_upstream"',
    "r.downstream_local_address": "r.client.addresses[0]",
    "r.downstream_remote_address": "r.client.addresses[1]",
    "r.flags": '""',
    "r.original_path": "None",
    "r.requested_server_name": "r.client.server_name",
    "r.route_name": "r.route.name",
    "r.started": "wall() - r.duration",
    "r.termination_details": '""',
    "r.transport_failure": '""',
    "r.upstream_host": "r.endpoint.name",
    "r.upstream_local_address": "r.connection.local_address",
    "r.upstream_service_time": "r.duration",
}


class PlainExchange(Views):
    """See `telemetry.record.Record`. The `on_…` methods are called by its two connections."""

    __slots__ = (
        "_cluster",
        "_context",
        "_destination",
        "_listener",
        "_live",
        "_request_id",
        "_response",
        "_start",
        "bytes_received",
        "bytes_sent",
        "client",
        "connection",
        "duration",
        "endpoint",
        "flags",
        "request",
        "route",
        "status",
        "upstream_cluster",
    )

    attempts = 1
    details = "via_upstream"
    original_path: bytes | None = None
    response_trailers: Fields = []  # noqa: RUF012 (shared, never changed)
    termination_details = ""
    transport_failure = ""

    _cluster: LiveCluster
    _destination: Destination
    _response: PlainResponse
    bytes_sent: int
    connection: UpstreamConnection
    duration: float
    endpoint: LiveEndpoint | None
    request: PlainRequest
    route: Route
    status: int
    upstream_cluster: str

    def __init__(self, context: Context, client: Client, request: PlainRequest, listener: str) -> None:
        self._context = context
        self._live = context.live
        self._listener = listener
        self.client = client
        self.request = request
        self.flags = ""
        self.bytes_received = request.content_length
        self.endpoint = None
        self._request_id = b""
        self._start = clock.monotonic()

    # ---- the course of it

    def start(self) -> None:
        """Finds the route, and sends the request on."""
        request, client, live = self.request, self.client, self._live
        listener = live.listeners.get(self._listener)
        host = listener.virtual_hosts.find(request.host) if listener is not None else None
        route = host.routes.find(request) if host is not None else None
        if route is None or not route.plain or (client.draws_id and request.shape.request_id):
            self._whole().start(route)
            return
        self.route = route
        destination = self._destination = route.only or drawn(route)
        name = self.upstream_cluster = destination.cluster
        connection = self._pick(live.clusters.get(name))
        if connection is None:
            self._whole().forward(route, destination)
            return
        self.connection = connection
        connection.begin(self, request.method, None)
        tail = client.tail or client.begin_tail(request)
        if request.shape.request_id:
            data = b"%b%b\r\n" % (request.head, tail)
        else:
            request_id = self._request_id = clock.request_id()
            data = b"%b%bx-request-id: %b\r\n\r\n" % (request.head, tail, request_id)
        if request.content_length:
            data += request.body[0]
        outbox = self._context.outbox
        if outbox.pending:
            outbox.pending.append((connection.transport, data))
        else:
            outbox.write(connection.transport, data)

    def _pick(self, cluster: LiveCluster | None) -> UpstreamConnection | None:
        """The kept connection it goes on, if there is one."""
        if cluster is None:
            return None
        try:
            endpoint = cluster.pick()
        except ProxyError:
            return None
        self._cluster = cluster
        self.endpoint = endpoint
        idle = endpoint.idle
        if not idle or (self.request.method not in IDEMPOTENT and self._start - idle[-1].idle_since > JUST_NOW):
            return None
        connection = idle.pop()
        return connection if connection.usable else endpoint.take()

    def on_upstream_data(self) -> None:
        """The answer is there; if it is not a plain one, may be tried again, or cannot go down at once, it is not for
        us."""
        connection = self.connection
        response = connection.reader.response
        context, client, request, route = self._context, self.client, self.request, self.route
        if (
            type(response) is not PlainResponse
            or not context.as_usual
            or client.blocked
            or client.closing
            or response.status >= route.judged_from
        ):
            self._waiting().on_upstream_data()
            return
        now = clock.monotonic()
        self.duration = duration = now - self._start
        self.status = response.status
        self.bytes_sent = response.content_length
        data = plain_answer(response, client.server_line, context.date, int(duration * 1000), request.keep_alive)
        outbox = context.outbox
        if outbox.pending:
            outbox.pending.append((client.transport, data))
        else:
            outbox.write(client.transport, data)
        connection.release(now)
        self._cluster.done(connection.endpoint, None)
        context.metrics.observe(self, route.service)
        if context.access_log is not None:
            self._response = response
            if client.addresses is None:
                client.find_addresses()
            context.access_log.log(self, True)
        if request.keep_alive:
            client.plain_done()
        else:
            client.exchange_done(keep=False)

    # ---- what is not as usual

    def _whole(self) -> Exchange:
        """From here on the exchange as a whole goes on."""
        exchange = Exchange(self._context, self.client, self.request, self._listener)
        exchange.began(self._live, self._start)
        if self.endpoint is not None:
            exchange.picked(self._cluster, self.endpoint)
        self.client.replace(exchange)
        return exchange

    def _waiting(self) -> Exchange:
        """The same, when the request has been sent."""
        exchange, connection = self._whole(), self.connection
        exchange.sent(self.route, self._destination, connection, self._request_id)
        if connection.user is self:
            connection.user = exchange
        return exchange

    def on_upstream_failed(self, error: ProxyError) -> None:
        self._waiting().on_upstream_failed(error)

    def on_upstream_blocked(self, blocked: bool) -> None:
        self._waiting().on_upstream_blocked(blocked)

    def on_client_blocked(self, blocked: bool) -> None:
        self._waiting().on_client_blocked(blocked)

    def on_client_lost(self) -> None:
        self._waiting().on_client_lost()

    def on_idle(self) -> None:
        self._waiting().on_idle()

    def on_request_data(self) -> None:
        self._waiting().on_request_data()

    def on_request_broken(self, error: ProxyError) -> None:
        self._waiting().on_request_broken(error)

    def fail_internally(self) -> None:
        """Called while the exception is handled."""
        whole = self._waiting() if hasattr(self, "connection") else self._whole()
        whole.fail_internally()

    # ---- for those who ask for more than the counters do

    @property
    def upstream_service_time(self) -> float:
        return self.duration

    @property
    def upstream_fields(self) -> Fields:
        return forwarding.with_id(self.client.forwarded(self.request, self.client), self._request_id)

    def pick_upstream(self, picker: Picker) -> list[bytes | None]:
        """Without taking the head apart."""
        request = self.request
        found, there, missing = request.shape.picked(picker.names)
        found = found.copy()
        for slot, number in there:
            found[slot] = request.lines[number].partition(b":")[2].strip(OWS)
        for slot, name in missing:
            found[slot] = self._request_id if name == b"x-request-id" else self.client.added.get(name)
        return found

    @property
    def upstream_local_address(self) -> str:
        return self.connection.local_address

    @property
    def response_fields(self) -> Fields:
        return self._response.sent_fields()
