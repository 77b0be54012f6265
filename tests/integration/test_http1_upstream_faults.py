"""Upstreams that fail: what the client is told, what is tried again, and which connection is never used again."""

from __future__ import annotations

import threading
import time

import psutil
import pytest
from support.fleet import SUBJECT, Service, unlike_envoy
from support.raw import Cut, Raw, Reply, chunked, head
from support.upstream import Gone, Peer, Seen, always, echo
from support.wait import eventually

CONNECT_FAILED = b"upstream connect error or disconnect/reset before headers."
KIB = 1024


def last_entry(service: Service) -> dict[str, object]:
    return service.fleet.subject.log.of(service.host)[-1]


def ok(peer: Peer, seen: Seen) -> None:
    peer.answer(b"ok")


# refused, and closed before an answer


def test_a_refused_connection_is_503(absent: Service) -> None:
    with absent.connect() as client:
        for _ in range(2):
            reply = client.get(absent.host)
            assert reply.status == 503
            assert reply.body.startswith(CONNECT_FAILED)
            assert b"remote connection failure" in reply.body
            assert reply.get("content-type") == "text/plain"
    assert "UF" in absent.flags.split(",")


def test_the_default_policy_tries_a_refused_connection_three_times(absent: Service) -> None:
    """envoy-facts 15."""
    with absent.connect() as client:
        assert client.get(absent.host).status == 503
    assert sorted(absent.flags.split(",")) == ["UF", "URX"]


def test_a_post_gets_through_once_the_connection_is_made(absent: Service) -> None:
    """A connection that was never made has sent nothing: it is safe to try again, whatever the method."""
    with absent.connect() as client:
        client.send(head(absent.host, "/", "Content-Length: 5", method="POST"), b"hello")
        assert client.reply(method="POST").status == 503


def test_an_upstream_that_is_back_is_used_at_once(absent: Service) -> None:
    with absent.connect() as client:
        assert client.get(absent.host).status == 503
        absent.listen()
        assert client.get(absent.host).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_accepts_and_closes_is_503_and_not_asked_for_ever(upstream: Service, method: str) -> None:
    upstream.script(lambda peer: peer.close())
    with upstream.connect() as client:
        reply = client.get(upstream.host, method=method)
        assert (reply.status, reply.body[: len(CONNECT_FAILED)]) == (503, CONNECT_FAILED)
    assert upstream.flags.split(",")[0] in ("UC", "UF")
    assert len(upstream.peers) <= 3


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_reads_and_closes_is_503_uc(upstream: Service, method: str) -> None:
    upstream.respond(lambda peer, seen: peer.close())
    with upstream.connect() as client:
        reply = client.get(upstream.host, method=method)
        assert reply.status == 503
        assert reply.body.startswith(CONNECT_FAILED)
        assert b"connection termination" in reply.body
    assert upstream.flags == "UC"
    assert len(upstream.requests) == 1, "a fresh connection's failure is not tried again silently"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_reads_and_resets_is_503(upstream: Service, method: str) -> None:
    upstream.respond(lambda peer, seen: peer.reset())
    with upstream.connect() as client:
        assert client.get(upstream.host, method=method).status in (502, 503)
    assert upstream.flags.split(",")[0] in ("UC", "UR")


@pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_head_that_is_cut_is_502_or_503(upstream: Service, piece: bytes) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(piece)
        peer.close()

    upstream.respond(respond)
    with upstream.connect() as client:
        assert client.get(upstream.host).status in (502, 503)
        assert client.get("nowhere.test").status == 404, "the client's connection lives"


# connections that were kept


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_closed_while_idle_is_noticed(upstream: Service, method: str) -> None:
    upstream.respond(ok)
    with upstream.connect() as client:
        for number in range(3):
            client.send(head(upstream.host, "/", "Content-Length: 2", method=method), b"hi")
            assert client.reply(method=method).body == b"ok"
            upstream.peer(number).close()
            time.sleep(0.1)
    assert [seen.method for seen in upstream.requests] == [method] * 3


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_get_on_a_kept_connection_that_dies_is_sent_again_on_a_new_one(upstream: Service, how: str) -> None:
    """Rule 13: a reused connection, 0 bytes of an answer, an idempotent method."""

    def dies(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        peer.again()
        peer.request()
        getattr(peer, how)()

    upstream.script(dies, always(echo))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        reply = client.get(upstream.host, "/again")
        assert reply.status in (200, 503)
        if reply.status == 200:
            assert reply.json["target"] == "/again"
            assert reply.json["connection"] == 1


@unlike_envoy
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_methods_survive_a_kept_connection_that_dies(upstream: Service, method: str) -> None:
    def dies(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        peer.again()
        peer.request()
        peer.close()

    upstream.script(dies, always(echo))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        assert client.get(upstream.host, method=method).status == 200


@unlike_envoy
def test_the_silent_retry_happens_once(upstream: Service) -> None:
    """The new connection is not a reused one: its failure is told."""

    def dies(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        peer.again()
        peer.request()
        peer.close()

    def closes(peer: Peer) -> None:
        peer.request()
        peer.close()

    upstream.script(dies, closes)
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        assert client.get(upstream.host).status == 503
    assert len(upstream.peers) == 2


def test_a_post_is_never_sent_twice(upstream: Service) -> None:
    seen: list[Seen] = []

    def dies(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        peer.again()
        seen.append(peer.request())
        peer.close()

    upstream.script(dies, always(lambda peer, request: seen.append(request)))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        client.send(head(upstream.host, "/", "Content-Length: 5", method="POST"), b"hello")
        assert client.reply(method="POST").status == 503
    assert len(seen) == 1
    assert upstream.flags == "UC"


def test_after_a_byte_of_the_answer_nothing_is_sent_again(upstream: Service) -> None:
    def dies(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        peer.again()
        peer.request()
        peer.send(b"HTTP/1.1 ")
        peer.close()

    upstream.script(dies, always(echo))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        assert client.get(upstream.host).status in (502, 503)
    assert len(upstream.peers) == 1


@pytest.mark.parametrize(
    "unasked",
    [
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"garbage",
        b"\r\n",
    ],
)
def test_bytes_on_an_idle_connection_are_no_answer(upstream: Service, unasked: bytes) -> None:
    """Rule 10: the connection is closed, the next request goes elsewhere."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"first")
        time.sleep(0.05)
        peer.send(unasked)
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"first"
        assert upstream.peer().gone.wait(5), "closed as soon as it speaks out of turn"
        assert client.get(upstream.host).json["connection"] == 1


@pytest.mark.parametrize("extra", [b"x", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
def test_bytes_behind_an_answer_close_its_connection(upstream: Service, extra: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + extra)
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        reply = client.get(upstream.host)
        assert reply.body == b"first" or reply.status == 502
        assert upstream.peer().gone.wait(5)
        assert client.get(upstream.host).json["connection"] == 1
        assert client.get(upstream.host).json["connection"] == 1


def test_bytes_behind_the_answer_to_a_head_close_its_connection(upstream: Service) -> None:
    """An upstream that sends a body to a HEAD: nobody may take it for the next answer."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        assert client.get(upstream.host, method="HEAD").status in (200, 502)
    with upstream.connect() as client:
        assert client.get(upstream.host).json["connection"] == 1


# answers that break off


def truncated(upstream: Service, start: bytes, how: str) -> Cut:
    """The `Cut` of an answer whose upstream sends `start` and ends the connection."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        time.sleep(0.1)
        getattr(peer, how)()

    upstream.script(script)
    with upstream.connect() as client, pytest.raises(Cut) as cut:
        client.send(head(upstream.host))
        client.reply()
    return cut.value


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello",
    ],
)
def test_a_cut_answer_never_looks_complete(upstream: Service, start: bytes, how: str) -> None:
    """Rule 9: no last chunk, no recomputed length; the client's connection is closed."""
    cut = truncated(upstream, start, how)
    assert cut.reply is not None
    assert cut.reply.status == 200
    assert cut.reply.body in (b"hello", b"")
    assert upstream.flags.split(",")[0] in ("UC", "UR", "UPE")


@unlike_envoy
def test_a_reset_in_an_answer_that_ends_by_close_is_a_cut(upstream: Service) -> None:
    cut = truncated(upstream, b"HTTP/1.1 200 OK\r\n\r\nhello", "reset")
    assert cut.reply is None or cut.reply.body in (b"hello", b"")


def test_a_bad_chunk_in_the_answer_is_a_cut(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        told.wait(5)
        peer.send(b"xyz\r\n")
        peer.wait_gone()

    told = threading.Event()
    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host))
        assert client.until(b"hello\r\n").startswith(b"HTTP/1.1 200")
        told.set()
        assert client.closed(), "no last chunk"


@pytest.mark.parametrize("first", [b"5\r\nhello\r\n", b""])
def test_a_bad_chunk_right_behind_the_head_is_502_or_a_cut(upstream: Service, first: bytes) -> None:
    """In one read with the head: nothing has been sent, so it can still be told."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + first + b"xyz\r\n")
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        reply = answer_or_cut(client, upstream.host)
    assert reply is None or reply.status == 502 or not reply.complete
    assert upstream.peer().gone.wait(5)


def test_a_cut_answer_costs_only_its_own_client(upstream: Service) -> None:
    def cut(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        peer.close()

    upstream.respond(cut, echo)
    with upstream.connect() as other:
        with upstream.connect() as client, pytest.raises(Cut):
            client.get(upstream.host)
        assert other.get(upstream.host).status == 200


# answers that are none

GARBAGE = {
    "garbage": b"hello, world\r\n\r\n",
    "binary": bytes(range(256)),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no version": b"200 OK\r\n\r\n",
    "bad version": b"HTTP/x.1 200 OK\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY": b"ICY 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "length beyond 64 bits": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nhello\r\nContent-Length: 0\r\n\r\n",
    "bad first chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
}
#: Envoy's parser takes these.
ENVOY_TAKES = (
    "bad version",
    "version 2",
    "two digits",
    "four digits",
    "status 000",
    "status 099",
    "status 600",
    "status 999",
    "folded field",
    "bare LF",
    "bare CR",
)


@pytest.mark.parametrize("case", [case for case in GARBAGE if SUBJECT != "envoy" or case not in ENVOY_TAKES])
def test_an_answer_that_is_none_is_502_and_nothing_of_it_passes(upstream: Service, case: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(GARBAGE[case])
        peer.wait_gone()

    upstream.script(script, always(echo))
    with upstream.connect() as client:
        if case == "bad first chunk":
            reply = answer_or_cut(client, upstream.host)
            assert reply is None or reply.status == 502 or not reply.complete
        else:
            reply = client.get(upstream.host)
            assert (reply.status, reply.body[: len(CONNECT_FAILED)]) == (502, CONNECT_FAILED)
            assert b"protocol error" in reply.body
            assert upstream.flags == "UPE"
    assert upstream.peer().gone.wait(5), "the upstream connection is dropped"
    with upstream.connect() as client:
        assert client.get(upstream.host).json["connection"] == 1


def answer_or_cut(client: Raw, host: str) -> Reply | None:
    try:
        return client.get(host)
    except Cut as cut:
        return cut.reply


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("one field of 1 MiB", b"X: " + b"x" * (1 << 20) + b"\r\n"),
        ("5000 fields", b"".join(b"X-%d: y\r\n" % i for i in range(5000))),
        ("101 fields", b"".join(b"X-%d: y\r\n" % i for i in range(101))),
        pytest.param(
            "a head of 70 KiB", b"".join(b"X-%d: %b\r\n" % (i, b"y" * KIB) for i in range(70)), marks=unlike_envoy
        ),
    ],
)
def test_an_answer_beyond_the_limits_is_502(upstream: Service, case: str, text: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", text, b"\r\n")
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        assert client.get(upstream.host).status in (502, 503)
    assert upstream.peer().gone.wait(5)


@unlike_envoy
def test_an_endless_head_is_502_before_memory_ends(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            if peer.gone.is_set():
                return
            peer.sock.sendall(b"X-%d: %b\r\n" % (number, b"y" * KIB))

    upstream.script(script)
    with upstream.connect() as client:
        assert client.get(upstream.host).status == 502
    assert upstream.flags == "UPE"


@unlike_envoy
def test_too_many_response_trailers_are_a_cut(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(chunked(b"hello", trailers=b"".join(b"X-%d: y\r\n" % i for i in range(200))))
        peer.wait_gone()

    upstream.script(script)
    with upstream.connect() as client:
        try:
            reply = client.get(upstream.host)
        except Cut:
            return
        assert reply.status == 502


def test_100_response_fields_pass(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"ok", "200 OK", *(f"X-{i}: y" for i in range(95))))
    with upstream.connect() as client:
        assert len([n for n, _ in client.get(upstream.host).headers if n.lower().startswith(b"x-")]) >= 95


# what is logged


def test_a_good_answer_is_logged_with_its_upstream(upstream: Service) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, "/x?y").status == 200
    entry = last_entry(upstream)
    assert (entry["response_code"], entry["path"], entry["method"]) == (200, "/x?y", "GET")
    assert entry["upstream_host"] == f"127.0.0.1:{upstream.port}"


def test_an_upstream_that_half_closes_after_its_answer_is_fine(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.answer(b"ok")
        peer.half_close()

    upstream.respond(respond)
    with upstream.connect() as client:
        for _ in range(3):
            assert client.get(upstream.host).body == b"ok"
            time.sleep(0.05)


def test_many_failing_requests_leave_nothing_behind(upstream: Service) -> None:
    """fds return to where they were."""
    process = psutil.Process(upstream.fleet.subject.pid)
    upstream.script(lambda peer: peer.close())
    with upstream.connect() as client:
        client.get(upstream.host)
        before = process.num_fds()
        for _ in range(300):
            assert client.get(upstream.host).status == 503
        eventually(lambda: process.num_fds() <= before + 2, "file descriptors are given back")


def test_a_peer_that_goes_is_seen_by_the_script(upstream: Service) -> None:
    """The tests' own upstream: a closed client ends a script by `Gone`."""
    ended: list[bool] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"ok", "200 OK", "Connection: close")
        try:
            while True:
                peer.receive()
        except Gone as gone:
            ended.append(gone.clean)

    upstream.script(script)
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"ok"
    eventually(lambda: ended, "the end")
