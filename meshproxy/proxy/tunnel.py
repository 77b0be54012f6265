"""After an accepted upgrade: bytes in both directions, with back-pressure and half-close, until both sides are done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class _Half(asyncio.Protocol):
    """Reads one side and writes the other."""

    def __init__(self, tunnel: Tunnel, reader: asyncio.Transport, writer: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.reader = reader
        self._writer = writer
        self.bytes = 0
        self.other: _Half

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        if not self._writer.is_closing():
            self._writer.write(data)

    def eof_received(self) -> bool:
        if self._writer.is_closing() or not self._writer.can_write_eof():
            return False
        self._writer.write_eof()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self.other.reader.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.reader.is_closing():
            self.other.reader.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._writer.is_closing():
            self._writer.close()
        self._tunnel.half_closed()


class Tunnel:
    """`ended` is called once, when both transports are closed."""

    def __init__(self, client: asyncio.Transport, upstream: asyncio.Transport, ended: Callable[[], None]) -> None:
        self._open = 2
        self._ended = ended
        self._up = _Half(self, client, upstream)
        self._down = _Half(self, upstream, client)
        self._up.other, self._down.other = self._down, self._up

    def start(self, up: list[bytes], down: list[bytes]) -> None:
        """Takes both transports over; `up` and `down` are bytes that have come before."""
        client, upstream = self._up.reader, self._down.reader
        client.set_protocol(self._up)
        upstream.set_protocol(self._down)
        for data in up:
            self._up.data_received(data)
        for data in down:
            self._down.data_received(data)
        for transport in (client, upstream):
            if not transport.is_closing():
                transport.resume_reading()

    @property
    def bytes_up(self) -> int:
        return self._up.bytes

    @property
    def bytes_down(self) -> int:
        return self._down.bytes

    def half_closed(self) -> None:
        self._open -= 1
        if not self._open:
            self._ended()
