"""A web application on aiohttp, in a thread of its own: what real clients talk to through the proxy."""

from __future__ import annotations

import asyncio
import hashlib
import threading

from aiohttp import WSMsgType, web


async def hello(request: web.Request) -> web.Response:
    return web.json_response({"method": request.method, "path": request.path_qs, "host": request.host})


async def upload(request: web.Request) -> web.Response:
    """The size and SHA-256 of what was sent."""
    digest, size = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        size += len(piece)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})


async def stream(request: web.Request) -> web.StreamResponse:
    """`n` lines, chunked, each in its own time."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for number in range(int(request.query["n"])):
        await answer.write(b"line %d\n" % number)
        await asyncio.sleep(0)
    await answer.write_eof()
    return answer


async def squeezed(request: web.Request) -> web.Response:
    answer = web.Response(text="squeeze me " * 1000)
    answer.enable_compression()
    return answer


async def cookies(request: web.Request) -> web.Response:
    answer = web.json_response(dict(request.cookies))
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


async def moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("/hello")


async def talk(request: web.Request) -> web.WebSocketResponse:
    """Echoes text and binary messages; `bye` closes."""
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT and message.data == "bye":
            await socket.close(code=4000, message=b"bye")
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


class Web:
    """Serves until `stop`."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        app = web.Application(client_max_size=0)
        for path, handler in (
            ("/hello", hello),
            ("/upload", upload),
            ("/stream", stream),
            ("/squeezed", squeezed),
            ("/cookies", cookies),
            ("/moved", moved),
            ("/talk", talk),
        ):
            app.router.add_route("*", path, handler)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._done.wait()
        await runner.cleanup()
