"""A worker's listening sockets over several snapshots, and its drain, with real connections."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable, Iterator

import pytest

from meshproxy.control.built import Bound, Built
from meshproxy.control.sockets import CannotBindError, bind, bound_address, reserve
from meshproxy.control.worker import Worker
from meshproxy.plan.snapshot import Snapshot
from meshproxy.upstream.clusters import Clusters

_LOOPBACK = "127.0.0.1"


class _Echo(asyncio.Protocol):
    def __init__(self, plane: _Plane, name: str) -> None:
        self._plane = plane
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._plane.connections.add(self)
        transport.write(f"{self._name}\n".encode())  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        self._plane.connections.discard(self)


class _Plane:
    """The smallest data plane: every connection is told its listener's name."""

    def __init__(self) -> None:
        self.connections: set[_Echo] = set()
        self.snapshots = 0
        self.draining = False
        self.clusters = Clusters()

    def stage(self, snapshot: Snapshot) -> Iterator[None]:
        return iter(())

    def apply(self, snapshot: Snapshot) -> None:
        self.snapshots += 1

    def protocol_factory(self, listener_name: str) -> Callable[[], asyncio.BaseProtocol]:
        return lambda: _Echo(self, listener_name)

    def start_drain(self) -> None:
        self.draining = True

    @property
    def active(self) -> int:
        return len(self.connections)

    def abort(self) -> None:
        for connection in tuple(self.connections):
            connection.transport.abort()  # type: ignore[attr-defined]


def _built(*listeners: Bound) -> Built:
    return Built(digest="d", listeners=listeners, snapshot=pickle.dumps(Snapshot()))


async def _name_at(bound: Bound) -> str:
    reader, writer = await asyncio.open_connection(*bound.address)
    name = (await reader.readline()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return name


def test_unchanged_listeners_keep_their_sockets_new_ones_open_dropped_ones_close() -> None:
    async def run() -> None:
        worker = Worker(_Plane())
        a, b, c = (Bound(name, (_LOOPBACK, 0)) for name in "abc")
        first = await worker.apply(_built(a, b))
        second = await worker.apply(_built(a, c))
        assert second[0] == first[0]
        assert [await _name_at(each) for each in second] == ["a", "c"]
        with pytest.raises(ConnectionRefusedError):
            await _name_at(first[1])
        worker.abort()

    asyncio.run(run())


def test_an_address_in_use_changes_nothing() -> None:
    async def run() -> None:
        plane = _Plane()
        worker = Worker(plane)
        a = Bound("a", (_LOOPBACK, 0))
        (open_a,) = await worker.apply(_built(a))
        with socket.create_server((_LOOPBACK, 0)) as taken:
            wanted = Bound("b", taken.getsockname())
            with pytest.raises(CannotBindError, match=r"cannot bind 127\.0\.0\.1:\d+: Address already in use"):
                await worker.apply(_built(Bound("c", (_LOOPBACK, 0)), wanted))
        assert plane.snapshots == 1
        assert await _name_at(open_a) == "a"
        worker.abort()

    asyncio.run(run())


def test_a_drain_stops_accepting_and_waits_for_open_connections() -> None:
    async def run() -> None:
        plane = _Plane()
        worker = Worker(plane)
        (open_a,) = await worker.apply(_built(Bound("a", (_LOOPBACK, 0))))
        reader, writer = await asyncio.open_connection(*open_a.address)
        await reader.readline()
        draining = asyncio.create_task(worker.drain(60))
        while not plane.draining:  # noqa: ASYNC110 - a handful of turns
            await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await _name_at(open_a)
        assert not draining.done()
        writer.close()
        await draining

    asyncio.run(run())


def test_a_drain_that_takes_too_long_cuts_connections() -> None:
    async def run() -> bytes:
        worker = Worker(_Plane())
        (open_a,) = await worker.apply(_built(Bound("a", (_LOOPBACK, 0))))
        reader, writer = await asyncio.open_connection(*open_a.address)
        await reader.readline()
        await worker.drain(0)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    assert asyncio.run(run()) == b""


def test_a_reserved_address_is_shared_by_ours_and_refused_where_somebody_listens() -> None:
    with reserve((_LOOPBACK, 0)) as held, bind(bound_address(held), shared=True) as again:
        again.listen()
        with pytest.raises(CannotBindError):
            reserve(bound_address(held))
