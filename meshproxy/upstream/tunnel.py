"""A stream through a forward proxy: CONNECT is asked of the endpoint before the first byte (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio

from meshproxy.base.errors import Kind
from meshproxy.plan.upstream_tls import Tunnel
from meshproxy.upstream.opening import failure

_LONGEST_HEAD = 16 * 1024


class Asking(asyncio.Protocol):
    """Asks, and waits for the answer; then gives the transport to the protocol that the stream is for."""

    def __init__(self, tunnel: Tunnel, protocol: asyncio.Protocol) -> None:
        self._target = tunnel.target.encode()
        self._protocol = protocol
        self._head = b""
        self._transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (self._target, self._target))

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if self.ready.done() or (not end and len(self._head) <= _LONGEST_HEAD):
            return
        words = head.partition(b"\r\n")[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].startswith(b"2"):
            self._fail(f"the forward proxy answered {b' '.join(words[1:])[:80].decode('latin-1') or 'no HTTP'}")
            return
        self.ready.set_result(None)
        self._transport.set_protocol(self._protocol)
        self._protocol.connection_made(self._transport)
        if rest:
            self._protocol.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the forward proxy closed the connection")

    def give_up(self) -> None:
        self._transport.abort()

    def _fail(self, cause: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(failure(Kind.CONNECT_FAILURE, cause))
            self._transport.abort()


async def asked(asking: Asking, within: float) -> None:
    """Until the stream stands. Raises ProxyError CONNECT_FAILURE or CONNECT_TIMEOUT."""
    try:
        async with asyncio.timeout(within):
            await asking.ready
    except TimeoutError:
        asking.give_up()
        raise failure(Kind.CONNECT_TIMEOUT, "connection timeout") from None
