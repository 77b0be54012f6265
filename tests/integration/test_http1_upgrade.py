"""Upgrades: a tunnel from the upstream's 101 on, HTTP before it and without it (rule 8)."""

from __future__ import annotations

import pytest
from support.fleet import Fleet, Service, unlike_envoy
from support.raw import head
from support.upstream import Gone, Peer, Seen, always, echo
from support.wait import eventually

WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Accept: yes\r\n\r\n"


def tunnel(peer: Peer, seen: Seen) -> None:
    """Accepts and sends every byte back, `!` in front of each piece."""
    peer.send(SWITCH)
    while True:
        peer.send(b"!" + peer.receive())


def test_an_accepted_upgrade_is_a_tunnel(upstream: Service) -> None:
    upstream.respond(tunnel)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/chat?x", *WEBSOCKET))
        reply = client.reply(upgrade=True)
        assert (reply.status, reply.get("x-accept")) == (101, "yes")
        assert (reply.get("upgrade"), (reply.get("connection") or "").lower()) == ("websocket", "upgrade")
        for piece in (b"hello", b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            client.send(piece)
            assert client.exactly(len(piece) + 1) == b"!" + piece
    seen = upstream.requests[0]
    assert (seen.get("upgrade"), (seen.get("connection") or "").lower()) == ("websocket", "upgrade")
    assert seen.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="
    assert upstream.peer().gone.wait(5), "the client closed: the tunnel is closed on the other side too"


def test_bytes_with_the_101_are_not_lost(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.send(SWITCH + b"first words"))
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
        assert client.exactly(11) == b"first words"


def test_an_upstream_that_ends_the_tunnel_ends_it_for_the_client(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(SWITCH + b"bye")
        peer.close()

    upstream.respond(respond)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
        assert client.rest() == b"bye"


def test_a_tunnel_carries_much_both_ways(upstream: Service) -> None:
    size = 4 << 20

    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(SWITCH)
        received = 0
        while received < size:
            data = peer.receive()
            received += len(data)
            peer.send(data)
        peer.wait_gone()

    upstream.respond(respond)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
        piece = bytes(range(256)) * 256
        for _ in range(size // len(piece)):
            client.send(piece)
            assert client.exactly(len(piece)) == piece


@unlike_envoy
def test_bytes_before_the_101_are_held(upstream: Service) -> None:
    """CVEs 2026-2833, 2026-73548: an eager client's bytes do not reach an upstream that has not agreed."""

    def script(peer: Peer) -> None:
        seen = peer.request()
        assert seen.get("upgrade") == "websocket"
        peer.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.sock.recv(1)
        peer.sock.settimeout(10)
        peer.send(SWITCH)
        received = peer.receive()
        assert received == b"eager", received
        peer.send(b"ok")
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET), b"eager")
        assert client.reply(upgrade=True).status == 101
        assert client.exactly(2) == b"ok"


@unlike_envoy
@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "426 Upgrade Required"])
def test_a_refused_upgrade_is_an_ordinary_answer(upstream: Service, status: str) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"no", status), echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        reply = client.reply(upgrade=True)
        assert (reply.status, reply.body) == (int(status[:3]), b"no")


@unlike_envoy
def test_after_a_refused_upgrade_the_held_bytes_are_http_again(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"no", "403 Forbidden"), echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET), head(upstream.host, "/next"))
        reply = client.reply(upgrade=True)
        assert reply.status == 403
        if reply.get("connection") != "close":
            assert client.reply().json["target"] == "/next"
        else:
            assert client.closed()


@unlike_envoy
def test_a_body_of_an_upgrade_request_is_a_body(upstream: Service) -> None:
    """CVE-2026-58055; httptools leaves it unread."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: " + upstream.host.encode() + b"\r\n\r\n"
    upstream.respond(lambda peer, seen: peer.answer(b"no", "403 Forbidden"), echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET, f"Content-Length: {len(smuggled)}", method="POST"), smuggled)
        reply = client.reply(method="POST", upgrade=True)
        assert reply.status in (400, 403)
        if reply.get("connection") != "close":
            assert client.get(upstream.host, "/next").json["target"] == "/next"
    assert all(seen.target != "/smuggled" for seen in upstream.requests)
    if upstream.requests:
        assert upstream.requests[0].body in (smuggled, b"")


@unlike_envoy
def test_a_101_nobody_asked_for_is_502(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.send(SWITCH + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
    with upstream.connect() as client:
        reply = client.get(upstream.host)
        assert reply.status in (502, 503)
        assert reply.body != b"evil"
    assert upstream.peer().gone.wait(5)


@unlike_envoy
def test_a_101_nobody_asked_for_is_a_protocol_error(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.send(SWITCH))
    with upstream.connect() as client:
        assert client.get(upstream.host).status == 502
    assert upstream.flags == "UPE"


def test_no_upgrade_to_h2c(upstream: Service) -> None:
    settings = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    upstream.respond(echo)
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", *settings).status in (200, 403)
    for seen in upstream.requests:
        assert seen.get("upgrade") is None
        assert seen.get("http2-settings") is None


def test_upgrade_without_connection_upgrade_is_no_wish(upstream: Service) -> None:
    upstream.respond(echo)
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", "Upgrade: websocket").status == 200
        assert client.get(upstream.host, "/next").status == 200
    assert upstream.requests[0].get("upgrade") is None


def test_an_upgrade_connection_is_never_pooled(upstream: Service) -> None:
    upstream.respond(tunnel, echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
        with upstream.connect() as other:
            assert other.get(upstream.host).json["connection"] == 1
    with upstream.connect() as other:
        assert other.get(upstream.host).json["connection"] == 1


def test_the_end_of_a_tunnel_is_logged(upstream: Service, fleet: Fleet) -> None:
    upstream.respond(tunnel)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
    entry = fleet.subject.log.of(upstream.host)[-1]
    assert entry["response_code"] == 101


def test_a_tunnel_half_closed_by_the_client_is_ended_or_still_answers(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SWITCH)
        try:
            while True:
                peer.receive()
        except Gone:
            peer.send(b"last words")

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", *WEBSOCKET))
        assert client.reply(upgrade=True).status == 101
        client.send(b"hello")
        eventually(lambda: bytes(upstream.peer().received).endswith(b"hello"), "the words upstream")
        client.half_close()
        assert client.rest() in (b"last words", b"")
