"""The way up: attempts to get an answer from a cluster, and the request's bytes to the endpoint that was picked.

Also the wheel that drives an exchange: `_resume` and `_throw` run its coroutine on, from the callbacks of whoever
has what it waits for. There is no Task, no Future and no timer that a plain request does not need.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.message import CHUNKED, Request, Response
from meshproxy.plan.retry import Retry
from meshproxy.proxy import forwarding, retries
from meshproxy.proxy.client import Client
from meshproxy.proxy.context import Context
from meshproxy.proxy.record import ExchangeRecord
from meshproxy.proxy.reply import reply_to
from meshproxy.proxy.timer import Alarm
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.dial import Dial
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.wire.http1_client import request_head
from meshproxy.wire.http1_framing import chunk, forwardable_trailers, last_chunk

# What a suspended exchange waits for. Plain numbers: an Enum's members cost a look-up each time.
NOTHING, CONNECTION, HEAD, BODY, ALARM, TUNNEL = range(6)


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


PAUSE = _Pause()
"""Awaited by an exchange, after it has said in `_waits` what for."""


class Attempting(ExchangeRecord):
    """The part of an exchange that deals with its cluster. Class defaults are what a plain request never reads."""

    _coroutine: Coroutine[Any, None, None]
    _cluster: LiveCluster
    _target: bytes
    _host: bytes
    _dial: Dial | None = None
    _timeout: float | None = None  # of the whole exchange, and its alarm
    _timeout_alarm: Alarm | None = None
    _try_timeout: float | None = None
    _try_alarm: Alarm | None = None
    _replay: list[bytes] | None = None  # what has gone up of the body, while it can be sent again
    _request_sent = False
    _service_began = 0.0

    def __init__(self, context: Context, client: Client, request: Request) -> None:
        super().__init__(client, request)
        self._context = context
        self._waits = NOTHING
        self._picked: LiveEndpoint | None = None  # counted as active, not yet reported as done
        self._alarmed = False  # whether any of the alarms was ever set

    # ---- the wheel

    def _resume(self) -> None:
        self._waits = NOTHING
        try:  # noqa: SIM105 (a suppress costs a fifth of a microsecond)
            self._coroutine.send(None)
        except StopIteration:
            pass

    def _throw(self, error: ProxyError) -> None:
        if self._waits == NOTHING:
            return  # it has ended, or is at it
        self._waits = NOTHING
        try:  # noqa: SIM105
            self._coroutine.throw(error)
        except StopIteration:
            pass

    def _on_alarm(self) -> None:
        if self._waits == ALARM:
            self._resume()

    async def _sleep(self, seconds: float) -> None:
        alarm = self._context.timer.after(seconds, self._on_alarm)
        try:
            self._waits = ALARM
            await PAUSE
        finally:
            alarm.cancel()

    # ---- attempts

    async def _attempt(self, retry: Retry | None) -> Response:
        """Tries until one attempt gives the answer. Raises the last one's error."""
        tried: list[LiveEndpoint] = []
        left = retry.attempts if retry is not None else 0
        fresh = self.request.upgrade is not None  # an upgrade has a connection of its own
        while True:
            self.attempts += 1
            endpoint = self._picked = self.endpoint = self._cluster.pick(tried)
            connection = None if fresh else self._kept(endpoint)
            reused = connection is not None
            try:
                if connection is None:
                    connection = await self._connect(endpoint)
                self.connection = connection
                self._send_request(connection)
                reader = connection.reader
                while (response := reader.response) is None:
                    self._waits = HEAD
                    await PAUSE
                self.upstream_service_time = clock.monotonic() - self._service_began
                if retry is None or not retries.after_response(retry, response) or not self._may_retry(left):
                    return response
                self._drop_attempt(None)
            except ProxyError as error:
                untouched = self.connection is not None and not self.connection.reader.begun
                self._drop_attempt(error.kind)
                if reused and untouched and self._may_repeat(error):
                    self.attempts -= 1  # a kept connection died under the request: no attempt of the policy's
                    fresh = True
                    continue
                if retry is None or not retries.after_error(retry, error.kind):
                    raise
                if not self._may_retry(left, reply_to(error).flag):
                    raise
            assert retry is not None
            left -= 1
            if retry.avoid_previous_hosts:
                tried.append(endpoint)
            await self._sleep(retry.backoff(retry.attempts - left, clock.draw()))

    def _kept(self, endpoint: LiveEndpoint) -> UpstreamConnection | None:
        """A kept connection of this endpoint. For what must not be sent twice, one on which nothing has happened."""
        if not endpoint.idle:
            return None
        connection = endpoint.take()
        if self.request.method in retries.IDEMPOTENT:
            return connection
        while connection is not None and not connection.quiet():
            connection.close()
            connection = endpoint.take()
        return connection

    def _may_repeat(self, error: ProxyError) -> bool:
        idempotent = self.request.method in retries.IDEMPOTENT
        return error.kind is Kind.UPSTREAM_CLOSED and idempotent and self._can_replay()

    def _may_retry(self, left: int, flag: str = "") -> bool:
        """Whether a retry that the policy wants can be had."""
        if left and self._can_replay():
            return True
        if not left:
            self.flag(flag)
            self.flag("URX")
        return False

    def _can_replay(self) -> bool:
        """Whether the request can be sent once more from its beginning."""
        return not self._request_sent or not self.request.content_length or self._replay is not None

    async def _connect(self, endpoint: LiveEndpoint) -> UpstreamConnection:
        within = self._cluster.plan.connect_timeout
        dial = self._dial = Dial(endpoint, within, self._context.upstream_opened, self._on_dialled)
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
        self._report(failure)

    def _report(self, failure: Kind | None) -> None:
        """The one way back: what came of the endpoint that was picked, once."""
        picked = self._picked
        if picked is not None:
            self._picked = None
            self._cluster.done(picked, failure)

    # ---- the request's bytes

    def _send_request(self, connection: UpstreamConnection) -> None:
        request = self.request
        if self.attempts > 1 and self._replay:
            request.body = self._replay + request.body
            self.bytes_received -= sum(map(len, self._replay))
            self._replay = []
        self._request_sent = True
        self._service_began = clock.monotonic()
        connection.begin(self, request.method, request.upgrade)
        tail = forwarding.request_tail(request, self.attempts, self._timeout)
        head = request_head(request.method, self._target, self._host, self.upstream_fields, tail)
        connection.transport.write(head)
        if request.content_length:
            self._send_body(connection)
        if self._try_timeout is not None and request.complete:
            self._arm_try_timeout()

    def _send_body(self, connection: UpstreamConnection) -> None:
        """Passes on what has arrived of the request's body, and its end."""
        request = self.request
        parts, request.body = request.body, []
        chunked = request.content_length == CHUNKED
        if parts:
            self.bytes_received += sum(map(len, parts))
            if self._replay is not None:
                self._keep_for_replay(parts)
            connection.transport.writelines(chunk(parts) if chunked else parts)
        if request.complete and chunked:
            connection.transport.write(last_chunk(forwardable_trailers(request.trailers)))
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
        if self.connection is not None and self._waits in (HEAD, BODY):
            self._send_body(self.connection)
        elif sum(map(len, request.body)) > self._context.options.high_water:
            self.client.pause_reading()
        if request.complete:
            self._arm_timeout()
            if self._waits == HEAD:
                self._arm_try_timeout()

    def on_request_broken(self, error: ProxyError) -> None:
        """The rest of the request cannot be understood: it must not look complete to anybody."""
        self._throw(error)

    # ---- time-outs: their clocks start when the request is whole

    def _arm_timeout(self) -> None:
        if self._timeout is not None and self._timeout_alarm is None:
            self._alarmed = True
            self._timeout_alarm = self._context.timer.after(self._timeout, self._on_timeout)

    def _on_timeout(self) -> None:
        self._throw(ProxyError(Kind.RESPONSE_TIMEOUT, Side.UPSTREAM, "no whole response within the route's time-out"))

    def _arm_try_timeout(self) -> None:
        if self._try_timeout is not None and self._try_alarm is None:
            self._alarmed = True
            self._try_alarm = self._context.timer.after(self._try_timeout, self._on_try_timeout)

    def _cancel_alarms(self) -> None:
        for alarm in (self._timeout_alarm, self._try_alarm):
            if alarm is not None:
                alarm.cancel()

    def _on_try_timeout(self) -> None:
        if self._waits == HEAD:
            self._throw(ProxyError(Kind.PER_TRY_TIMEOUT, Side.UPSTREAM, "no response within the time of one try"))

    # ---- told by the upstream connection

    def on_upstream_data(self) -> None:
        """A head, a part of a body, an end: the exchange's own."""
        raise NotImplementedError

    def on_upstream_failed(self, error: ProxyError) -> None:
        self._throw(error)

    def on_upstream_blocked(self, blocked: bool) -> None:
        """The upstream reads slower than the client sends."""
        if blocked:
            self.client.pause_reading()
        else:
            self.client.resume_reading()
