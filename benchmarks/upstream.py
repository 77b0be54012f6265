"""The upstream where nginx is missing: answers small, or `/bytes/N`, on every address of the mesh."""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

from benchmarks.mesh import SUBSETS

HELLO = b"hello from the mesh, this is a small response body\n"


class Answer(asyncio.Protocol):
    """One keep-alive connection; every complete request is answered at once."""

    def __init__(self, address: str) -> None:
        self.address = address.encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        body = bytes(int(self.url[7:])) if self.url.startswith(b"/bytes/") else HELLO
        head = b"HTTP/1.1 200 OK\r\nserver: bench\r\nx-from: %b\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (self.address, len(body)) + body)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del self.parser


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    for address in (address for group in SUBSETS.values() for address in group):
        await loop.create_server(lambda address=address: Answer(address), address, port, backlog=8192)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
