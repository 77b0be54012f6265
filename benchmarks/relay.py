"""A bare uvloop byte relay that knows no HTTP: the limit of what a Python proxy can cost."""

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One end of a relayed connection; what it reads, the other end writes."""

    def __init__(self, target: tuple[str, int] | None, other: "Side | None" = None) -> None:
        self.target = target
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.target is not None:
            loop = asyncio.get_running_loop()
            self.dialing = loop.create_task(loop.create_connection(lambda: Side(None, self), *self.target))
        elif self.other is not None:
            self.other.other = self
            self.transport.writelines(self.other.early)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.early.append(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()
            self.other = None


async def serve(port: int, target: tuple[str, int]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Side(target), "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    port, host, target_port = sys.argv[1:]
    uvloop.run(serve(int(port), (host, int(target_port))))
