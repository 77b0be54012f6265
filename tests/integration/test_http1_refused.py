"""Requests that could be understood in two ways, or are too large: refused, and nothing of them goes upstream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fleet import SUBJECT, Fleet, Service, unlike_envoy
from support.raw import Raw, chunked, head
from support.wait import eventually

KIB = 1024
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

#: What follows `Host: …` in a POST / HTTP/1.1 head. None of these has one meaning for every reader.
FRAMING = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two lengths in a list": b"Content-Length: 5, 6\r\n",
    "signed length": b"Content-Length: +5\r\n",
    "negative length": b"Content-Length: -5\r\n",
    "hexadecimal length": b"Content-Length: 0x5\r\n",
    "length with underscore": b"Content-Length: 1_0\r\n",
    "length with blank": b"Content-Length: 1 0\r\n",
    "empty length": b"Content-Length: \r\n",
    "length beyond 64 bits": b"Content-Length: 18446744073709551621\r\n",
    "non-ASCII digits": "Content-Length: ٥\r\n".encode(),
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "gzip": b"Transfer-Encoding: gzip\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked twice, two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked and identity, two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "empty member before chunked": b"Transfer-Encoding: ,chunked\r\n",
    "empty member after chunked": b"Transfer-Encoding: chunked,\r\n",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "quoted chunked": b'Transfer-Encoding: "chunked"\r\n',
    "vertical tab before chunked": b"Transfer-Encoding: \x0bchunked\r\n",
    "empty transfer-encoding": b"Transfer-Encoding: \r\n",
    "folded transfer-encoding": b"Transfer-Encoding:\r\n chunked\r\n",
    "transfer-encoding, space before colon": b"Transfer-Encoding : chunked\r\n",
    "transfer-encoding, tab before colon": b"Transfer-Encoding\t: chunked\r\n",
    "length, space before colon": b"Content-Length : 5\r\n",
    "space before a name": b" Content-Length: 5\r\n",
}

#: Head lines that no strict reader accepts.
SYNTAX = {
    "folded value": b"X-Fold: a\r\n b\r\n",
    "folded with tab": b"X-Fold: a\r\n\tb\r\n",
    "bare LF ends a line": b"X-A: a\nX-B: b\r\n",
    "bare CR in a value": b"X-A: a\rX-B: b\r\n",
    "CR CR LF": b"X-A: a\r\r\n",
    "NUL in a value": b"X-A: a\x00b\r\n",
    "NUL in a name": b"X-\x00A: b\r\n",
    "bell in a value": b"X-A: a\x07b\r\n",
    "DEL in a value": b"X-A: a\x7fb\r\n",
    "space before colon": b"X-A : b\r\n",
    "space in a name": b"X A: b\r\n",
    "no colon": b"X-A\r\n",
    "empty name": b": b\r\n",
    "brackets in a name": b"X-[A]: b\r\n",
    "non-ASCII name": b"X-\xe9: b\r\n",
}

#: Whole field lines in the place of Host.
HOSTS = {
    "none": b"",
    "two": b"Host: {}\r\nHost: {}\r\n",
    "two, different": b"Host: {}\r\nHost: other\r\n",
    "a list": b"Host: {}, other\r\n",
    "userinfo": b"Host: user@{}\r\n",
    "a path": b"Host: {}/x\r\n",
    "a query": b"Host: {}?x\r\n",
    "a fragment": b"Host: {}#x\r\n",
    "a blank": b"Host: {} x\r\n",
    "a port of letters": b"Host: {}:http\r\n",
    "two ports": b"Host: {}:80:80\r\n",
    "a backslash": b"Host: {}\\x\r\n",
    "angle brackets": b"Host: <{}>\r\n",
    "folded": b"Host:\r\n {}\r\n",
    "space before colon": b"Host : {}\r\n",
    "non-ASCII": b"Host: {}\xe9\r\n",
}

#: Request lines; {} is the host.
LINES = {
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n",
    "HTTP/3": b"GET / HTTP/3\r\n",
    "RTSP": b"OPTIONS / RTSP/1.0\r\n",
    "ICE": b"SOURCE / ICE/1.0\r\n",
    "lower case protocol": b"GET / http/1.1\r\n",
    "no version": b"GET / HTTP/\r\n",
    "extra version digits": b"GET / HTTP/1.10\r\n",
    "extra word": b"GET / x HTTP/1.1\r\n",
    "lower case method": b"get / HTTP/1.1\r\n",
    "invented method": b"FOO / HTTP/1.1\r\n",
    "method with a colon": b"GE:T / HTTP/1.1\r\n",
    "tab for a blank": b"GET\t/ HTTP/1.1\r\n",
    "relative target": b"GET x HTTP/1.1\r\n",
    "asterisk with GET": b"GET * HTTP/1.1\r\n",
    "empty target": b"GET  HTTP/1.1\r\n",
    "userinfo in absolute form": b"GET http://user@{}/ HTTP/1.1\r\n",
    "another scheme": b"GET ftp://{}/ HTTP/1.1\r\n",
    "absolute form without a host": b"GET http:/// HTTP/1.1\r\n",
    "NUL in the target": b"GET /a\x00b HTTP/1.1\r\n",
    "DEL in the target": b"GET /a\x7fb HTTP/1.1\r\n",
    "tab in the target": b"GET /a\tb HTTP/1.1\r\n",
    "raw non-ASCII": b"GET /caf\xe9 HTTP/1.1\r\n",
    "%00": b"GET /a%00b HTTP/1.1\r\n",
    "bare LF": b"GET / HTTP/1.1\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

#: Chunked bodies that break off or are ambiguous.
CHUNKS = {
    "no digits": b"\r\nhello\r\n0\r\n\r\n",
    "no hexadecimal": b"xyz\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "LF for CRLF after the size": b"5\nhello\r\n0\r\n\r\n",
    "LF for CRLF after the data": b"5\r\nhello\n0\r\n\r\n",
    "two other bytes after the data": b"5\r\nhelloXX0\r\n\r\n",
    "data longer than the size": b"5\r\nhello!\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "trailer without a colon": b"5\r\nhello\r\n0\r\nbad\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX-A: a\r\n b\r\n\r\n",
    "trailer with NUL": b"5\r\nhello\r\n0\r\nX-A: \x00\r\n\r\n",
    "trailer, space before colon": b"5\r\nhello\r\n0\r\nX-A : a\r\n\r\n",
}

#: Envoy's parser lets these pass, or answers them otherwise; meshproxy must not.
ENVOY_PASSES = frozenset(
    (
        "folded transfer-encoding",
        "folded value",
        "folded with tab",
        "bare LF ends a line",
        "bare CR in a value",
        "CR CR LF",
        "two",
        "two, different",
        "userinfo",
        "a port of letters",
        "two ports",
        "folded",
        "HTTP/2.0",
        "HTTP/1.2",
        "tab for a blank",
        "userinfo in absolute form",
        "bare LF",
        "LF for CRLF after the data",
        "data longer than the size",
        "bare LF at the end",
        "folded trailer",
    )
)


def cases(table: dict[str, bytes]) -> list[str]:
    return [case for case in table if SUBJECT != "envoy" or case not in ENVOY_PASSES]


@pytest.fixture
def silent(fleet: Fleet) -> Iterator[Service]:
    """A service that must not hear of the request: no complete head may reach it."""
    service = fleet.take()
    service.listen()
    yield service
    heads = [bytes(peer.received) for peer in service.peers]
    service.stop()
    assert not any(b"\r\n\r\n" in received for received in heads), heads


def refused(client: Raw, *statuses: int) -> None:
    """One answer of `statuses`, then the end of the connection."""
    reply = client.reply()
    assert reply.status in statuses, reply
    assert (reply.get("connection") or "close") == "close"
    client.rest()


def post(host: str, fields: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n" + fields + b"\r\n"


@pytest.mark.parametrize("case", cases(FRAMING))
def test_ambiguous_framing_is_refused(silent: Service, case: str) -> None:
    """Rules 1 and 2."""
    with silent.connect() as client:
        client.send(post(silent.host, FRAMING[case]), b"0\r\n\r\n", SMUGGLED)
        refused(client, 400, 501)


def test_equal_lengths_twice_are_one_or_refused(upstream: Service) -> None:
    """RFC 9110, 8.6 allows both; two different readings are not possible."""
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Content-Length: 5\r\nContent-Length: 5\r\n"), b"hello")
        reply = client.reply()
        assert reply.status == 400 or reply.json["body"] == 5


@pytest.mark.parametrize("spelling", ["chunked", "Chunked", "CHUNKED", "  chunked  "])
def test_plain_chunked_is_accepted_in_any_case(upstream: Service, spelling: str) -> None:
    with upstream.connect() as client:
        client.send(post(upstream.host, f"Transfer-Encoding: {spelling}\r\n".encode()), chunked(b"hello"))
        assert client.reply().json["body"] == 5


@unlike_envoy
def test_chunked_in_http_1_0_is_refused(silent: Service) -> None:
    """Rule 2, RFC 9112, 6.1."""
    with silent.connect() as client:
        client.send(f"POST / HTTP/1.0\r\nHost: {silent.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        client.send(chunked(b"hello"))
        refused(client, 400, 501)


@pytest.mark.parametrize("case", cases(SYNTAX))
def test_bad_head_syntax_is_refused(silent: Service, case: str) -> None:
    with silent.connect() as client:
        client.send(post(silent.host, SYNTAX[case]), SMUGGLED)
        refused(client, 400)


@pytest.mark.parametrize("case", cases(HOSTS))
def test_exactly_one_valid_host_is_required(silent: Service, case: str) -> None:
    """Rule 3."""
    with silent.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n", HOSTS[case].replace(b"{}", silent.host.encode()), b"X: y\r\n\r\n", SMUGGLED)
        refused(client, 400, 404)


def test_a_http_1_0_request_may_come_without_host(fleet: Fleet) -> None:
    """There is no virtual host for it: 404, or 400 as Envoy."""
    with fleet.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        refused(client, 400, 404)


def test_an_empty_host_is_refused_or_unknown(fleet: Fleet) -> None:
    with fleet.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: \r\n\r\n")
        assert client.reply().status in (400, 404)


@pytest.mark.parametrize("case", cases(LINES))
def test_bad_request_lines_are_refused(silent: Service, case: str) -> None:
    """Rule 4."""
    host = silent.host.encode()
    with silent.connect() as client:
        client.send(LINES[case].replace(b"{}", host), b"Host: " + host + b"\r\n\r\n")
        answer = client.rest()
    if answer:
        assert int(answer.split(b" ")[1]) in (400, 404, 405, 426, 501, 505), answer
    else:
        assert case in ("TLS hello", "HTTP/0.9", "HTTP/2 preface")


@pytest.mark.parametrize("case", cases(CHUNKS))
def test_bad_chunks_are_refused_and_never_completed_upstream(upstream: Service, case: str) -> None:
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Transfer-Encoding: chunked\r\n"), CHUNKS[case], SMUGGLED)
        refused(client, 400)
    for peer in upstream.peers:
        assert not peer.received or peer.gone.wait(5), "the upstream connection is closed"
        assert b"0\r\n\r\n" not in peer.received, "never a made-up last chunk"
        assert b"smuggled" not in peer.received


@unlike_envoy
@pytest.mark.parametrize("separator", [b"\n\n", b"\r\r", b"\n\r\n"])
def test_the_head_ends_with_crlf_crlf_only(silent: Service, separator: bytes) -> None:
    with silent.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: " + silent.host.encode() + separator)
        client.half_close()
        answer = client.rest()
    assert answer == b"" or answer.split(b" ")[1] == b"400"


def test_a_request_behind_a_refused_one_is_not_served(silent: Service) -> None:
    good = head(silent.host, "/good")
    with silent.connect() as client:
        client.send(post(silent.host, b"Content-Length: x\r\n"), good, good)
        refused(client, 400)


def test_a_request_before_a_refused_one_is_served(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(head(upstream.host, "/good"), b"BAD LINE\r\n\r\n")
        reply = client.reply()
        assert (reply.status, reply.json["target"]) == (200, "/good")
        refused(client, 400, 501)


def test_a_refusal_is_logged(fleet: Fleet) -> None:
    before = len(fleet.subject.log.entries())
    with fleet.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        assert client.reply().status == 400

    def logged() -> bool:
        new = fleet.subject.log.entries()[before:]
        return any((entry["response_code"], entry["response_flags"]) == (400, "DPE") for entry in new)

    eventually(logged, "an entry with 400 and DPE")


# limits (rule 6)


def test_a_head_below_the_limit_passes(upstream: Service) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", "X-Big: " + "x" * (58 * KIB)).status == 200
        assert client.get(upstream.host, "/" + "x" * (50 * KIB)).status == 200


@pytest.mark.parametrize("shape", ["one field", "many fields", "endless"])
def test_a_head_above_60_kib_is_431(silent: Service, shape: str) -> None:
    with silent.connect() as client:
        if shape == "one field":
            client.send(head(silent.host, "/", "X-Big: " + "x" * (61 * KIB)))
        elif shape == "many fields":
            client.send(head(silent.host, "/", *(f"X-{i}: " + "x" * 1000 for i in range(64))))
        else:
            client.send(head(silent.host)[:-2], b"X-Big: " + b"x" * (62 * KIB))
        refused(client, 431)


def test_a_request_line_above_60_kib_is_414_or_431(silent: Service) -> None:
    with silent.connect() as client:
        client.send(head(silent.host, "/" + "x" * (61 * KIB)))
        refused(client, 414, 431)
    with silent.connect() as client:
        client.send(b"G" * (64 * KIB))
        refused(client, 400, 414, 431)


def test_100_fields_pass_and_101_are_431(upstream: Service) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", *(f"X-{i}: y" for i in range(98))).status == 200
        client.send(head(upstream.host, "/", *(f"X-{i}: y" for i in range(101))))
        refused(client, 431)


@unlike_envoy
@pytest.mark.parametrize("where", ["first chunk", "last chunk", "endless"])
def test_a_flood_of_chunk_extensions_is_refused(upstream: Service, where: str) -> None:
    """A chunk line has 4 KiB at most."""
    flood = b";x=" + b"y" * (8 * KIB)
    bodies = {
        "first chunk": b"5" + flood + b"\r\nhello\r\n0\r\n\r\n",
        "last chunk": b"5\r\nhello\r\n0" + flood + b"\r\n\r\n",
        "endless": b"5" + flood * 8,
    }
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Transfer-Encoding: chunked\r\n"), bodies[where])
        refused(client, 400)


@unlike_envoy
def test_many_extensions_on_tiny_chunks_are_refused_or_served_whole(upstream: Service) -> None:
    """Each below the line limit, together a flood: what is served must be the body alone."""
    body = b"".join(b"1;" + b"x" * 1000 + b"\r\na\r\n" for _ in range(200)) + b"0\r\n\r\n"
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Transfer-Encoding: chunked\r\n"), body)
        reply = client.reply()
        assert reply.status == 400 or reply.json["body"] == 200


@pytest.mark.parametrize("shape", ["large", "many"])
def test_too_many_trailers_are_refused(upstream: Service, shape: str) -> None:
    """16 KiB and 100 fields; Envoy's limit is that of the head."""
    size = 17 * KIB if SUBJECT != "envoy" else 61 * KIB
    trailers = (
        b"X-Big: " + b"x" * size + b"\r\n" if shape == "large" else b"".join(b"X-%d: y\r\n" % i for i in range(101))
    )
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Transfer-Encoding: chunked\r\n"), chunked(b"hello", trailers=trailers))
        refused(client, 400, 431)


def test_leading_zeros_do_not_hide_an_endless_chunk_size(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(post(upstream.host, b"Transfer-Encoding: chunked\r\n"), b"0" * (64 * KIB))
        client.half_close()
        answer = client.rest()
    assert answer == b"" or answer.split(b" ")[1] == b"400"
