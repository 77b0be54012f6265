"""One connection to an endpoint: owns its transport and its reader, serves one request at a time.

Who uses it is told through `User`, synchronously, from the transport's callbacks. Between two uses it waits in its
endpoint's `idle` list; whatever comes then closes it.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

from meshproxy.base.errors import Kind, ProxyError, Retry, Side
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.wire.http1_client import ResponseReader

HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024


class User(Protocol):
    """Whose request is on the connection."""

    def on_upstream_data(self) -> None: ...

    def on_upstream_failed(self, error: ProxyError) -> None: ...

    def on_upstream_blocked(self, blocked: bool) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """`usable` while it may carry another request; `served` counts the requests it carried."""

    transport: asyncio.Transport

    def __init__(self, endpoint: LiveEndpoint, opened: Callable[[int], None]) -> None:
        self.endpoint = endpoint
        self.reader = ResponseReader()
        self.user: User | None = None
        self.usable = True
        self.served = 0
        self.idle_since = 0.0
        self.blocked = False
        self.paused = False
        self._opened = opened
        self._local_address = ""
        self._poll: select.poll | None = None

    # ---- for the one who uses it

    def begin(self, user: User, method: bytes, upgrade: bytes | None) -> None:
        """This request is the next one on the connection."""
        self.user = user
        self.served += 1
        self.reader.expect(method, upgrade)

    def pause_reading(self, pause: bool) -> None:
        """Back-pressure: whoever we read for does not keep up, or does again."""
        self.paused = pause
        if self.transport.is_closing():
            return
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    @property
    def local_address(self) -> str:
        """Our `ip:port` of this connection."""
        if not self._local_address:
            name = self.transport.get_extra_info("sockname")
            self._local_address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""
        return self._local_address

    def quiet(self) -> bool:
        """Whether nothing has arrived on the idle socket, closing included. One system call: asked before a
        request that must not be sent twice."""
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def release(self, now: float) -> None:
        """The answer is whole: back to the idle list, or closed where it cannot serve another request."""
        self.user = None
        if self.usable and self.reader.reusable and not self.endpoint.retired and not self.blocked:
            if self.paused:
                self.pause_reading(False)
            self.idle_since = now
            self.endpoint.idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Closes at once; nobody is told."""
        self.user = None
        self.usable = False
        if not self.transport.is_closing():
            self.transport.abort()

    # ---- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.endpoint.connections.add(self)
        self._opened(1)

    def data_received(self, data: bytes) -> None:
        user = self.user
        if user is None:
            self.close()  # nobody asked: closed, and read by no one
            return
        try:
            self.reader.feed(data)
        except ProxyError as error:
            self.close()
            user.on_upstream_failed(error)
            return
        user.on_upstream_data()

    def eof_received(self) -> bool:
        self._ended("the upstream closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(str(exc) if exc else "the upstream closed the connection", reset=exc is not None)
        self.forget()

    def forget(self) -> None:
        """The transport is gone, or somebody else's."""
        self.usable = False
        self.endpoint.connections.discard(self)
        if self in self.endpoint.idle:
            self.endpoint.idle.remove(self)
        self.reader.close()
        self._opened(-1)

    def pause_writing(self) -> None:
        self.blocked = True
        if self.user is not None:
            self.user.on_upstream_blocked(True)

    def resume_writing(self) -> None:
        self.blocked = False
        if self.user is not None:
            self.user.on_upstream_blocked(False)

    def _ended(self, cause: str, *, reset: bool = False) -> None:
        self.usable = False
        user = self.user
        if user is None:
            return
        try:
            if reset:
                raise ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, cause)
            self.reader.eof()
        except ProxyError as error:
            self.user = None
            user.on_upstream_failed(error)
            return
        response = self.reader.response
        if response is not None and (response.complete or response.upgrade is not None):
            user.on_upstream_data()
            return
        self.user = None
        retry = Retry.NEVER if self.reader.begun else Retry.IF_IDEMPOTENT
        user.on_upstream_failed(ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, cause, retry))
