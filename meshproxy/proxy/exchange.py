"""One request and its answer: bytes to plan to endpoint and back, on one page.

The plain course: `start` finds the route and sends the request on a kept connection, `on_upstream_data` sees the answer
come, `_on_answer` sends it down, `_end` gives everything back. What must wait on the way is a coroutine
(`attempt.Attempting`). Every error ends in `_fail`. Bodies are relayed in the callbacks, chunk by chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import IDEMPOTENT
from meshproxy.base.message import Response
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import Fault
from meshproxy.plan.listener import finds_none, settle_scheme
from meshproxy.plan.route import Destination, Forward, Route
from meshproxy.proxy import forwarding, local, retries
from meshproxy.proxy.answer import Answering
from meshproxy.proxy.attempt import Outcome
from meshproxy.proxy.context import Live
from meshproxy.proxy.record import BODY, HEAD, NOTHING, TUNNEL
from meshproxy.proxy.reply import Reply, reply_to
from meshproxy.proxy.tunnel import Tunnel
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint

_log = logging.getLogger(__name__)


class Exchange(Answering):
    """Start it; it ends by `client.exchange_done`. The `on_…` methods are called by its two connections."""

    _tunnel: Tunnel

    # ---- the course of a request

    def start(self, route: Route | None = None) -> None:
        """Finds the route, if it is not known, and sends the request on. What has to wait, or asks for more, goes on
        as a coroutine."""
        try:
            route = self.route = route or self._find_route()
            if not route.plain:
                self._drive(self._guarded(self._answer(route)))
            else:
                self.forward(route, route.only or drawn(route))
        except ProxyError as error:
            self._fail(error)
        except Exception:
            self.fail_internally()

    def forward(self, route: Route, destination: Destination) -> None:
        """By a plain route. If an endpoint was picked already, there is no connection kept for it."""
        self.route = route
        try:
            self._choose(route, destination)
            if self._picked is not None or not self._sent_on_kept():
                self._drive(self._guarded(self._deliver(None)))
        except ProxyError as error:
            self._fail(error)
        except Exception:
            self.fail_internally()

    def began(self, live: Live, at: float) -> None:
        """What is true of it since before it was made."""
        self._live = live
        self._start = at

    def picked(self, cluster: LiveCluster, endpoint: LiveEndpoint) -> None:
        self._cluster = cluster
        self._picked = self.endpoint = endpoint

    def sent(self, route: Route, destination: Destination, connection: UpstreamConnection, request_id: bytes) -> None:
        """The request went out on this connection, by a plain route."""
        self.route = route
        self._choose(route, destination)
        self.upstream_fields = forwarding.with_id(self.upstream_fields, request_id)
        parts, self.request.body = self.request.body, []
        self.bytes_received = sum(map(len, parts))
        if self._replay is not None:
            self._keep_for_replay(parts)
        self.connection = connection
        self.attempts = 1
        self._service_began = self._start
        self._waits = HEAD

    def _find_route(self) -> Route:
        request, listener = self.request, self._live.listeners.get(self._listener)
        if listener is not None and request.path != b"*":
            settle_scheme(listener, request)
            host = listener.virtual_hosts.find(request.host)
            route = host.routes.find(request) if host is not None and not finds_none(request) else None
            if route is not None:
                return route
        raise ProxyError(Kind.NO_ROUTE, Side.LOCAL, "no route")

    def _choose(self, route: Route, destination: Destination) -> None:
        """The destination's cluster; the request as it will go there."""
        request, client = self.request, self.client
        name = destination.cluster
        cluster = self._live.clusters.get(name) or self._live.cluster(name, *forwarding.asked(request))
        if cluster is None:
            raise ProxyError(Kind.NO_CLUSTER, Side.LOCAL, f"no cluster {name}")
        self._cluster = cluster
        self.upstream_cluster = name
        self.upstream_fields = client.forwarded(request, client)
        self._target, self._host = request.target, request.host
        if request.content_length and (
            request.method in IDEMPOTENT or (route.retry is not None and route.retry.replays)
        ):
            self._replay = []

    def on_upstream_data(self) -> None:
        """The upstream's connection has read something of its answer."""
        connection = self.connection
        if connection is None:
            return
        response = connection.reader.response
        if connection.reader.informational:
            self._pass_informational()
        if response is None:
            return
        if self._waits == BODY:
            self._relay(response)
            if response.complete:
                self._end()
        elif self._waits == HEAD:
            route = self.route
            if self._coroutine is not None:
                self._resume()
            elif route is not None and route.retry is not None and retries.after_response(route.retry, response):
                self._drive(self._guarded(self._deliver(response)))
            else:
                self._on_answer(response)

    def on_upstream_failed(self, error: ProxyError) -> None:
        """The attempt under way has failed: others may follow, while nothing of an answer has gone out."""
        if self._waits == HEAD and self._coroutine is not None:
            self._throw(error)
        elif self._waits == HEAD:
            self._drive(self._guarded(self._deliver(error)))
        elif self._waits != NOTHING:
            self._abandon(error)

    async def _deliver(self, outcome: Outcome | None) -> None:
        """The answer, after as many attempts as it takes."""
        self._on_answer(await self._attempts(outcome))

    def _on_answer(self, response: Response) -> None:
        """This response is the answer: it goes down, as far as it is there."""
        now = clock.monotonic()
        self.upstream_service_time = now - self._service_began
        self._send_answer(response)
        if response.upgrade is not None:
            self._begin_tunnel()
        elif response.complete:
            self._end(now)
        else:
            self._waits = BODY

    async def _guarded(self, course: Coroutine[Any, None, None]) -> None:
        """What goes wrong in a coroutine of this exchange ends here."""
        try:
            await course
        except ProxyError as error:
            self._fail(error)
        except Exception:
            self.fail_internally()

    def _abandon(self, error: ProxyError) -> None:
        """Whatever it waits for, it is over."""
        if self._waits == NOTHING:
            return
        self._waits = NOTHING
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None:
            coroutine.close()
        self._fail(error)

    def on_client_lost(self) -> None:
        self._abandon(ProxyError(Kind.DOWNSTREAM_CLOSED, Side.DOWNSTREAM, "the client closed the connection"))

    def on_request_broken(self, error: ProxyError) -> None:
        """The rest of the request cannot be understood: it must not look complete to anybody."""
        self._abandon(error)

    def on_idle(self) -> None:
        """Nothing has moved for the stream's idle time-out."""
        if self._waits != TUNNEL:
            self._abandon(ProxyError(Kind.STREAM_IDLE, Side.LOCAL, "nothing moved for too long"))

    def on_client_blocked(self, blocked: bool) -> None:
        """The client reads slower than the upstream sends."""
        if self.connection is not None:
            self.connection.pause_reading(blocked)

    def refuse(self, error: ProxyError) -> None:
        """There is no request to speak of: its head broke a rule or never came."""
        self._fail(error)

    # ---- what a route may ask besides

    async def _answer(self, route: Route) -> None:
        """Redirects and direct responses; then faults, then CORS, as Envoy's filters are ordered; then forwarding."""
        if not isinstance(route.action, Forward):
            self._end_with(local.answer(route.action, self.request))
            return
        destination = self._destination = route.action.choose(clock.draw())
        self.upstream_cluster = destination.cluster if destination.cluster in self._live.clusters else ""
        if route.fault is not None and await self._inject(route.fault):
            return
        if route.cors is not None and self._answers_preflight(route.cors):
            return
        self._choose(route, destination)
        self._apply_policies(route, destination)
        if route.mirrors:
            self._picked = self.endpoint = self._cluster.pick((), self._key)  # where nobody answers, nothing is copied
            self._begin_copies(route)
        await self._deliver(None)

    async def _inject(self, fault: Fault) -> bool:
        """The delay, then the abort; whether that was the answer."""
        if fault.delay and fault.delays(clock.draw()):
            self.flag("DI")
            await self._sleep(fault.delay)
        if fault.abort_share and fault.aborts(clock.draw()):
            self._end_with(local.aborted(fault))
            return True
        return False

    def _answers_preflight(self, cors: Cors) -> bool:
        """Notes an allowed origin; answers a preflight here, without the route's header operations."""
        self._cors_origin, reply = local.preflight(cors, self.request)
        if reply is not None:
            self._end_with(reply, operations=False)
        return reply is not None

    def _begin_tunnel(self) -> None:
        """The upgrade was accepted: bytes both ways until both sides are done."""
        connection = self.connection
        assert connection is not None
        self.keep = False
        self._waits = TUNNEL
        self._cancel_alarms()  # a tunnel has no end that a time-out could wait for
        held = self.client.take_held()
        self._tunnel = Tunnel.over(self.client.transport, connection.transport, self._on_tunnel_ended)
        self._tunnel.start(held, connection.reader.tunnel)

    def _on_tunnel_ended(self) -> None:
        assert self.connection is not None
        self.connection.forget()
        self.bytes_received += self._tunnel.bytes_up
        self.bytes_sent += self._tunnel.bytes_down
        self._end()

    # ---- the end

    def _end_with(self, reply: Reply, *, operations: bool = True) -> None:
        """By an answer of our own."""
        self._reply(reply, operations=operations)
        self._end()

    def fail_internally(self) -> None:
        """A fault of ours costs this request only."""
        _log.exception("internal error while answering %r %r", self.request.method, self.request.target)
        self._fail(ProxyError(Kind.INTERNAL, Side.LOCAL, "internal error"))

    def _fail(self, error: ProxyError) -> None:
        """Every error ends here: in an answer, or, where one has begun, in a cut that nobody takes for its end."""
        self._drop_attempt(None if error.side is Side.DOWNSTREAM else error.kind)
        reply = reply_to(error, retried=self.attempts > 1)
        if error.kind is Kind.STREAM_IDLE and not self.request.complete:
            reply = replace(reply, status=408)  # it is the client we have waited for
        self.attempts = self.attempts or int(error.kind is Kind.NO_ENDPOINT)
        if error.kind in (Kind.CONNECT_FAILURE, Kind.CONNECT_TIMEOUT):
            self.transport_failure = error.cause
        if not self.status and error.kind is not Kind.DOWNSTREAM_CLOSED:
            self._end_with(reply)
            return
        self.keep = False
        self.flag(reply.flag)
        self.details = reply.details
        self.client.transport.abort()
        self._end()

    def _end(self, now: float = 0.0) -> None:
        """Gives back what was taken, tells who counts, and lets the connection go on."""
        self._waits = NOTHING
        now = now or clock.monotonic()
        context, connection, picked, route = self._context, self.connection, self._picked, self.route
        if self._alarmed:
            self._cancel_alarms()
        self.duration = now - self._start
        if connection is not None:
            self.connection = None
            if context.access_log is not None:
                self.upstream_local_address = connection.local_address
            if self.request.complete and self.request.upgrade is None:
                connection.release(now)
            else:
                connection.close()
        if picked is not None:
            self._picked = None
            self._cluster.done(picked, None)
        if self._copies is not None:
            self._copies.close()
        context.metrics.observe(self, route.service if route is not None else "")
        if context.access_log is not None:
            context.access_log.log(self)
        self.client.exchange_done(keep=self.keep)


def drawn(route: Route) -> Destination:
    """One of several, by weight."""
    assert isinstance(route.action, Forward)
    return route.action.choose(clock.draw())
