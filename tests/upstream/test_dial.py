"""Opening a connection: what fails is ours and safe to try again; what nobody waits for is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.base.errors import Kind, ProxyError, Retry
from meshproxy.plan.cluster import Endpoint
from meshproxy.upstream.dial import Dial, connect
from meshproxy.upstream.endpoint import LiveEndpoint


class Loop(asyncio.SelectorEventLoop):
    """A loop whose connections are made of an exception."""

    failure: BaseException | None = None

    async def create_connection(self, factory: object, *_: object, **__: object) -> object:  # type: ignore[override]
        if self.failure is None:
            await asyncio.sleep(3600)
        assert self.failure is not None
        raise self.failure


def endpoint(address: str = "127.0.0.1", port: int = 1) -> LiveEndpoint:
    return LiveEndpoint(Endpoint(address=address, port=port))


def run(failure: BaseException | None, within: float = 5.0) -> ProxyError:
    loop = Loop()
    loop.failure = failure
    try:
        with pytest.raises(ProxyError) as caught:
            loop.run_until_complete(connect(endpoint(), within, lambda change: None))
    finally:
        loop.close()
    return caught.value


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), Kind.CONNECT_FAILURE, "111|Connection refused"),
        (OSError(113, "No route to host"), Kind.CONNECT_FAILURE, "113|No route to host"),
        (UnicodeError("label too long"), Kind.CONNECT_FAILURE, "no such address"),
        (OverflowError("port must be 0-65535"), Kind.CONNECT_FAILURE, "no such address"),
        (TimeoutError(), Kind.CONNECT_TIMEOUT, "connection timeout"),
        (None, Kind.CONNECT_TIMEOUT, "connection timeout"),
    ],
)
def test_failures_are_ours_and_safe_to_try_again(failure: BaseException | None, kind: Kind, words: str) -> None:
    error = run(failure, 0.01 if failure is None else 5.0)
    assert (error.kind, error.retry) == (kind, Retry.SAFE)
    assert error.cause.endswith(words)


@pytest.mark.parametrize("name", ["a.sock", "with@sign.sock"])
def test_a_unix_socket_is_reached_by_its_path(tmp_path: Path, name: str) -> None:
    async def course() -> None:
        server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), tmp_path / name)
        counts: list[int] = []
        connection = await connect(endpoint(f"unix://{tmp_path / name}", 0), 5.0, counts.append)
        connection.close()
        await asyncio.sleep(0.01)
        assert counts == [1, -1]
        server.close()
        await server.wait_closed()

    asyncio.run(course())


async def turns(done: Callable[[], bool]) -> None:
    """As many turns of the loop as it takes."""
    for _ in range(1000):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("never")


@contextlib.asynccontextmanager
async def listening(path: Path) -> AsyncIterator[LiveEndpoint]:
    """An endpoint that accepts and says nothing."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda reader, writer: writers.append(writer), path)
    yield endpoint(f"unix://{path}", 0)
    server.close()
    await asyncio.sleep(0.01)
    for writer in writers:
        writer.close()
    await server.wait_closed()
    await asyncio.sleep(0.01)


def test_a_dial_that_nobody_waits_for_becomes_an_idle_connection(tmp_path: Path) -> None:
    async def course() -> None:
        async with listening(tmp_path / "a") as target:
            told: list[int] = []
            dial = Dial(target, 5.0, lambda change: None, lambda: told.append(1))
            dial.cancel()
            await turns(lambda: bool(target.idle))
            assert told == []
            connection = target.take()
            assert connection is not None
            connection.close()

    asyncio.run(course())


def test_a_connection_lost_before_its_first_request_is_a_failure(tmp_path: Path) -> None:
    async def course() -> None:
        async with listening(tmp_path / "a") as target:
            told: list[int] = []
            dial = Dial(target, 5.0, lambda change: None, lambda: told.append(1))
            await turns(lambda: bool(told))
            dial.result().close()
            with pytest.raises(ProxyError) as caught:
                dial.result()
            assert (caught.value.kind, caught.value.retry) == (Kind.UPSTREAM_CLOSED, Retry.SAFE)

    asyncio.run(course())
