"""The first moments of a connection, in this process: time-outs, limits, and what is counted when it is handed over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from support.certificates import client_context, issue, secret
from support.gateways import gateway, on_gateway, server, tcp_service, to
from support.plans import plan
from support.proxy import document

from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.options import Options
from meshproxy.proxy.proxy import Proxy
from meshproxy.telemetry.stats import Stats

TLS, TCP = 443, 9000


@dataclass
class Running:
    """A data plane with its listeners open; `records` is what it would log."""

    ports: dict[int, int] = field(default_factory=dict)
    records: list[Any] = field(default_factory=list)
    stats: Stats = field(default_factory=lambda: Stats.create(1))
    proxy: Proxy | None = None

    def log(self, record: Any) -> None:
        self.records.append(record)

    def value(self, name: str) -> int:
        return sum(sum(self.stats.values(entry)) for entry in self.stats.entries() if entry.name == name)

    async def logged(self, matches: Callable[[Any], bool]) -> Any:
        while True:
            for record in self.records:
                if matches(record):
                    return record
            await asyncio.sleep(0.01)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


def run(test: Callable[[Running], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        upstream = await asyncio.start_server(echo, "127.0.0.1", 0)
        running = Running()
        options = Options(header_timeout=0.1, sweep_interval=0.02)
        proxy = Proxy(loop=loop, stats=running.stats, access_log=running, options=options)
        running.proxy = proxy
        snapshot = plan(config(upstream.sockets[0].getsockname()[1]))
        proxy.apply(snapshot)
        servers = []
        for listener in snapshot.listeners:
            servers.append(await opened(proxy, listener))
            running.ports[listener.server_port] = servers[-1].sockets[0].getsockname()[1]
        try:
            await asyncio.wait_for(test(running), 10)  # type: ignore[arg-type]
        finally:
            proxy.abort()
            for each in (*servers, upstream):
                each.close()
            await asyncio.sleep(0.01)

    asyncio.run(main())


async def opened(proxy: Proxy, listener: Listener) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(proxy.protocol_factory(listener.name), "127.0.0.1", 0)


def config(port: int) -> str:
    limits = {"trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}}}
    return yaml.safe_dump_all(
        [
            tcp_service("echo.test", (port, "v1")),
            document("DestinationRule", "echo", {"host": "echo.test", **limits}),
            secret("a", issue("a.test")),
            gateway(
                server(TLS, "TLS", ["a.test"], tls={"mode": "SIMPLE", "credentialName": "a"}), server(TCP, "TCP", ["*"])
            ),
            on_gateway("echo", ["*"], tcp=[{"route": [to("echo.test")]}]),
        ]
    )


def test_a_client_that_says_nothing_is_not_waited_for():
    async def test(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[TLS])
        assert await reader.read() == b""
        writer.close()
        record = await running.logged(lambda record: True)
        assert record.details == "downstream_handshake_timeout"

    run(test)


def test_a_handshake_that_stops_is_not_waited_for():
    async def test(running: Running) -> None:
        import ssl

        outgoing = ssl.MemoryBIO()
        client = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[TLS])
        writer.write(outgoing.read())
        await reader.read()
        writer.close()
        record = await running.logged(lambda record: True)
        assert "in_time" in record.termination_details
        assert record.requested_server_name == "a.test"

    run(test)


def test_a_connection_that_is_handed_over_counts_once():
    async def test(running: Running) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.ports[TLS], ssl=client_context(), server_hostname="a.test"
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert running.value("meshproxy_downstream_cx_total") == 1
        assert running.value("meshproxy_downstream_cx_active") == 1
        writer.close()
        await running.logged(lambda record: record.bytes_received == 5)
        assert running.value("meshproxy_downstream_cx_active") == 0
        assert running.value("meshproxy_upstream_cx_active") == 0

    run(test)


def test_no_more_connections_than_the_destination_rule_allows():
    async def test(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[TCP])
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        other, other_writer = await asyncio.open_connection("127.0.0.1", running.ports[TCP])
        assert await other.read() == b""
        other_writer.close()
        assert (await running.logged(lambda record: True)).flags == "UO"
        writer.close()
        await running.logged(lambda record: record.bytes_received == 5)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[TCP])
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()

    run(test)


def test_a_reload_between_accepting_and_the_hello_takes_nothing_away():
    async def test(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[TLS])
        await asyncio.sleep(0.02)
        assert running.proxy is not None
        running.proxy.apply(Snapshot())
        await writer.start_tls(client_context(), server_hostname="a.test")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()

    run(test)
