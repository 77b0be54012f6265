"""The way up: attempts to get an answer from a cluster, and the request's bytes to the endpoint that was picked.

The plain course waits for nothing but the answer: a connection is kept, the request goes out, and the answer's callback
takes it from there. Whatever has to wait besides (a dial, a back-off, a delay) is a coroutine, driven by hand: it runs
until it has to wait, and whoever has what it waits for runs it on. No Task, no Future, no timer.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import IDEMPOTENT, Fields
from meshproxy.base.message import CHUNKED, Response
from meshproxy.plan.header_ops import Lookup
from meshproxy.plan.retry import Retry
from meshproxy.plan.route import Destination, Route
from meshproxy.proxy import forwarding, heads, retries
from meshproxy.proxy.hashing import hashed
from meshproxy.proxy.mirror import Mirroring
from meshproxy.proxy.pause import PAUSE
from meshproxy.proxy.record import ALARM, BODY, CONNECTION, HEAD, NOTHING
from meshproxy.proxy.reply import reply_to
from meshproxy.proxy.timer import Alarm
from meshproxy.telemetry.command_operators import value_of
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.dial import Pending
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import Purpose
from meshproxy.wire.http1_framing import chunk, forwardable_trailers, last_chunk, request_head

JUST_NOW = 0.1
"""Seconds in which an upstream that closes a kept connection would be seen by the loop anyhow."""
Outcome = Response | ProxyError
"""What one attempt came to."""


class Attempting(Mirroring):
    """The part of an exchange that deals with its cluster. Class defaults are what a plain request never reads."""

    _cluster: LiveCluster
    _dial: Pending | None = None
    _timeout: float | None = None  # of the whole exchange, and its alarm
    _timeout_alarm: Alarm | None = None
    _timed_since = 0.0
    _try_timeout: float | None = None
    _try_alarm: Alarm | None = None
    _replay: list[bytes] | None = None  # what has gone up of the body, while it can be sent again
    _service_began = 0.0
    _key: int | None = None  # the request's hash
    _cookies: Fields = []  # noqa: RUF012 (shared, never changed)

    # ---- coroutines, driven by hand

    def _drive(self, coroutine: Coroutine[Any, None, None]) -> None:
        """Starts what has to wait."""
        self._coroutine = coroutine
        self._resume()

    def _resume(self) -> None:
        self._waits = NOTHING
        assert self._coroutine is not None
        try:
            self._coroutine.send(None)
        except StopIteration:
            self._coroutine = None

    def _throw(self, error: ProxyError) -> None:
        self._waits = NOTHING
        assert self._coroutine is not None
        try:
            self._coroutine.throw(error)
        except StopIteration:
            self._coroutine = None

    async def _sleep(self, seconds: float) -> None:
        alarm = self._context.timer.after(seconds, self._on_alarm)
        try:
            self._waits = ALARM
            await PAUSE
        finally:
            alarm.cancel()

    def _on_alarm(self) -> None:
        if self._waits == ALARM:
            self._resume()

    # ---- the request as it goes up

    def _apply_policies(self, route: Route, destination: Destination) -> None:
        """Header operations, then the rewrite; and the clocks that run from now on."""
        request = self.request
        if route.request_headers is not None or destination.request_headers is not None:
            ops = (destination.request_headers, route.request_headers)
            self.upstream_fields = heads.applied(self.upstream_fields, ops, self._looking_at_request)
        if route.rewrite is not None or destination.authority is not None:
            self._target, self._host, told = heads.rewritten(route.rewrite, destination.authority, request)
            self.original_path = request.target
            self.upstream_fields = self.upstream_fields + told
        if route.hashes:
            listener = self._live.listeners[self._listener]
            self._key, self._cookies = hashed(route.hashes, request, self.client, is_gateway=listener.is_gateway)
        if route.timeout is not None:
            self._timeout = route.timeout
            if request.complete:
                self._arm_timeout()
        if route.retry is not None and route.retry.per_try_timeout is not None:
            per_try = route.retry.per_try_timeout
            # a time per try that is not shorter than the whole is ignored
            self._try_timeout = per_try if self._timeout is None or per_try < self._timeout else None

    def _looking_at_request(self, fields: Fields) -> Lookup:
        self.upstream_fields = fields
        return self._value

    def _looking_at_response(self, fields: Fields) -> Lookup:
        self.response_fields = fields
        return self._value

    def _value(self, command: str, argument: str) -> bytes:
        return value_of(self, command, argument)

    # ---- attempts

    def _sent_on_kept(self) -> bool:
        """The first attempt, if a connection is kept for it: the request has gone out, nothing was waited for."""
        request = self.request
        endpoint = self._picked = self.endpoint = self._cluster.pick()
        if not endpoint.idle or request.upgrade is not None:
            return False  # an upgrade has a connection of its own
        connection = self._kept(endpoint)
        if connection is None:
            return False
        self.attempts = 1
        self._send_request(connection)
        self._waits = HEAD
        return True

    async def _attempts(self, outcome: Outcome | None) -> Response:
        """Tries until an attempt gives the answer; raises the last one's error. `outcome` is that of a first attempt,
        if there was one."""
        route = self.route
        retry = route.retry if route is not None else None
        left = retry.attempts if retry is not None else 0
        tried: list[LiveEndpoint] = []
        if outcome is None:
            outcome = await self._try_once(tried)
        while True:
            if isinstance(outcome, ProxyError) and self._died_unheard(outcome):
                self.attempts -= 1  # a kept connection died under the request: no attempt of the policy's
                outcome = await self._try_once(tried, fresh=True)
            if not self._is_retried(retry, outcome, left):
                if isinstance(outcome, ProxyError):
                    raise outcome
                return outcome
            assert retry is not None
            assert self.endpoint is not None
            self._drop_attempt(outcome.kind if isinstance(outcome, ProxyError) else None)
            left -= 1
            if retry.avoid_previous_hosts:
                tried.append(self.endpoint)
            with self._cluster.retry():
                await self._sleep(retry.backoff(retry.attempts - left, clock.draw()))
                outcome = await self._try_once(tried)

    async def _try_once(self, tried: list[LiveEndpoint], *, fresh: bool = False) -> Outcome:
        """One attempt, on a kept connection where there is one, unless it is to be `fresh`."""
        self.attempts += 1
        try:
            endpoint = self._picked
            if endpoint is None:
                endpoint = self._picked = self.endpoint = self._cluster.pick(tried, self._key)
            connection = None if fresh or self.request.upgrade is not None else self._kept(endpoint)
            if connection is None:
                connection = await self._connect(endpoint)
            self._send_request(connection)
            reader = connection.reader
            while (response := reader.response) is None:
                self._waits = HEAD
                await PAUSE
        except ProxyError as error:
            return error
        return response

    def _died_unheard(self, error: ProxyError) -> bool:
        """A kept connection was closed by the upstream before a byte of its answer came: it may never have seen the
        request. The attempt is given back."""
        connection = self.connection
        if error.kind is not Kind.UPSTREAM_CLOSED or connection is None:
            return False
        if connection.served == 1 or connection.reader.begun:
            return False
        if self.request.method not in IDEMPOTENT or not self._can_replay():
            return False
        self._drop_attempt(None)
        return True

    def _is_retried(self, retry: Retry | None, outcome: Outcome, left: int) -> bool:
        """Whether the policy wants another attempt, and there can be one."""
        if retry is None:
            return False
        if isinstance(outcome, ProxyError):
            wanted, flag = retries.after_error(retry, outcome.kind), reply_to(outcome).flag
        else:
            wanted, flag = retries.after_response(retry, outcome), ""
        if wanted and not left:
            self.flag(flag)
            self.flag("URX")
        if not wanted or left <= 0 or not self._can_replay():
            return False
        if not self._cluster.may_retry():
            self.flag("UO")
            return False
        return True

    def _can_replay(self) -> bool:
        """Whether the request can be sent once more from its beginning."""
        return not self._service_began or not self.request.content_length or self._replay is not None

    def _kept(self, endpoint: LiveEndpoint) -> UpstreamConnection | None:
        """A kept connection of this endpoint. For what must not be sent twice, one on which nothing has happened: it is
        looked at, unless it served a moment ago."""
        cluster, purpose = self._cluster, self._purpose()
        connection = cluster.take(endpoint, purpose)
        if self.request.method in IDEMPOTENT or (connection and self._start - connection.idle_since < JUST_NOW):
            return connection
        while connection is not None and not connection.quiet():
            connection.close()
            connection = cluster.take(endpoint, purpose)
        return connection

    def _purpose(self) -> Purpose | None:
        return self._cluster.purpose(self._host, self.client)

    async def _connect(self, endpoint: LiveEndpoint) -> UpstreamConnection:
        opened = self._context.upstream_opened
        dial = self._dial = self._cluster.wait(endpoint, self._purpose(), opened, self._on_dialled)
        while not dial.finished:
            self._waits = CONNECTION
            await PAUSE
        self._dial = None
        return dial.result()

    def _on_dialled(self) -> None:
        if self._waits == CONNECTION:
            self._resume()

    def _drop_attempt(self, failure: Kind | None) -> None:
        """The attempt is over and its answer not passed on whole: its connection cannot be used again."""
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._try_alarm is not None:
            self._try_alarm.cancel()
            self._try_alarm = None
        connection = self.connection
        if connection is not None:
            if self._context.access_log is not None:
                self.upstream_local_address = connection.local_address
            connection.close()
            self.connection = None
        if self._picked is not None:
            self._cluster.done(self._picked, failure)
            self._picked = None

    # ---- the request's bytes

    def _send_request(self, connection: UpstreamConnection) -> None:
        request = self.request
        self.connection = connection
        self._service_began = clock.monotonic()
        connection.begin(self, request.method, request.upgrade)
        if self._replay:
            request.body = self._replay + request.body
            self.bytes_received -= sum(map(len, self._replay))
            self._replay = []
        tail = forwarding.request_tail(request, self.attempts, self._expected())
        head = request_head(request.method, self._target, self._host, self.upstream_fields, tail)
        if request.content_length:
            self._send_body(connection, head)
        else:
            self._context.outbox.write(connection.transport, head)
        if request.complete:
            self._arm_try_timeout()

    def _expected(self) -> float | None:
        """What the upstream is told of the time it has (Envoy, `setTimeoutHeaders`): one try's, if that is less than
        what is left of the whole."""
        whole, each = self._timeout, self._try_timeout
        if whole is None:
            return each
        if self._timeout_alarm is not None and self.attempts > 1:
            whole = max(whole - (self._service_began - self._timed_since), 0.001)
        return whole if each is None else min(whole, each)

    def _send_body(self, connection: UpstreamConnection, head: bytes = b"") -> None:
        """Passes on what has arrived of the request's body, and its end; all in one write."""
        request = self.request
        parts, request.body = request.body, []
        out = [head] if head else []
        if parts:
            self.bytes_received += sum(map(len, parts))
            if self._replay is not None:
                self._keep_for_replay(parts)
            out += chunk(parts) if request.content_length == CHUNKED else parts
        if request.complete and request.content_length == CHUNKED:
            out.append(last_chunk(forwardable_trailers(request.trailers)))
        if out:
            connection.transport.writelines(out)
        if not connection.blocked:
            self.client.resume_reading()

    def _keep_for_replay(self, parts: list[bytes]) -> None:
        assert self._replay is not None
        if self.bytes_received > self._context.options.retry_buffer:
            self._replay = None
        else:
            self._replay += parts

    def on_request_data(self) -> None:
        """More of the request's body is there, or its end."""
        request = self.request
        if self._copies is not None:
            self._copies.feed()
        if self.connection is not None and self._waits in (HEAD, BODY):
            self._send_body(self.connection)
        elif sum(map(len, request.body)) > self._context.options.high_water:
            self.client.pause_reading()
        if request.complete:
            self._arm_timeout()
            if self._waits == HEAD:
                self._arm_try_timeout()

    # ---- time-outs: their clocks start when the request is whole

    def _arm_timeout(self) -> None:
        if self._timeout is not None and self._timeout_alarm is None:
            self._alarmed = True
            self._timed_since = clock.monotonic()
            self._timeout_alarm = self._context.timer.after(self._timeout, self._on_timeout)

    def _arm_try_timeout(self) -> None:
        if self._try_timeout is not None and self._try_alarm is None:
            self._alarmed = True
            self._try_alarm = self._context.timer.after(self._try_timeout, self._on_try_timeout)

    def _on_timeout(self) -> None:
        self._abandon(ProxyError(Kind.RESPONSE_TIMEOUT, Side.UPSTREAM, "no whole response within the route's time-out"))

    def _on_try_timeout(self) -> None:
        if self._waits == HEAD:
            cause = "no response within the time of one try"
            self.on_upstream_failed(ProxyError(Kind.PER_TRY_TIMEOUT, Side.UPSTREAM, cause))

    def _cancel_alarms(self) -> None:
        for alarm in (self._timeout_alarm, self._try_alarm):
            if alarm is not None:
                alarm.cancel()

    # ---- the exchange's own

    def on_upstream_data(self) -> None:
        """A head, a part of a body, an end."""
        raise NotImplementedError

    def on_upstream_failed(self, error: ProxyError) -> None:
        """The attempt under way has failed."""
        raise NotImplementedError

    def _abandon(self, error: ProxyError) -> None:
        """The whole exchange has failed, whatever it waits for."""
        raise NotImplementedError

    def on_upstream_blocked(self, blocked: bool) -> None:
        """The upstream reads slower than the client sends."""
        if blocked:
            self.client.pause_reading()
        else:
            self.client.resume_reading()
