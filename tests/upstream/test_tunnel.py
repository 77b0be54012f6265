"""Streams through a forward proxy: what it is asked, what it answers, and the bytes behind."""

import asyncio
import contextlib

import pytest

from meshproxy.base.errors import Kind, ProxyError
from meshproxy.plan.cluster import Cluster, Endpoint
from meshproxy.plan.upstream_tls import Tunnel
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.streams import open_stream


class ForwardProxy(asyncio.Protocol):
    def __init__(self, answer, got):
        self.answer, self.got = answer, got

    def connection_made(self, transport):
        self.got.append(transport)

    def data_received(self, data):
        if not any(isinstance(each, bytes) for each in self.got):
            for part in self.answer:
                self.got[0].write(part)
        self.got.append(data)


class Stream(asyncio.Protocol):
    def __init__(self):
        self.made, self.read = 0, b""

    def connection_made(self, transport):
        self.made += 1
        self.transport = transport

    def data_received(self, data):
        self.read += data


@contextlib.asynccontextmanager
async def tunnelled(*answer, within=10.0):
    got = []
    server = await asyncio.get_running_loop().create_server(lambda: ForwardProxy(answer, got), "127.0.0.1", 0)
    endpoint = Endpoint(address="127.0.0.1", port=server.sockets[0].getsockname()[1])
    plan = Cluster(name="c", host="h", port=1, tunnel=Tunnel("CONNECT", "far.test:443"), connect_timeout=within)
    cluster = LiveCluster(plan, [LiveEndpoint(endpoint)])
    try:
        yield cluster, got
    finally:
        server.close()
        for each in got:
            if not isinstance(each, bytes):
                each.abort()
        await asyncio.sleep(0.02)


async def opened(cluster):
    stream = Stream()
    ends = {"host": "h", "source": "127.0.0.1:1", "local": "127.0.0.1:2"}
    await open_stream(cluster, cluster.endpoints[0], stream, **ends)
    return stream


@pytest.mark.parametrize(
    "answer",
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\nhello",),
        (b"HTTP/1.1 20", b"0 OK\r\nVia: x\r\n", b"\r\nhel", b"lo"),
        (b"HTTP/1.0 299 Fine\r\n\r\n", b"hello"),
    ],
)
async def test_the_target_is_asked_for_and_what_follows_the_answer_is_the_stream(answer):
    async with tunnelled(*answer) as (cluster, got):
        stream = await opened(cluster)
        stream.transport.write(b"ours")
        await asyncio.sleep(0.05)
        assert got[1] == b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n"
        assert (stream.made, stream.read, got[2]) == (1, b"hello", b"ours")
        stream.transport.abort()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the forward proxy answered 403 Forbidden"),
        (b"SSH-2.0-x\r\n\r\n", "the forward proxy answered no HTTP"),
        (b"x" * 20_000, "the forward proxy answered no HTTP"),
    ],
)
async def test_a_refusal_is_a_failed_connection_with_its_words(answer, cause):
    async with tunnelled(answer) as (cluster, _):
        with pytest.raises(ProxyError) as failed:
            await opened(cluster)
        assert (failed.value.kind, failed.value.cause) == (Kind.CONNECT_FAILURE, cause)


async def test_a_forward_proxy_that_says_nothing_is_waited_for_so_long():
    async with tunnelled(within=0.05) as (cluster, _):
        with pytest.raises(ProxyError) as failed:
            await opened(cluster)
        assert failed.value.kind is Kind.CONNECT_TIMEOUT
