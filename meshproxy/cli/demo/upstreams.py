"""The services of Bookinfo as the tour needs them: each version listens on a port of its own and says who it is.

An answer is JSON: service, version, method, path, and the headers as they arrived.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

from httptools import HttpParserError, HttpRequestParser

VERSIONS = {
    "productpage": ("v1",),
    "details": ("v1",),
    "reviews": ("v1", "v2", "v3"),
    "ratings": ("v1",),
}


class Upstream(asyncio.Protocol):
    """One connection to one version of a service."""

    def __init__(self, service: str, version: str) -> None:
        self._service = service
        self._version = version
        self._parser = HttpRequestParser(self)
        self._path = ""
        self._headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self._transport.close()

    # called by the parser

    def on_url(self, url: bytes) -> None:
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        answer = {
            "service": self._service,
            "version": self._version,
            "method": method,
            "path": self._path,
            "headers": self._headers,
        }
        self._path, self._headers = "", {}
        body = json.dumps(answer, indent=2).encode() + b"\n"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head if method == "HEAD" else head + body)
        if not self._parser.should_keep_alive():
            self._transport.close()


class Upstreams:
    """All versions of all services, on free ports of the loopback interface, while the context lasts."""

    def __init__(self) -> None:
        self.ports: dict[tuple[str, str], int] = {}
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Upstreams:
        for service, versions in VERSIONS.items():
            for version in versions:
                await self._start(service, version)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    async def _start(self, service: str, version: str) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Upstream(service, version), "127.0.0.1", 0)
        self._servers.append(server)
        self.ports[service, version] = server.sockets[0].getsockname()[1]
