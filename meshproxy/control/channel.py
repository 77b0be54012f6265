"""Messages between the supervisor and a worker, over a socket pair: a length, then a pickled (kind, payload).

Only our own processes hold its ends.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable
from typing import cast

_LENGTH = 8


class Channel(asyncio.Protocol):
    """One end. `received(kind, payload)` for every message, `closed()` once when the other end has gone."""

    def __init__(self, received: Callable[[str, object], None], closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(
        cls, sock: socket.socket, received: Callable[[str, object], None], closed: Callable[[], None]
    ) -> Channel:
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(received, closed), sock=sock)
        return channel

    def send(self, kind: str, payload: object = None) -> None:
        """Queued; lost where the other end has gone."""
        if self._transport is not None and not self._transport.is_closing():
            message = pickle.dumps((kind, payload), pickle.HIGHEST_PROTOCOL)
            self._transport.writelines((len(message).to_bytes(_LENGTH, "little"), message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(buffer[:_LENGTH], "little")
            if len(buffer) < end:
                return
            kind, payload = pickle.loads(memoryview(buffer)[_LENGTH:end])
            del buffer[:end]
            self._received(kind, payload)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._closed()
