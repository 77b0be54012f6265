"""Opening a plain connection to an endpoint, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Retry, Side
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import cause_of, failure

Opened = Callable[[int], None]
"""Called with +1 and -1 as connections open and close."""


async def connect(endpoint: LiveEndpoint, within: float, opened: Opened) -> UpstreamConnection:
    """Raises ProxyError CONNECT_FAILURE or CONNECT_TIMEOUT; both are safe to try again."""
    connection = UpstreamConnection(endpoint, opened)
    await _open(endpoint, within, connection)
    return connection


async def _open(endpoint: LiveEndpoint, within: float, protocol: asyncio.Protocol) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within):
            if endpoint.address.startswith("unix://"):
                path = endpoint.address.removeprefix("unix://")
                path = "\0" + path[1:] if path.startswith("@") else path
                transport, _ = await loop.create_unix_connection(lambda: protocol, path)
            else:
                transport, _ = await loop.create_connection(lambda: protocol, endpoint.address, endpoint.port)
    except TimeoutError:
        raise failure(Kind.CONNECT_TIMEOUT, "connection timeout") from None
    except OSError as error:
        raise failure(Kind.CONNECT_FAILURE, cause_of(error)) from None
    except (UnicodeError, OverflowError):  # of a name or port that a client asks for
        raise failure(Kind.CONNECT_FAILURE, "no such address") from None
    return transport


class Pending(Protocol):
    """A connection that somebody waits for."""

    @property
    def finished(self) -> bool: ...

    def result(self) -> UpstreamConnection:
        """Raises ProxyError where there is none."""

    def cancel(self) -> None:
        """Nobody waits any more."""


class Dial:
    """A connection being opened for somebody who waits: `done` is called when it is `finished`. If nobody waits any
    more (`cancel`), the connection joins its endpoint's idle ones."""

    def __init__(self, endpoint: LiveEndpoint, within: float, opened: Opened, done: Callable[[], None]) -> None:
        self._done = done
        self._task = asyncio.get_running_loop().create_task(connect(endpoint, within, opened))
        self._task.add_done_callback(self._on_done)
        self._cancelled = False

    @property
    def finished(self) -> bool:
        return self._task.done()

    def result(self) -> UpstreamConnection:
        """Raises what `connect` raised. A connection that is lost by now tells nobody of it any more."""
        connection = self._task.result()
        if not connection.usable:
            raise ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, "the upstream closed the connection", Retry.SAFE)
        return connection

    def cancel(self) -> None:
        self._cancelled = True

    def _on_done(self, task: asyncio.Task[UpstreamConnection]) -> None:
        if not self._cancelled:
            self._done()
        elif not task.cancelled() and task.exception() is None:
            task.result().release(clock.monotonic())
