"""Interim answers, and answers that come before the request is finished (rules 8 and 11)."""

from __future__ import annotations

import pytest
from support.fleet import Service, unlike_envoy
from support.raw import chunked, head
from support.upstream import Gone, Peer, Seen, always, echo
from support.wait import eventually

MIB = 1 << 20
EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_100_comes_before_the_body_is_sent(upstream: Service) -> None:
    """The client sends no byte of the body before it; Envoy says it itself, we pass the upstream's on."""
    upstream.script(_continue_then_echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", EXPECT, "Content-Length: 5", method="POST"))
        assert client.interim_reply().status == 100
        client.send(b"hello")
        reply = client.reply()
        assert (reply.status, reply.json["body"]) == (200, 5)
        assert client.interim == []


def _continue_then_echo(peer: Peer) -> None:
    seen = peer.head()
    if seen.get("expect"):
        peer.send(CONTINUE)
    peer.body(seen)
    echo(peer, seen)
    peer.again()
    always(echo)(peer)


@unlike_envoy
def test_expect_is_forwarded_and_answered_by_the_upstream(upstream: Service) -> None:
    asked: list[Seen] = []

    def script(peer: Peer) -> None:
        asked.append(peer.head())
        peer.send(CONTINUE)
        peer.body(asked[0])
        peer.answer(asked[0].body)
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", EXPECT, "Transfer-Encoding: chunked", method="PUT"))
        assert client.interim_reply().status == 100
        client.send(chunked(b"hello"))
        assert client.reply().body == b"hello"
        assert client.interim == [], "one 100, not two"
    assert asked[0].get("expect") == "100-continue"


@unlike_envoy
@pytest.mark.parametrize("status", ["413 Content Too Large", "401 Unauthorized", "200 OK"])
def test_a_final_answer_in_place_of_100_is_delivered(upstream: Service, status: str) -> None:
    """The body is never sent; neither connection may take what follows for it (CVE-2024-24791)."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"no", status)
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", EXPECT, "Content-Length: 5", method="POST"))
        reply = client.reply()
        assert (reply.status, reply.body) == (int(status[:3]), b"no")
        assert client.interim == []
    assert upstream.peer().gone.wait(5), "an upstream connection with an unsent body is not kept"
    with upstream.connect() as client:
        assert client.get(upstream.host, "/next").json["connection"] == 1


def test_an_expectation_nobody_answers_does_not_hang(upstream: Service) -> None:
    """The client may send its body at any time (RFC 9110, 10.1.1)."""
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", EXPECT, "Content-Length: 5", method="POST"), b"hello")
        assert client.reply().json["body"] == 5


def test_an_unknown_expectation_is_417_or_passed_on(upstream: Service) -> None:
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/", "Expect: 200-maybe")
    assert reply.status in (200, 417)


def test_a_100_nobody_asked_for_harms_nothing(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(CONTINUE)
        echo(peer, seen)

    upstream.respond(respond)
    with upstream.connect() as client:
        for _ in range(3):
            assert client.get(upstream.host).status == 200


@pytest.mark.parametrize("count", [1, 3])
def test_early_hints_are_passed_on_in_order(upstream: Service, count: int) -> None:
    """Envoy passes 103 only on request; whatever it does, the final answer follows."""

    def respond(peer: Peer, seen: Seen) -> None:
        for number in range(count):
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\n\r\n" % number)
        echo(peer, seen)

    upstream.respond(respond)
    with upstream.connect() as client:
        assert client.get(upstream.host).status == 200
        assert client.get(upstream.host, method="POST").status == 200


@unlike_envoy
def test_interim_answers_reach_the_client(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        echo(peer, seen)

    upstream.respond(respond)
    with upstream.connect() as client:
        assert client.get(upstream.host).status == 200
        assert [one.status for one in client.interim] == [102, 103]
        assert client.interim[1].get("link") == "</x>"


# early answers


@pytest.mark.parametrize("framing", ["Content-Length: 1048576", "Transfer-Encoding: chunked"])
def test_an_early_answer_is_delivered_at_once(upstream: Service, framing: str) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"too large", "413 Content Too Large")
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", framing, method="POST"))
        if "chunked" in framing:
            client.send(b"5\r\nhello\r\n")
        else:
            client.send(b"hello")
        reply = client.reply()
        assert (reply.status, reply.body) == (413, b"too large")
    assert upstream.peer().gone.wait(5), "an upstream connection with an unfinished body is not used again"
    with upstream.connect() as client:
        assert client.get(upstream.host, "/next").json["connection"] == 1


def test_what_is_left_of_a_body_is_never_a_request(upstream: Service) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: " + upstream.host.encode() + b"\r\n\r\n"

    def script(peer: Peer) -> None:
        seen = peer.head()
        assert seen.target != "/smuggled"
        peer.answer(b"early")
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", f"Content-Length: {len(smuggled) + 10}", method="POST"), b"0123456789")
        assert client.reply().body == b"early"
        try:
            client.send(smuggled, head(upstream.host, "/after", "Connection: close"))
            client.rest()
        except (BrokenPipeError, ConnectionResetError):
            pass
    targets = [bytes(peer.received) for peer in upstream.peers]
    assert not any(received.startswith(b"GET /smuggled") for received in targets)


def test_the_rest_of_the_body_is_drained_or_the_connection_closed(upstream: Service) -> None:
    """An upstream that answers early and reads on: the client's next request is served, or it is told `close`."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"early")
        received = 0
        try:
            while received < MIB:
                received += len(peer.receive())
        except Gone:
            return
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", f"Content-Length: {MIB}", method="POST"), b"x")
        early = client.reply()
        assert early.body == b"early"
        try:
            client.send(b"x" * (MIB - 1), head(upstream.host, "/next"))
            answer = client.reply()
        except (BrokenPipeError, ConnectionResetError, AssertionError):
            return  # closed: allowed
        assert answer.json["target"] == "/next"


def test_an_answer_streams_while_the_request_does(upstream: Service) -> None:
    """Both directions at once: each piece is answered before the next is sent."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            mark = b"ping%d" % number
            while mark not in peer.received:
                peer.receive()
            peer.send(b"5\r\npong%d\r\n" % number)
        while not peer.received.endswith(b"0\r\n\r\n"):
            peer.receive()
        peer.send(b"0\r\n\r\n")
        peer.again()
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Transfer-Encoding: chunked", method="POST"))
        for number in range(5):
            client.send(b"5\r\nping%d\r\n" % number)
            assert client.until(b"pong%d" % number)
        client.send(b"0\r\n\r\n")
        assert client.until(b"0\r\n\r\n")


def test_a_body_is_streamed_at_once(upstream: Service) -> None:
    """Rule 14: the upstream sees the first byte before the client sends the last."""
    upstream.script(_hold_until_gone)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Content-Length: 10", method="POST"), b"first")
        eventually(lambda: bytes(upstream.peer().received).endswith(b"first"), "the first bytes upstream")


def _hold_until_gone(peer: Peer) -> None:
    peer.wait_gone()


def test_an_answer_is_streamed_at_once(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host))
        assert client.until(b"first")
