"""The admin address: a small HTTP/1.1 server that answers GET and HEAD and reads only.

In the serving process, so it must cost nothing: aiohttp would be 33 MiB and hold the loop for 200 ms when it loads.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import cast

from meshproxy.admin.views import Answer, answer
from meshproxy.base.headers import first
from meshproxy.control.service import Service
from meshproxy.control.sockets import BACKLOG, bind

_LONGEST_HEAD = 16 * 1024
_MOST_CONNECTIONS = 256
_PATIENCE = 30.0
"""Seconds for a whole request head, idle time before it included."""
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_BAD = Answer(400, "bad request\n")


async def open_admin(service: Service) -> asyncio.Server:
    """Listens where the settings say; raises CannotBindError."""
    sock = bind(service.settings.admin)
    connections: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Connection(service, connections), sock=sock, backlog=BACKLOG)


class _Connection(asyncio.Protocol):
    """Requests one after the other; what is pipelined waits."""

    def __init__(self, service: Service, connections: set[_Connection]) -> None:
        self._service = service
        self._connections = connections
        self._buffer = b""
        self._ended = False
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = self._patience()
        self._connections.add(self)
        if len(self._connections) > _MOST_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answering is None:
            self._next()
        elif len(self._buffer) > _LONGEST_HEAD:
            self._transport.abort()

    def eof_received(self) -> bool:
        """Who has said all still gets the answers."""
        self._ended = True
        return self._answering is not None

    def _next(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if end and len(head) <= _LONGEST_HEAD:
            self._buffer = rest
            self._timer.cancel()
            self._start(self._answer(head))
        elif len(self._buffer) > _LONGEST_HEAD:
            self._write(_BAD, with_body=True, keep=False)
        elif self._ended:
            self._transport.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._answering = asyncio.get_running_loop().create_task(work)

    async def _answer(self, head: bytes) -> None:
        line, *lines = head.split(b"\r\n")
        fields = [(name, value.strip(b" \t")) for name, _, value in (each.partition(b":") for each in lines)]
        match line.split(b" "):
            case [method, target, (b"HTTP/1.0" | b"HTTP/1.1") as version] if target.startswith(b"/"):
                connection = (first(fields, b"connection") or b"").lower()
                # a body is not read: what follows such a head is not a request
                has_body = first(fields, b"content-length") not in (None, b"0") or first(fields, b"transfer-encoding")
                keep = version == b"HTTP/1.1" and connection != b"close" and not has_body
                made = await self._view(method.decode("latin-1"), target.decode("latin-1"))
                self._write(made, with_body=method != b"HEAD", keep=keep)
            case _:
                self._write(_BAD, with_body=True, keep=False)
        self._answering = None
        if not self._transport.is_closing():
            self._timer = self._patience()
            self._next()

    async def _view(self, method: str, target: str) -> Answer:
        try:
            return await answer(self._service, method, target)
        except Exception:  # a bug in a view: the one who looks is told, and so is the operator
            traceback.print_exc()
            return Answer(500, "this view failed; stderr says how\n")

    def _write(self, made: Answer, *, with_body: bool, keep: bool) -> None:
        body = made.body.encode("utf-8", "surrogateescape")
        allow = "allow: GET, HEAD\r\n" if made.status == 405 else ""
        head = (
            f"HTTP/1.1 {made.status} {_REASONS[made.status]}\r\ncontent-type: {made.content_type}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-cache, max-age=0\r\nx-content-type-options: nosniff\r\n"
            f"{allow}{'' if keep else 'connection: close' + chr(13) + chr(10)}\r\n"
        )
        self._transport.write(head.encode() + (body if with_body else b""))
        if not keep:
            self._transport.close()

    def _patience(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(_PATIENCE, self._transport.close)
