"""Connections of one endpoint of a policed cluster, and who waits for one (Envoy, `conn_pool_base.cc`).

A request takes an idle connection, or waits: in the order of arrival, while connections are being opened as far as the
limits allow. An endpoint without any connection may always open one, so that whoever waits there gets on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.plan.cluster import Cluster
from meshproxy.upstream.breaker import Breaker
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import Purpose, failure, open_connection
from meshproxy.upstream.tls import Contexts
from meshproxy.wire.tls_client import reason

_log = logging.getLogger(__name__)

Opened = Callable[[int], None]
"""Called with +1 and -1 as connections open and close."""


class Owner(Protocol):
    """The cluster, as a pool sees it."""

    plan: Cluster
    breaker: Breaker
    contexts: Contexts

    def answered(self, endpoint: LiveEndpoint, status: int) -> None: ...

    def connected(self, endpoint: LiveEndpoint) -> None: ...


class PooledConnection(UpstreamConnection):
    """Counts what it carries, and lives no longer than it is allowed to."""

    def __init__(self, pool: Pool, opened: Opened) -> None:
        super().__init__(pool.endpoint, opened)
        self.pool: Pool | None = None  # once it is open
        self._breaker = pool.owner.breaker
        self._policy = pool.owner.plan.connections
        self._since = clock.monotonic()
        self._counted = False

    def begin(self, user: object, method: bytes, upgrade: bytes | None) -> None:
        super().begin(user, method, upgrade)  # type: ignore[arg-type]
        self._counted = True
        self._breaker.begin(clock.monotonic())
        if self.pool is not None:
            self.pool.owner.connected(self.endpoint)

    def release(self, now: float) -> None:
        self.user = None
        self._uncount()
        pool = self.pool
        reusable = self.usable and self.reader.reusable and not self.blocked and not self.worn_out(now)
        if pool is None or pool.retired or self.endpoint.retired or not reusable:
            self.close()
            return
        if self.paused:
            self.pause_reading(False)
        pool.put(self, now)

    def worn_out(self, now: float) -> bool:
        policy = self._policy
        if policy is None:
            return False
        too_many = bool(policy.requests) and self.served >= policy.requests
        return too_many or (policy.duration is not None and now - self._since >= policy.duration)

    def close(self) -> None:
        super().close()
        self._uncount()

    def data_received(self, data: bytes) -> None:
        """As any connection; but the cluster hears of an answer before whoever asked does, who may pick again."""
        user, reader = self.user, self.reader
        if user is None:
            self.close()
            return
        heard = reader.response is not None
        try:
            reader.feed(data)
        except ProxyError as error:
            self.close()
            user.on_upstream_failed(error)
            return
        if not heard and reader.response is not None and self.pool is not None:
            self.pool.owner.answered(self.endpoint, reader.response.status)
        user.on_upstream_data()

    def connection_lost(self, exc: Exception | None) -> None:
        """With TLS 1.3 a server tells what it misses (a certificate of ours) behind the handshake: it has heard no
        request yet."""
        user = self.user
        if isinstance(exc, ssl.SSLError) and user is not None and not self.reader.begun:
            self.user = None
            user.on_upstream_failed(failure(Kind.CONNECT_FAILURE, f"TLS_error: {reason(exc)}"))
        super().connection_lost(exc)

    def forget(self) -> None:
        super().forget()
        self._uncount()
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.gone(self)

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._breaker.requests.give()


class Ticket:
    """A place in the queue: `done` is called when it is `finished`."""

    def __init__(self, pool: Pool, done: Callable[[], None]) -> None:
        self._pool = pool
        self._done = done
        self._outcome: PooledConnection | ProxyError | None = None

    @property
    def finished(self) -> bool:
        return self._outcome is not None

    def result(self) -> UpstreamConnection:
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, ProxyError):
            raise outcome
        assert outcome is not None
        if self._pool.owner.breaker.requests.full():
            self._pool.put(outcome, clock.monotonic())
            raise self._pool.overflow()
        return outcome

    def cancel(self) -> None:
        """Nobody waits any more; a connection that is there goes to the next one."""
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, PooledConnection):
            self._pool.put(outcome, clock.monotonic())
        else:
            self._pool.leave(self)

    def finish(self, outcome: PooledConnection | ProxyError) -> None:
        self._outcome = outcome
        self._done()


class Pool:
    """`open` counts connections and those being opened. `retired`: no request will be sent on them any more. `idle` may
    be the endpoint's own list, which the plain course of a request takes from without asking."""

    def __init__(
        self, owner: Owner, endpoint: LiveEndpoint, purpose: Purpose, idle: list[UpstreamConnection] | None = None
    ) -> None:
        self.owner = owner
        self.endpoint = endpoint
        self.purpose = purpose
        self.retired = False
        self.idle: list[UpstreamConnection] = [] if idle is None else idle
        self.open = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Ticket] = deque()

    @property
    def empty(self) -> bool:
        return not self.open and not self._waiting

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last first. Raises ProxyError(OVERFLOW)."""
        while self.idle:
            if self.owner.breaker.requests.full():
                raise self.overflow()
            connection = self.idle.pop()
            if connection.usable:
                return connection
        return None

    def wait(self, opened: Opened, done: Callable[[], None]) -> Ticket:
        """For a connection that is opened or comes back. Raises ProxyError(OVERFLOW)."""
        breaker = self.owner.breaker
        if breaker.pending.full():
            raise self.overflow()
        ticket = Ticket(self, done)
        self._waiting.append(ticket)
        breaker.pending.take()
        self._opened = opened
        self._open_more()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
            self.owner.breaker.pending.give()

    def put(self, connection: PooledConnection, now: float) -> None:
        """It can carry another request: of whoever has waited longest."""
        if self._waiting:
            ticket = self._waiting.popleft()
            self.owner.breaker.pending.give()
            ticket.finish(connection)
        else:
            connection.idle_since = now
            self.idle.append(connection)

    def gone(self, connection: PooledConnection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)
        self._closed()
        self._open_more()

    def close_idle(self, before: float, now: float) -> None:
        """Closes what has not been used since `before`, and what may not be used any more."""
        for connection in tuple(self.idle):
            if connection.idle_since < before or (
                isinstance(connection, PooledConnection) and connection.worn_out(now)
            ):
                connection.close()

    def retire(self) -> None:
        """Idle connections go at once, busy ones when they are done; who waits still gets one."""
        self.retired = True
        for connection in tuple(self.idle):
            connection.close()
        self.idle.clear()

    def overflow(self) -> ProxyError:
        self.owner.breaker.pending_overflow.add()
        return ProxyError(Kind.OVERFLOW, Side.LOCAL, f"a limit of {self.owner.plan.name} is reached")

    # ---- opening

    def _open_more(self) -> None:
        """Not more than there are waiting, and not more than the cluster may have."""
        breaker = self.owner.breaker
        while len(self._opening) < len(self._waiting):
            if breaker.connections.full():
                breaker.connection_overflow.add()
                if self.open:
                    return
            self.open += 1
            breaker.connections.take()
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        owner = self.owner
        try:
            connection = await open_connection(
                owner.plan, self.endpoint, self.purpose, owner.contexts, lambda: PooledConnection(self, self._opened)
            )
        except ProxyError as error:
            self._refused(error)
            return
        except Exception:
            _log.exception("internal error while connecting to %s", self.endpoint.name)
            self._refused(failure(Kind.CONNECT_FAILURE, "internal error"))
            return
        self._opening.discard(asyncio.current_task())
        if connection.usable:
            connection.pool = self
            self.put(connection, clock.monotonic())
        else:
            # closed by the endpoint already: whoever waited longest is told, or this could go on for ever
            self._closed()
            if self._waiting:
                cause = "the upstream closed the connection"
                self.owner.breaker.pending.give()
                self._waiting.popleft().finish(ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, cause))
            self._open_more()

    def _closed(self) -> None:
        self.open -= 1
        self.owner.breaker.connections.give()

    def _refused(self, error: ProxyError) -> None:
        """An endpoint that refuses one connection: nobody waits for it any longer."""
        self._opening.discard(asyncio.current_task())
        self._closed()
        waiting, self._waiting = self._waiting, deque()
        for ticket in waiting:
            self.owner.breaker.pending.give()
            ticket.finish(error)
