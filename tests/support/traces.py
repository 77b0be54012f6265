"""A data plane without a network: the real proxy on transports made of lists, a loop that is stepped and a clock that
is set. Tests write packet traces: what comes in, in which order; then look at what went out and what is left behind.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from meshproxy.base import clock
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy import downstream, mirror, plain
from meshproxy.proxy.exchange import Exchange
from meshproxy.proxy.options import Options
from meshproxy.proxy.plain import PlainExchange
from meshproxy.proxy.proxy import Proxy
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.connection import HIGH_WATER, UpstreamConnection
from meshproxy.upstream.policed import PolicedCluster
from support.plans import API, plan

QUIET, _KEEPS_QUIET = os.pipe()
"""A descriptor on which nothing ever arrives: what an idle connection's socket looks like."""


class Socket:
    def fileno(self) -> int:
        return QUIET


class Pipe(asyncio.Transport):
    """The proxy's end of one connection. What it writes is in `out`; what it may not do is an AssertionError."""

    def __init__(self, world: World, protocol: asyncio.Protocol, peer: tuple[str, int]) -> None:
        super().__init__()
        self.world = world
        self.protocol = protocol
        self.peer = peer
        self.out = bytearray()
        self.closing = self.aborted = self.lost = self.ended = self.paused = self.peer_ended = False
        self.stuck = self.blocked = False  # the peer reads nothing, and the buffer is full
        self._waiting: list[bytes | None] = []  # what the peer has sent while reading was paused; None: its end

    # ---- what the proxy calls

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.aborted, f"written after abort: {data!r}"
        assert not self.ended, f"written after the end: {data!r}"
        assert not self.lost, f"written after it was lost: {data!r}"
        self.out += data
        if self.stuck and not self.blocked and len(self.out) > HIGH_WATER:
            self.blocked = True
            self.protocol.pause_writing()

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.world.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.world.loop.call_soon(self._flush)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol  # type: ignore[assignment]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"sockname": ("127.0.0.1", 1), "peername": self.peer, "socket": Socket()}
        return known.get(name, default)

    # ---- what the peer does

    def send(self, *data: bytes) -> None:
        self._waiting += data
        self.world.do(self._flush)

    def end(self) -> None:
        """The peer closes its half."""
        self._waiting.append(None)
        self.world.do(self._flush)

    def reset(self) -> None:
        """The connection breaks."""
        self.closing = True
        self.world.do(self._lose, ConnectionResetError("Connection reset by peer"))

    def block(self, blocked: bool = True) -> None:
        """The peer reads no more, or does again."""
        if not self.closing:
            self.world.do(self.protocol.pause_writing if blocked else self.protocol.resume_writing)

    def taken(self) -> bytes:
        """What was written since the last call."""
        out = bytes(self.out)
        self.out.clear()
        return out

    def _flush(self) -> None:
        while self._waiting and not self.paused and not self.closing and not self.peer_ended:
            data = self._waiting.pop(0)
            if data is not None:
                self.protocol.data_received(data)
                continue
            self.peer_ended = True
            if not self.protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(error)


class Dialled:
    """A connection that the proxy wants to open."""

    def __init__(self, world: World, host: str, port: int) -> None:
        self.world, self.host, self.port = world, host, port
        self.outcome: asyncio.Future[None] = world.loop.create_future()

    @property
    def open(self) -> bool:
        return not self.outcome.done()

    def accept(self) -> Pipe:
        self.outcome.set_result(None)
        self.world.settle()
        return self.world.upstreams[-1]

    def refuse(self) -> None:
        self.outcome.set_exception(ConnectionRefusedError(111, "Connection refused"))
        self.world.settle()


class _Nothing:
    def select(self, timeout: float | None) -> list[Any]:
        return []


class Loop(asyncio.BaseEventLoop):
    """No sockets, no real time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._selector = _Nothing()
        self.world = world

    def time(self) -> float:
        return self.world.now

    def _process_events(self, events: list[Any]) -> None:
        pass

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await self._dial(*address)

    async def _dial(self, host: str, port: int) -> None:
        dialled = Dialled(self.world, host, port)
        self.world.dials.append(dialled)
        await dialled.outcome

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, sock: socket.socket | None = None, **_: Any
    ) -> Any:
        if sock is None:
            await self._dial(host, port)
        else:
            sock.close()  # it has served to say where to
        pipe = Pipe(self.world, factory(), (host, port))
        self.world.upstreams.append(pipe)
        pipe.protocol.connection_made(pipe)
        return pipe, pipe.protocol


class World:
    """Use as a context: at its end the client is lost, and nothing may be left behind."""

    def __init__(self, snapshot: Snapshot, **options: Any) -> None:
        self.now = 1000.0
        self.loop = Loop(self)
        self.dials: list[Dialled] = []
        self.upstreams: list[Pipe] = []
        self.clients: list[Pipe] = []
        self.exchanges: list[Exchange | PlainExchange] = []
        self.observed: list[Any] = []
        self._errors: list[BaseException] = []
        self._snapshot = snapshot
        self._options = Options(sweep_interval=0.5, **options)
        self._draw = 0.0

    def __enter__(self) -> World:
        self._saved = (clock.monotonic, clock.draw, downstream.Exchange, plain.Exchange, downstream.PlainExchange)
        clock.monotonic = lambda: self.now  # type: ignore[assignment]
        clock.draw = lambda: self._draw
        downstream.Exchange = plain.Exchange = self._exchange  # type: ignore[assignment,misc]
        downstream.PlainExchange = self._plain_exchange  # type: ignore[assignment,misc]
        self.loop.set_exception_handler(self._on_error)
        self.stats = Stats.create(1)
        self.proxy = Proxy(loop=self.loop, stats=self.stats, options=self._options)
        self.proxy.watch(lambda metrics: _Watched(metrics, self.observed))
        self.do(self.proxy.apply, self._snapshot)
        self.client = self.connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            clock.monotonic, clock.draw, downstream.Exchange, plain.Exchange, downstream.PlainExchange = self._saved  # type: ignore[misc]
            self.proxy.abort()
            with suppress(BaseException):
                self.settle()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.settle()
            self.loop.close()

    # ---- the course of things

    def connect(self, listener: str = "mesh") -> Pipe:
        """One more client."""
        pipe = Pipe(self, self.proxy.protocol_factory(listener)(), ("127.0.0.9", 9))  # type: ignore[arg-type]
        self.clients.append(pipe)
        self.do(pipe.protocol.connection_made, pipe)
        return pipe

    def do(self, call: Callable[..., object], *args: object) -> None:
        self.loop.call_soon(call, *args)
        self.settle()

    def settle(self) -> None:
        """Runs the loop until nothing is ready."""
        while self.loop._ready or self._is_due():  # type: ignore[attr-defined]
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        if self._errors:
            raise self._errors.pop()
        self.check()

    def wait(self, seconds: float) -> None:
        """Time passes, with everything that is due on the way."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.05)
            self.settle()

    def check(self) -> None:
        """What holds at any time: as many requests are counted as active as there are attempts under way."""
        picked = [each for each in self.exchanges if _has_picked(each)]
        assert sum(endpoint.active for endpoint in self.endpoints) == len(picked) + len(mirror._under_way)

    def finish(self) -> None:
        """The clients go, and copies get their time; what the proxy holds then is connections that wait for a request,
        and nothing else."""
        for client in self.clients:
            client.reset()
        for dialled in self.dials:
            if dialled.open:
                dialled.refuse()
        if mirror._under_way:
            self.wait(self._options.stream_idle_timeout + 1)
        self.check()
        assert not mirror._under_way
        assert [endpoint.active for endpoint in self.endpoints] == [0] * len(self.endpoints)
        assert [id(each) for each in self.observed] == sorted({id(each) for each in self.observed}, key=self._position)
        assert {id(each) for each in self.observed} == {id(each) for each in self.exchanges}
        for each in self.exchanges:
            assert not _has_picked(each)
            if isinstance(each, Exchange):
                assert each._coroutine is None, "a coroutine is left suspended"
                assert each.connection is None
        idle = {id(connection.transport) for connection in self._idle()}
        assert {id(pipe) for pipe in self.upstreams if not pipe.closing} == idle
        for cluster in self.proxy.clusters.by_name.values():
            if isinstance(cluster, PolicedCluster):
                breaker = cluster.breaker
                counts = [each.in_use() for each in (breaker.requests, breaker.pending, breaker.retries)]
                assert counts == [0, 0, 0], "requests, waiting, retries"
                assert breaker.connections.in_use() == len(idle)
        alarms = self.proxy._context.timer._deadlines._buckets.values()
        assert not any(alarms), "an alarm is left behind"
        assert self.proxy.active == 0

    @property
    def endpoints(self) -> list[Any]:
        return [endpoint for cluster in self.proxy.clusters.by_name.values() for endpoint in cluster.endpoints]

    def _idle(self) -> Iterator[UpstreamConnection]:
        for endpoint in self.endpoints:
            yield from endpoint.idle
            for pool in endpoint.pools.values():
                yield from pool.idle

    def _position(self, ident: int) -> int:
        return [id(each) for each in self.observed].index(ident)

    def _is_due(self) -> bool:
        timers = [handle for handle in self.loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        return any(handle.when() <= self.now for handle in timers)

    def _exchange(self, *args: Any) -> Exchange:
        """A whole exchange; if it takes over from a plain one, in its place."""
        exchange = Exchange(*args)
        self.exchanges = [each for each in self.exchanges if each.request is not exchange.request] + [exchange]
        return exchange

    def _plain_exchange(self, *args: Any) -> PlainExchange:
        exchange = PlainExchange(*args)
        self.exchanges.append(exchange)
        return exchange

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._errors.append(context.get("exception") or AssertionError(context["message"]))


def waits_on(exchange: Exchange | PlainExchange, upstream: Pipe) -> bool:
    """Whether it waits for an answer on this connection."""
    connection = getattr(exchange, "connection", None)
    return connection is not None and connection.user is exchange and connection.transport is upstream


def _has_picked(exchange: Exchange | PlainExchange) -> bool:
    """Whether an endpoint counts it as active."""
    if isinstance(exchange, Exchange):
        return exchange._picked is not None
    return hasattr(exchange, "connection") and exchange.connection.user is exchange


class _Watched:
    def __init__(self, metrics: Any, observed: list[Any]) -> None:
        self._metrics, self._observed = metrics, observed

    def observe(self, record: Any, service: str) -> None:
        self._observed.append(record)
        self._metrics.observe(record, service)


RULES = """
- match: [{uri: {prefix: /retry}}]
  retries: {attempts: 2, retryOn: "5xx,reset,connect-failure", perTryTimeout: 1s}
  route: [{destination: {host: reviews.test}}]
- match: [{uri: {prefix: /timeout}}]
  timeout: 2s
  route: [{destination: {host: reviews.test}}]
- match: [{uri: {prefix: /slow}}]
  fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}}
  route: [{destination: {host: reviews.test}}]
- match: [{uri: {prefix: /direct}}]
  directResponse: {status: 200, body: {string: direct}}
- match: [{uri: {prefix: /cut}}]
  fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
  route: [{destination: {host: reviews.test}}]
- match: [{uri: {prefix: /nobody}}]
  route: [{destination: {host: nobody.test}}]
- match: [{uri: {prefix: /mirrored}}]
  mirror: {host: reviews.test}
  route: [{destination: {host: reviews.test}}]
- match: [{uri: {prefix: /once}}]
  retries: {attempts: 0}
  route: [{destination: {host: reviews.test}}]
- route: [{destination: {host: reviews.test}}]
"""


@functools.cache
def snapshot(endpoints: int = 1, policy: str = "") -> Snapshot:
    """`reviews.test` with so many endpoints, under a traffic policy, and a route for each thing that may happen."""
    addresses = "".join(f"\n  - {{address: 127.0.0.{number}}}" for number in range(1, endpoints + 1))
    return plan(
        _entry("reviews.test", f"  endpoints:{addresses}\n"),
        _entry("nobody.test", ""),
        f"{API}\nkind: VirtualService\nmetadata: {{name: reviews}}\nspec:\n  hosts: [reviews.test]\n"
        f"  http:{_indented(RULES)}",
        *([_rule(policy)] if policy else []),
    )


def _rule(policy: str) -> str:
    host = "host: reviews.test, trafficPolicy"
    return f"{API}\nkind: DestinationRule\nmetadata: {{name: reviews}}\nspec: {{{host}: {{{policy}}}}}\n"


def _entry(host: str, endpoints: str) -> str:
    return (
        f"{API}\nkind: ServiceEntry\nmetadata: {{name: {host}}}\nspec:\n  hosts: [{host}]\n  location: MESH_INTERNAL\n"
        f"  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n{endpoints}"
    )


def _indented(rules: str) -> str:
    return rules.replace("\n", "\n  ")


def get(path: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", "Host: reviews.test", *fields, *length, "", ""]
    return "\r\n".join(lines).encode() + body


def answer(body: bytes = b"ok", status: str = "200 OK", *fields: str) -> bytes:
    """The bytes of a response."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


def statuses(data: bytes) -> list[int]:
    """Of all responses in the bytes."""
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
