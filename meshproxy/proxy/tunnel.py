"""Bytes in both directions, with back-pressure and half-close, until both sides are done: raw streams, and what an HTTP
connection has become after an accepted upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshproxy.upstream.connection import HIGH_WATER


class Half(asyncio.Protocol):
    """Reads one side and writes the other; what comes before there is another side is kept."""

    transport: asyncio.Transport
    other: Half
    tunnel: Tunnel

    def __init__(self) -> None:
        self._writer: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended = False
        self.bytes = 0
        self.reset = False  # its connection broke

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        writer = self._writer
        if writer is None:
            self._early.append(data)
            if self.bytes > HIGH_WATER:
                self.transport.pause_reading()
        elif not writer.is_closing():
            writer.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        writer = self._writer
        if writer is None:
            return True
        if self.other._ended and not writer.is_closing():
            writer.close()  # both sides are done; what is written still goes out
            return False
        if writer.is_closing() or not writer.can_write_eof():
            return False
        writer.write_eof()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.reset = exc is not None
        if self._writer is not None and not self._writer.is_closing():
            self._writer.close()
        self.tunnel.half_closed()

    def join(self, writer: asyncio.Transport) -> None:
        """There is another side: what was kept goes there."""
        self._writer = writer
        early, self._early = self._early, []
        for data in early:
            writer.write(data)
        if self._ended and not self.eof_received():
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.resume_reading()


class Tunnel:
    """`up` is the client's half, `down` the upstream's. `ended` is called when a transport is closed that has no other
    side any more."""

    def __init__(self, ended: Callable[[], None], up: Half | None = None) -> None:
        self._open = 0
        self._ended = ended
        self.up, self.down = up or Half(), Half()
        self.up.other, self.down.other = self.down, self.up
        self.up.tunnel = self.down.tunnel = self

    @classmethod
    def over(cls, client: asyncio.Transport, upstream: asyncio.Transport, ended: Callable[[], None]) -> Tunnel:
        """Takes two connections over that have carried something else."""
        tunnel = cls(ended)
        for half, transport in ((tunnel.up, client), (tunnel.down, upstream)):
            half.connection_made(transport)
            transport.set_protocol(half)
        return tunnel

    def start(self, up: list[bytes], down: list[bytes]) -> None:
        """Joins both sides; `up` and `down` are bytes that have come before."""
        self._open = 2
        for half, early in ((self.up, up), (self.down, down)):
            for data in early:
                half.data_received(data)
        self.up.join(self.down.transport)
        self.down.join(self.up.transport)

    @property
    def bytes_up(self) -> int:
        return self.up.bytes

    @property
    def bytes_down(self) -> int:
        return self.down.bytes

    def half_closed(self) -> None:
        self._open -= 1
        if self._open <= 0:
            self._ended()
