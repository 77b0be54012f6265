"""Slow readers and writers, clients that go: memory stays bounded, others are served, nothing is made up (rule 14)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from support.fleet import Fleet, Service
from support.raw import Raw, head
from support.upstream import Gone, Peer, Seen, always, echo
from support.wait import eventually

MIB = 1 << 20
PIECE = b"x" * (64 * 1024)
BOUND = 24 * MIB


@contextlib.contextmanager
def bounded_memory(fleet: Fleet) -> Iterator[None]:
    """The subject's resident memory grows by less than `BOUND` while inside."""
    process = psutil.Process(fleet.subject.pid)
    before = process.memory_info().rss
    yield
    grown = process.memory_info().rss - before
    assert grown < BOUND, f"grew by {grown // MIB} MiB"


def send_until_stuck(sock: socket.socket, limit: int) -> int:
    """Sends until nobody takes any more for a while, or `limit`; gives what was sent."""
    sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError, OSError):
        while sent < limit:
            sent += sock.send(PIECE)
    return sent


def test_a_client_that_does_not_read_stops_the_upstream(upstream: Service, fleet: Fleet) -> None:
    sent: list[int] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
        sent.append(send_until_stuck(peer.sock, 256 * MIB))
        peer.wait_gone()

    upstream.script(script, always(echo))
    with bounded_memory(fleet), upstream.connect(receive_buffer=65536) as client:
        client.send(head(upstream.host))
        eventually(lambda: sent, "the upstream is stuck", 20)
        assert sent[0] < 64 * MIB
        with upstream.connect() as other:
            assert other.get(upstream.host).status == 200, "others are served meanwhile"
    assert upstream.peer().gone.wait(10), "the client went: the upstream connection is closed"


def test_a_client_that_does_not_read_a_chunked_answer_stops_the_upstream(upstream: Service, fleet: Fleet) -> None:
    stuck = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError, OSError):
            while sent < 256 * MIB:
                peer.sock.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                sent += len(PIECE)
        assert sent < 64 * MIB
        stuck.set()

    upstream.script(script)
    with bounded_memory(fleet), upstream.connect(receive_buffer=65536) as client:
        client.send(head(upstream.host))
        assert stuck.wait(20)


def test_an_upstream_that_does_not_read_stops_the_client(upstream: Service, fleet: Fleet) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.head()
        release.wait(20)

    upstream.script(script, always(echo))
    with bounded_memory(fleet), upstream.connect() as client:
        client.send(head(upstream.host, "/", f"Content-Length: {256 * MIB}", method="POST"))
        assert send_until_stuck(client.sock, 256 * MIB) < 64 * MIB
        with upstream.connect() as other:
            assert other.get(upstream.host).status == 200
    release.set()


def test_a_slow_reader_gets_everything_in_the_end(upstream: Service) -> None:
    blob = bytes(range(256)) * (8 * MIB // 256)
    upstream.respond(lambda peer, seen: peer.answer(blob))
    with upstream.connect(receive_buffer=65536) as client:
        client.send(head(upstream.host))
        time.sleep(0.3)
        assert client.reply().body == blob


def test_pipelined_requests_wait_outside(upstream: Service, fleet: Fleet) -> None:
    """httptools cannot be paused: what it delivers at once is queued, and the client is not read any further."""
    release = threading.Event()

    def slow(peer: Peer, seen: Seen) -> None:
        release.wait(20)
        echo(peer, seen)

    upstream.respond(slow)
    request = head(upstream.host, "/x", "X-Pad: " + "p" * 1000)
    with bounded_memory(fleet), upstream.connect() as client:
        client.sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MIB:
                sent += client.sock.send(request * 50)
        assert sent < 64 * MIB
        release.set()


def test_pipelined_answers_wait_for_a_client_that_does_not_read(upstream: Service, fleet: Fleet) -> None:
    upstream.respond(lambda peer, seen: peer.answer(PIECE))
    with bounded_memory(fleet), upstream.connect(receive_buffer=65536) as client:
        client.send(*(head(upstream.host) for _ in range(1000)))
        count = settled(lambda: len(upstream.requests))
        assert count < 600


def settled(count: Callable[[], int]) -> int:
    """The value of `count` once it stops growing."""
    last = -1
    while (now := count()) != last or now == 0:
        last = now
        time.sleep(0.4)
    return last


# clients that go


def test_a_client_gone_while_waiting_ends_the_upstream_request(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        client.send(head(upstream.host))
        eventually(lambda: b"\r\n\r\n" in upstream.peer().received, "the request upstream")
    assert upstream.peer().gone.wait(5)
    with upstream.connect() as client:
        assert client.get(upstream.host).json["connection"] == 1
    entries = upstream.fleet.subject.log.of(upstream.host, 2)
    assert "DC" in [str(entry["response_flags"]) for entry in entries]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_client_gone_in_its_body_leaves_the_request_incomplete(upstream: Service, how: str, framing: str) -> None:
    """Never a made-up last chunk, never a whole body."""
    upstream.script(lambda peer: peer.wait_gone(), always(echo))
    client = upstream.connect()
    client.send(head(upstream.host, "/", framing, method="POST"), b"5\r\nhello\r\n")
    eventually(lambda: b"hello" in upstream.peer().received, "the body's beginning upstream")
    getattr(client, how)()
    assert upstream.peer().gone.wait(5)
    body = bytes(upstream.peer().received).partition(b"\r\n\r\n")[2]
    assert b"0\r\n\r\n" not in body
    assert len(body) < 100


def test_a_client_gone_while_it_reads_ends_the_answer(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        while not peer.gone.is_set():
            peer.sock.sendall(b"5\r\nhello\r\n")
            time.sleep(0.01)
            with contextlib.suppress(BlockingIOError, Gone):
                peer.sock.setblocking(False)
                peer.receive()
            peer.sock.settimeout(5)

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host))
        assert client.until(b"hello")
    eventually(lambda: not upstream._threads[-1].is_alive(), "the upstream connection is closed")


def test_a_client_that_half_closes_after_its_request_does_not_hang(upstream: Service) -> None:
    """HAProxy delivers, Envoy and nginx drop: both are allowed."""
    with upstream.connect() as client:
        client.send(head(upstream.host))
        client.half_close()
        answer = client.rest()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200")


def test_connect_and_reset_leaves_nothing_behind(upstream: Service, fleet: Fleet) -> None:
    process = psutil.Process(fleet.subject.pid)
    with upstream.connect() as client:
        client.get(upstream.host)
    before = process.num_fds()
    for number in range(200):
        client = fleet.connect()
        if number % 2:
            client.send(b"GET / HT")
        client.reset()
    with upstream.connect() as client:
        assert client.get(upstream.host).status == 200
    eventually(lambda: process.num_fds() <= before + 2, "file descriptors are given back")


def test_idle_and_half_sent_connections_do_not_hinder_others(upstream: Service, fleet: Fleet) -> None:
    silent = [fleet.connect() for _ in range(100)]
    half = [fleet.connect().send(head(upstream.host)[:-2]) for _ in range(100)]
    with upstream.connect() as client:
        for _ in range(20):
            assert client.get(upstream.host).status == 200
    for number, one in enumerate(half):
        if number % 10 == 0:
            assert one.send(b"\r\n").reply().status == 200
    for one in (*silent, *half):
        one.close()


def test_a_tunnel_that_nobody_reads_is_bounded(upstream: Service, fleet: Fleet) -> None:
    sent: list[int] = []
    release = threading.Event()

    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        sent.append(send_until_stuck(peer.sock, 256 * MIB))
        release.wait(20)

    upstream.respond(respond)
    wish = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")
    with bounded_memory(fleet), Raw(fleet.subject.address, receive_buffer=65536) as client:
        client.send(head(upstream.host, "/", *wish))
        eventually(lambda: sent, "the upstream is stuck", 20)
        assert sent[0] < 64 * MIB
        assert send_until_stuck(client.sock, 256 * MIB) < 64 * MIB
    release.set()
