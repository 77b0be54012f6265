"""Deadlines that guard the proxy: slow heads, silent connections, bodies and answers that stop (rule 14).

The time-outs are shortened (`support.hurried`); nothing here asserts how long something takes, only that it ends.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.envoy import Envoy, cluster, forward, virtual_host
from support.fleet import SUBJECT, Subject
from support.hurried import PROGRAM, TIMEOUTS
from support.proxy import Proxy, document, service_entry
from support.raw import Cut, Raw, head
from support.upstream import Peer, Upstream, always, echo
from support.wait import eventually

HOST = "slow.test"
FULL = "full.test"
PAUSE = TIMEOUTS["stream_idle_timeout"] / 4


class Site:
    """A hurried proxy, the upstream behind `slow.test`, and `full.test`, whose connections never come about."""

    def __init__(self) -> None:
        self.upstream = Upstream().listen()
        self.full, self._fill = full_listener()
        port = self.full.getsockname()[1]
        self.subject: Subject = self._envoy(port) if SUBJECT == "envoy" else self._meshproxy(port)

    def _meshproxy(self, full_port: int) -> Proxy:
        pool = {"connectionPool": {"tcp": {"connectTimeout": "200ms"}}}
        rule = document("DestinationRule", "full", {"host": FULL, "trafficPolicy": pool})
        entries = [service_entry(HOST, self.upstream.port), service_entry(FULL, full_port)]
        return Proxy([*entries, rule], program=PROGRAM)

    def _envoy(self, full_port: int) -> Envoy:
        hosts = [virtual_host(h, [h], [{"match": {"prefix": "/"}, "route": forward(h)}]) for h in (HOST, FULL)]
        clusters = [cluster(HOST, self.upstream.port), {**cluster(FULL, full_port), "connect_timeout": "0.2s"}]
        return Envoy(
            hosts,
            clusters,
            request_headers_timeout=f"{TIMEOUTS['header_timeout']}s",
            stream_idle_timeout=f"{TIMEOUTS['stream_idle_timeout']}s",
            common_http_protocol_options={"idle_timeout": f"{TIMEOUTS['idle_timeout']}s"},
        )

    def connect(self, *, receive_buffer: int | None = None) -> Raw:
        return Raw(self.subject.address, receive_buffer=receive_buffer)

    def stop(self) -> None:
        self.subject.stop()
        self.upstream.stop()
        for sock in (*self._fill, self.full):
            sock.close()


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener with its queue full: whoever connects waits for ever."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(listener.getsockname())
        waiting.append(sock)
    return listener, waiting


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


@pytest.fixture
def site(running: Site) -> Site:
    """With an upstream that echoes, and no connection of an earlier test."""
    for peer in running.upstream.peers:
        peer.close()
    running.upstream.peers.clear()
    running.upstream.script(always(echo))
    return running


def test_a_dribbled_head_is_408(site: Site) -> None:
    """The deadline is on the whole head: a byte now and then does not help."""
    with site.connect() as client:
        client.send(head(HOST)[:-2])
        stop = threading.Event()
        dribble = threading.Thread(target=_dribble, args=(client, b"X: " + b"y" * 1000, stop))
        dribble.start()
        reply = client.reply()
        stop.set()
        dribble.join()
        assert reply.status == 408
        assert reply.get("connection") == "close"
    assert site.upstream.peers == []


def _dribble(client: Raw, data: bytes, stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        for start in range(len(data)):
            if stop.wait(TIMEOUTS["header_timeout"] / 6):
                return
            client.sock.send(data[start : start + 1])


def test_slow_heads_do_not_slow_others(site: Site) -> None:
    slow = [site.connect().send(b"GET / HTTP/1.1\r\n") for _ in range(50)]
    with site.connect() as client:
        for _ in range(20):
            assert client.get(HOST).status == 200
    for one in slow:
        with contextlib.suppress(Cut):
            assert one.reply().status == 408
        one.close()


def test_a_silent_connection_is_closed_without_an_answer(site: Site) -> None:
    with site.connect() as client:
        assert client.closed()


def test_a_kept_connection_without_a_request_is_closed(site: Site) -> None:
    with site.connect() as client:
        assert client.get(HOST).status == 200
        assert client.closed()


def test_a_body_that_stops_is_408_and_never_completed(site: Site) -> None:
    with site.connect() as client:
        client.send(head(HOST, "/", "Content-Length: 10", method="POST"), b"hello")
        reply = client.reply()
        assert reply.status == 408
        assert reply.body == b"stream timeout"
    assert site.upstream.peer().gone.wait(5)
    assert bytes(site.upstream.peer().received).endswith(b"\r\n\r\nhello")


def test_a_body_that_goes_on_slowly_is_no_fault(site: Site) -> None:
    with site.connect() as client:
        client.send(head(HOST, "/", "Content-Length: 8", method="POST"))
        for _ in range(8):
            client.send(b"x")
            time.sleep(PAUSE)
        assert client.reply().json["body"] == 8


def test_no_answer_is_504(site: Site) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.wait_gone()

    site.upstream.script(script)
    with site.connect() as client:
        reply = client.get(HOST, "/never")
        assert (reply.status, reply.body) == (504, b"stream timeout")
    assert site.upstream.peer().gone.wait(5)
    entry = eventually(
        lambda: next((e for e in site.subject.log.entries() if e.get("path") == "/never"), None), "its log entry"
    )
    assert entry["response_flags"] == "SI"


def test_an_answer_that_stops_is_cut(site: Site) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        peer.wait_gone()

    site.upstream.script(script)
    with site.connect() as client, pytest.raises(Cut) as cut:
        client.get(HOST)
    assert cut.value.reply is not None
    assert cut.value.reply.body == b"hello"
    assert site.upstream.peer().gone.wait(5)


def test_an_answer_that_goes_on_slowly_is_no_fault(site: Site) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(PAUSE)
            peer.send(b"x")
        peer.wait_gone()

    site.upstream.script(script)
    with site.connect() as client:
        assert client.get(HOST).body == b"x" * 8


def test_a_client_that_never_reads_is_ended(site: Site) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        with contextlib.suppress(OSError):
            while True:
                peer.sock.sendall(b"x" * 65536)
        peer.gone.set()

    site.upstream.script(script)
    with site.connect(receive_buffer=65536) as client:
        client.send(head(HOST))
        eventually(lambda: site.upstream.peers and site.upstream.peer().gone.is_set(), "the upstream is let go")


def test_a_connection_that_never_comes_about_is_503(site: Site) -> None:
    with site.connect() as client:
        reply = client.get(FULL)
        assert reply.status == 503
        assert reply.body.startswith(b"upstream connect error or disconnect/reset before headers.")
        assert b"connection timeout" in reply.body
    assert "UF" in site.subject.log.flags(FULL).split(",")


def test_a_tunnel_is_not_a_request_that_is_late(site: Site) -> None:
    """Traffic in either direction keeps it."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        for _ in range(8):
            time.sleep(PAUSE)
            peer.send(b"x")
        peer.wait_gone()

    site.upstream.script(script)
    with site.connect() as client:
        client.send(head(HOST, "/", "Connection: Upgrade", "Upgrade: websocket"))
        assert client.reply(upgrade=True).status == 101
        assert client.exactly(8) == b"x" * 8
