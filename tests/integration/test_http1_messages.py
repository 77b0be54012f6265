"""HTTP/1.1 messages through the proxy, byte by byte: what goes in on one side comes out whole on the other."""

from __future__ import annotations

import pytest
from support.fleet import Fleet, Service, unlike_envoy
from support.raw import Raw, chunked, head
from support.upstream import Peer, Seen, always, echo

MIB = 1 << 20


def test_a_get_reaches_the_upstream_and_its_answer_the_client(upstream: Service) -> None:
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/a/b?c=d&e")
    assert reply.status == 200
    assert reply.json["method"] == "GET"
    assert reply.json["target"] == "/a/b?c=d&e"
    assert ["Host", upstream.host] in reply.json["headers"] or ["host", upstream.host] in reply.json["headers"]
    assert upstream.flags == "-"


def test_a_client_connection_is_kept_alive(upstream: Service) -> None:
    with upstream.connect() as client:
        for number in range(5):
            reply = client.get(upstream.host, f"/{number}")
            assert reply.json["target"] == f"/{number}"
            assert (reply.get("connection") or "keep-alive").lower() == "keep-alive"


def test_an_upstream_connection_is_used_again(upstream: Service) -> None:
    with upstream.connect() as client, upstream.connect() as other:
        connections = {c.get(upstream.host).json["connection"] for c in (client, other, client, other)}
    assert connections == {0}


def test_a_client_that_says_close_is_closed(upstream: Service) -> None:
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/", "Connection: close")
        assert reply.status == 200
        assert reply.get("connection") == "close"
        assert client.closed()


def test_what_follows_connection_close_is_dropped(upstream: Service) -> None:
    """Rule 12: the valid request is answered, the rest is no 400 and no second request."""
    with upstream.connect() as client:
        client.send(head(upstream.host, "/one", "Connection: close"), head(upstream.host, "/two"))
        assert client.reply().json["target"] == "/one"
        assert client.closed()
    assert len(upstream.peers) == 1
    assert upstream.peers[0].received.count(b"GET ") == 1


def test_pipelined_requests_are_answered_in_order(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(*(head(upstream.host, f"/{number}") for number in range(100)))
        targets = [client.reply().json["target"] for _ in range(100)]
    assert targets == [f"/{number}" for number in range(100)]


def test_pipelined_requests_with_bodies_stay_apart(upstream: Service) -> None:
    length = head(upstream.host, "/a", "Content-Length: 5", method="POST") + b"GET /"
    pieces = head(upstream.host, "/b", "Transfer-Encoding: chunked", method="POST") + chunked(b"GET /x", b"y")
    with upstream.connect() as client:
        client.send((length + pieces) * 10)
        seen = [client.reply().json for _ in range(20)]
    assert [(one["target"], one["body"]) for one in seen] == [("/a", 5), ("/b", 7)] * 10


def test_a_slow_answer_does_not_let_the_next_one_pass(upstream: Service) -> None:
    def script(peer: Peer) -> None:
        first = peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        peer.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            peer.sock.recv(1)
        peer.sock.settimeout(10)
        peer.send(b"56789")
        peer.again()
        assert first.target == "/one"
        always(echo)(peer)

    upstream.script(script)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/one"), head(upstream.host, "/two"))
        assert client.reply().body == b"0123456789"
        assert client.reply().json["target"] == "/two"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_head_may_come_in_pieces(upstream: Service, size: int) -> None:
    request = head(upstream.host, "/x?y=z", "X-One: " + "1" * 200, "Content-Length: 10", method="POST") + b"0123456789"
    with upstream.connect() as client:
        client.send_slowly(request, size)
        reply = client.reply()
    assert (reply.json["target"], reply.json["body"]) == ("/x?y=z", 10)


def test_empty_lines_before_a_request_are_passed_over(upstream: Service) -> None:
    """RFC 9112, 2.2."""
    with upstream.connect() as client:
        client.send(b"\r\n", head(upstream.host, "/x"))
        assert client.reply().json["target"] == "/x"


# bodies


def test_a_body_of_known_length_keeps_its_length(upstream: Service) -> None:
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Content-Length: 11", method="POST"), b"hello world")
        assert client.reply().status == 200
    assert upstream.requests[0].body == b"hello world"
    assert upstream.requests[0].all("content-length") == ["11"]
    assert upstream.requests[0].all("transfer-encoding") == []


def test_a_chunked_request_is_chunked_again(upstream: Service) -> None:
    """Rule 1: the client's chunk extensions and sizes are its own; what is sent is framed anew."""
    upstream.respond(echo)
    body = b'5;name="value"\r\nhello\r\n0006\r\n world\r\n000;last\r\n\r\n'
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Transfer-Encoding: chunked", method="POST"), body)
        assert client.reply().status == 200
    seen = upstream.requests[0]
    assert seen.body == b"hello world"
    assert seen.all("transfer-encoding") == ["chunked"]
    assert seen.all("content-length") == []
    received = bytes(upstream.peers[0].received)
    assert b"name=" not in received
    assert b"0006" not in received


def test_a_chunked_answer_is_chunked_again(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"005;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    upstream.respond(respond)
    with upstream.connect() as client:
        client.send(head(upstream.host))
        raw = client.until(b"0\r\n\r\n")
        assert b"x=y" not in raw
        assert client.get(upstream.host).body == b"hello world"


def test_an_answer_that_ends_by_close_is_whole(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello", b" world")
        peer.close()

    upstream.respond(respond)
    with upstream.connect() as client:
        for _ in range(2):
            reply = client.get(upstream.host)
            assert (reply.body, reply.all("transfer-encoding")) == (b"hello world", ["chunked"])
    assert len(upstream.peers) == 2


def test_an_upstream_that_says_close_is_not_used_again(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"bye", "200 OK", "Connection: close"))
    with upstream.connect() as client:
        for _ in range(3):
            reply = client.get(upstream.host)
            assert reply.body == b"bye"
            assert reply.get("connection") != "close", "the upstream's wish concerns its own connection"
    assert len(upstream.peers) == 3


def test_a_http_1_0_upstream_is_understood(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nold")
        peer.close()

    upstream.respond(respond)
    with upstream.connect() as client:
        reply = client.get(upstream.host)
        assert (reply.version, reply.body) == (b"1.1", b"old")
        assert client.get(upstream.host).body == b"old"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_mebibyte_goes_both_ways(upstream: Service, framing: str) -> None:
    blob = bytes(range(256)) * (MIB // 256)

    def respond(peer: Peer, seen: Seen) -> None:
        if framing == "length":
            peer.answer(seen.body)
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(seen.body[:7], seen.body[7:]))

    upstream.respond(respond)
    with upstream.connect() as client:
        for _ in range(2):
            if framing == "length":
                client.send(head(upstream.host, "/", f"Content-Length: {MIB}", method="POST"), blob)
            else:
                client.send(head(upstream.host, "/", "Transfer-Encoding: chunked", method="POST"))
                client.send(chunked(*(blob[i : i + 10_000] for i in range(0, MIB, 10_000))))
            assert client.reply(method="POST").body == blob
    assert [one.body == blob for one in upstream.requests] == [True, True]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_methods_pass_with_and_without_a_body(upstream: Service, method: str) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, method=method).json["method"] == method
        client.send(head(upstream.host, "/", "Content-Length: 3", method=method), b"abc")
        assert client.reply(method=method).json["body"] == 3


def test_a_post_without_a_body_says_so(upstream: Service) -> None:
    """RFC 9110, 8.6: a POST without content has Content-Length: 0; it must not become chunked."""
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Content-Length: 0", method="POST"))
        assert client.reply().status == 200
    assert upstream.requests[0].all("content-length") == ["0"]
    assert upstream.requests[0].all("transfer-encoding") == []


# answers without a body


def test_head_keeps_the_length_of_what_a_get_would_have(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")

    upstream.respond(respond, echo)
    with upstream.connect() as client:
        reply = client.get(upstream.host, method="HEAD")
        assert (reply.body, reply.get("content-length")) == (b"", "1234")
        assert client.get(upstream.host, "/next").json["target"] == "/next"
    assert len(upstream.peers) == 1


def test_head_of_a_chunked_answer_has_no_body(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    upstream.respond(respond, echo)
    with upstream.connect() as client:
        assert client.get(upstream.host, method="HEAD").body == b""
        assert client.get(upstream.host, "/next").json["target"] == "/next"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_that_can_have_no_body_ends_with_its_head(upstream: Service, status: str) -> None:
    upstream.respond(lambda peer, seen: peer.send(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode()), echo)
    with upstream.connect() as client:
        client.send(head(upstream.host))
        raw = client.until(b"\r\n\r\n").lower()
        assert raw.startswith(f"HTTP/1.1 {status[:3]}".lower().encode())
        assert b"etag: x" in raw
        assert b"transfer-encoding" not in raw
        if status.startswith("204"):
            assert b"content-length" not in raw
        assert client.get(upstream.host, "/next").json["target"] == "/next"


def test_a_304_keeps_the_length_it_announces(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"), echo)
    with upstream.connect() as client:
        assert client.get(upstream.host).get("content-length") in ("77", None)
        assert client.get(upstream.host, "/next").json["target"] == "/next"


def test_bytes_after_a_204_reach_nobody(upstream: Service) -> None:
    """Rule 9: a 204 has no body, whatever its Content-Length says; what follows poisons the connection only."""

    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    upstream.respond(respond, echo)
    with upstream.connect() as client:
        assert client.get(upstream.host).status in (204, 502)
    with upstream.connect() as client:
        assert client.get(upstream.host, "/next").json["target"] == "/next"
    assert len(upstream.peers) == 2


# trailers


def test_request_trailers_pass_and_are_no_headers(upstream: Service) -> None:
    """Rule 7."""
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST"))
        client.send(chunked(b"hello", trailers=b"X-Sum: 5d41\r\nX-Other: 1\r\n"))
        assert client.reply().status == 200
        assert client.get(upstream.host).status == 200
    first, second = upstream.requests
    assert [(name.lower(), value) for name, value in first.trailers] == [("x-sum", "5d41"), ("x-other", "1")]
    assert first.get("x-sum") is None
    assert second.get("x-sum") is None


def test_response_trailers_pass_and_are_no_headers(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        peer.send(chunked(b"hello", trailers=b"X-Sum: 5d41\r\n"))

    upstream.respond(respond, echo)
    with upstream.connect() as client:
        reply = client.get(upstream.host)
        assert reply.body == b"hello"
        assert [(name.lower(), value) for name, value in reply.trailers] == [(b"x-sum", b"5d41")]
        assert reply.get("x-sum") is None
        assert client.get(upstream.host).get("x-sum") is None


@unlike_envoy
@pytest.mark.parametrize(
    "name", ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Connection", "Content-Type", "Cookie"]
)
def test_forbidden_trailers_never_pass(upstream: Service, name: str) -> None:
    """RFC 9110, 6.5.1: framing, routing and credentials in a trailer are dropped, or the request is refused."""
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", "Transfer-Encoding: chunked", method="POST"))
        client.send(chunked(b"hello", trailers=f"{name}: 5\r\n".encode()))
        assert client.reply().status in (200, 400)
    for seen in upstream.requests:
        assert seen.trailers == []
        assert seen.get(name) != "5"


# what passes untouched


def test_names_keep_letter_case_and_order(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"", "200 OK", "X-CamelCase: 1", "x-lower: 2", "X-UPPER: 3"))
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/", "X-CamelCase: a", "x-lower: b", "X-UPPER: c", "x-lower: d")
    ours = [(name, value) for name, value in upstream.requests[0].headers if name.lower()[:3] in ("x-c", "x-l", "x-u")]
    assert ours == [("X-CamelCase", "a"), ("x-lower", "b"), ("X-UPPER", "c"), ("x-lower", "d")]
    assert [n for n, _ in reply.headers if n.startswith((b"X-C", b"x-l", b"X-U"))] == [
        b"X-CamelCase",
        b"x-lower",
        b"X-UPPER",
    ]


def test_values_pass_as_bytes(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"", "200 OK", "X-Back: caf\xe9\t\xff", "X-Empty:"))
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/", "X-There: caf\xe9\t\xff", "X-Empty:", 'X-Quote: a,"b;c" d')
    seen = upstream.requests[0]
    assert (seen.get("x-there"), seen.get("x-empty"), seen.get("x-quote")) == ("caf\xe9\t\xff", "", 'a,"b;c" d')
    assert (reply.get("x-back"), reply.get("x-empty")) == ("caf\xe9\t\xff", "")


def test_repeated_cookies_and_set_cookies_are_not_joined(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"", "200 OK", "Set-Cookie: a=1, b", "Set-Cookie: c=2"))
    with upstream.connect() as client:
        reply = client.get(upstream.host, "/", "Accept: a", "Accept: b")
    assert reply.all("set-cookie") == ["a=1, b", "c=2"]
    assert ",".join(upstream.requests[0].all("accept")).replace(" ", "") == "a,b"


@pytest.mark.parametrize("status", ["200 OK", "201 Made", "299 Odd", "404 Not Found", "500 Oh", "599 X"])
def test_statuses_pass(upstream: Service, status: str) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"x", status))
    with upstream.connect() as client:
        assert client.get(upstream.host).status == int(status[:3])


def test_an_upstream_status_line_without_reason_is_fine(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.send(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"))
    with upstream.connect() as client:
        assert client.get(upstream.host).body == b"ok"


# targets and hosts


def test_absolute_form_wins_over_host(upstream: Service, fleet: Fleet) -> None:
    """Rule 3, RFC 9112, 3.2.2."""
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(f"GET http://{upstream.host}/x?y HTTP/1.1\r\nHost: nowhere.test\r\n\r\n".encode())
        assert client.reply().json["target"] == "/x?y"
    assert upstream.requests[0].get("host") == upstream.host


def test_absolute_form_without_a_path_asks_for_the_root(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(f"GET http://{upstream.host} HTTP/1.1\r\nHost: {upstream.host}\r\n\r\n".encode())
        assert client.reply().json["target"] == "/"


@unlike_envoy
def test_absolute_form_with_a_query_only_asks_for_the_root(upstream: Service) -> None:
    """RFC 9110, 4.2.3; Envoy takes `?q=1` for a part of the host and answers 404."""
    with upstream.connect() as client:
        client.send(f"GET http://{upstream.host}?q=1 HTTP/1.1\r\nHost: {upstream.host}\r\n\r\n".encode())
        assert client.reply().json["target"] == "/?q=1"


def test_options_asterisk_is_no_path(upstream: Service) -> None:
    """Envoy answers 404 to it (envoy-facts 2)."""
    with upstream.connect() as client:
        assert client.get(upstream.host, "*", method="OPTIONS").status == 404
        assert client.get(upstream.host, "/next").json["target"] == "/next"


@pytest.mark.parametrize("host", ["{}", "{}:80", "{}:8080"])
def test_the_host_is_passed_on_as_it_came(upstream: Service, host: str) -> None:
    upstream.respond(echo)
    sent = host.format(upstream.host.upper())
    with upstream.connect() as client:
        assert client.get(sent).status == 200
    assert upstream.requests[0].get("host") == sent


def test_an_unknown_host_is_404_without_a_body(fleet: Fleet) -> None:
    with fleet.connect() as client:
        reply = client.get("nowhere.test")
        assert (reply.status, reply.body) == (404, b"")
        assert client.get("nowhere.test").status == 404, "the connection is kept"
    assert fleet.subject.log.flags("nowhere.test") == "NR"


# HTTP/1.0 clients (rule 15)


def test_a_http_1_0_client_gets_its_answer_and_a_close(upstream: Service) -> None:
    upstream.respond(echo)
    with upstream.connect() as client:
        client.send(f"GET /old HTTP/1.0\r\nHost: {upstream.host}\r\n\r\n".encode())
        assert client.reply().json["target"] == "/old"
        assert client.closed()
    assert upstream.requests[0].version == "1.1"


def test_a_http_1_0_client_may_keep_alive(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(f"GET / HTTP/1.0\r\nHost: {upstream.host}\r\nConnection: keep-alive\r\n\r\n".encode())
        reply = client.reply()
        assert reply.status == 200
        if (reply.get("connection") or "").lower() == "keep-alive":
            client.send(f"GET /2 HTTP/1.0\r\nHost: {upstream.host}\r\n\r\n".encode())
            assert client.reply().json["target"] == "/2"
        assert client.closed()


def test_a_http_1_0_client_never_gets_chunks(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"hello", b" world"))

    upstream.respond(respond)
    with upstream.connect() as client:
        client.send(f"GET / HTTP/1.0\r\nHost: {upstream.host}\r\nConnection: keep-alive\r\n\r\n".encode())
        raw = client.rest()
    start, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in start.lower()
    assert body == b"hello world"


def test_a_http_1_0_client_never_gets_1xx(upstream: Service) -> None:
    def respond(peer: Peer, seen: Seen) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        peer.answer(b"final")

    upstream.respond(respond)
    with upstream.connect() as client:
        client.send(f"GET / HTTP/1.0\r\nHost: {upstream.host}\r\n\r\n".encode())
        raw = client.rest()
    assert raw.split(b" ")[1] == b"200"
    assert b"103" not in raw


def test_connections_do_not_see_each_others_answers(upstream: Service) -> None:
    clients = [upstream.connect() for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(head(upstream.host, f"/{number}"))
    for number, client in reversed(list(enumerate(clients))):
        assert client.reply().json["target"] == f"/{number}"
        client.close()


def test_raw_client_reads_what_it_needs() -> None:
    """The tests' own parser: bytes behind an answer stay for the next."""
    client = Raw.__new__(Raw)
    client.pending, client.interim = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 204 No\r\n\r\n", []
    assert client.reply().body == b"a"
    assert client.reply().status == 204
