"""The client's half: however an answer is cut and whenever its body is taken, it is the same; and what ends a
connection's usefulness."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.message import CHUNKED, Response
from meshproxy.wire.http1_client import ResponseReader
from meshproxy.wire.http1_framing import request_head
from meshproxy.wire.http1_server import RequestReader


def fed(*pieces: bytes, method: bytes = b"GET", upgrade: bytes | None = None) -> ResponseReader:
    reader = ResponseReader()
    reader.expect(method, upgrade)
    for piece in pieces:
        reader.feed(piece)
    return reader


def the(reader: ResponseReader) -> Response:
    assert reader.response is not None
    return reader.response


ANSWERS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\ngrpc-status: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nz\r\n" * 3000 + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]
)


def taken(answers: list[bytes], cut: list[int]) -> list[tuple[object, ...]]:
    """One reader while it is reusable, all cut at the same places; bodies are taken out after each read."""
    reader, seen = ResponseReader(), []
    for data in answers:
        if not reader.reusable:
            reader = ResponseReader()
        reader.expect(b"GET")
        marks = sorted({0, *(min(mark, len(data)) for mark in cut), len(data)})
        body, informational = b"", []
        for start, end in itertools.pairwise(marks):
            reader.feed(data[start:end])
            informational += [(one.status, one.fields) for one in reader.informational]
            reader.informational = []
            if reader.response is not None:
                body += b"".join(reader.response.body)
                reader.response.body = []
        one = the(reader)
        length = (one.content_length, one.announced_length)
        seen.append((one.status, one.fields, length, body, one.complete, one.trailers, informational, reader.reusable))
    return seen


@settings(deadline=None, max_examples=300)
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.lists(st.integers(1, 20000), max_size=10))
def test_answers_do_not_depend_on_how_they_are_cut_nor_on_when_bodies_are_taken(
    answers: list[bytes], cut: list[int]
) -> None:
    whole = taken(answers, [])
    assert all(seen[4] for seen in whole)
    assert taken(answers, cut) == whole


@pytest.mark.parametrize("size", [65535, 65536, 65537, 70000, 131072, 300000])
@pytest.mark.parametrize("first", [0, 1, 10000, 64000, 65536, 70000])
@pytest.mark.parametrize("step", [1460, 16384, 65536, 262144])
def test_long_bodies_keep_their_length(size: int, first: int, step: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    data = head + b"b" * size
    marks = [0, *range(len(head) + first, len(data), step), len(data)]
    reader, got = ResponseReader(), 0
    reader.expect(b"GET")
    for start, end in itertools.pairwise(marks):
        reader.feed(data[start:end])
        got += sum(map(len, the(reader).body))
        the(reader).body = []
        assert the(reader).complete is (end == len(data))
    assert (got, reader.reusable) == (size, True)
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (the(reader).status, reader.reusable) == (204, True)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond",
        b"HTTP/1.1 204 No Content\r\n\r\nX",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70001,
    ],
)
@pytest.mark.parametrize("cut", [None, 1, 2, 30])
def test_what_comes_behind_an_answer_reaches_no_one_and_ends_the_connections_use(data: bytes, cut: int | None) -> None:
    reader = fed(*([data] if cut is None else [data[:-cut], data[-cut:]]))
    assert the(reader).complete
    assert the(reader).status in (200, 204)
    assert b"second" not in b"".join(the(reader).body)
    assert not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: a\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 99999,
    ],
)
def test_the_end_inside_an_answer_is_a_fault(data: bytes) -> None:
    reader = fed(data)
    with pytest.raises(ProxyError) as caught:
        reader.eof()
    assert (caught.value.kind, caught.value.side) == (Kind.UPSTREAM_CLOSED, Side.UPSTREAM)
    assert not the(reader).complete


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    reader = fed(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert (the(reader).content_length, the(reader).complete) == (CHUNKED, False)
    reader.eof()
    assert (b"".join(the(reader).body), the(reader).complete, reader.reusable) == (b"hello", True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
        b"HTTP/1.1 600 No\r\n\r\n",
        b"HTTP/1.1 000 No\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01\x00\x02",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
    ],
)
def test_what_an_upstream_may_not_say(data: bytes) -> None:
    for step in (1, 10, len(data)):
        with pytest.raises(ProxyError) as caught:
            fed(*(data[at : at + step] for at in range(0, len(data), step)))
        assert (caught.value.kind, caught.value.side) == (Kind.UPSTREAM_PROTOCOL, Side.UPSTREAM)


@pytest.mark.parametrize(
    "fields", ["Content-Length: 50\r\n", "Transfer-Encoding: chunked\r\n", "", "Content-Length: 0\r\n"]
)
def test_an_answer_to_head_has_no_body_whatever_it_says(fields: str) -> None:
    reader = fed(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode(), method=b"HEAD")
    assert (the(reader).complete, the(reader).content_length) == (True, 0)
    assert the(reader).announced_length == ({"Content-Length: 50\r\n": 50, "Content-Length: 0\r\n": 0}.get(fields))
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"".join(the(reader).body) == b"ok"


def test_fields_for_the_next_hop_and_those_we_write_are_not_passed_on() -> None:
    reader = fed(
        b"HTTP/1.1 200 OK\r\nServer: a\r\nDate: today\r\nX-A: 1\r\nConnection: keep-alive\r\nConnection: x-b\r\nX-B: 2\r\n"
        b"Keep-Alive: 3\r\nContent-Length: 0\r\nX-Envoy-Upstream-Service-Time: 4\r\nSet-Cookie: 5\r\nset-cookie: 6\r\n\r\n"
    )
    assert the(reader).fields == [(b"X-A", b"1"), (b"Set-Cookie", b"5"), (b"set-cookie", b"6")]
    assert the(reader).date == b"today"


def test_fields_that_decide_about_retries_are_noted_and_passed_on() -> None:
    response = the(fed(b"HTTP/1.1 200 OK\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n"))
    assert response.watched == {b"grpc-status": b"14"}
    assert (b"grpc-status", b"14") in [(name.lower(), value) for name, value in response.fields]


def test_an_accepted_upgrade_gives_what_comes_behind_it_to_the_tunnel() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    for pieces in ([switched + b"hello"], [switched, b"hello"], [switched[:9], switched[9:] + b"he", b"llo"]):
        reader = fed(*pieces, method=b"GET", upgrade=b"websocket")
        assert (the(reader).upgrade, the(reader).status) == (b"websocket", 101)
        assert b"".join(reader.tunnel) == b"hello"


def test_101_without_an_upgrade_is_none() -> None:
    with pytest.raises(ProxyError):
        fed(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello", upgrade=b"websocket")


def test_interim_answers_have_no_end() -> None:
    with pytest.raises(ProxyError):
        fed(*[b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 100] * 30)


FIELDS = st.lists(st.tuples(st.sampled_from([b"X-A", b"x-b"]), st.sampled_from([b"", b"1", b"two, three"])), max_size=4)


@given(FIELDS, st.sampled_from([b"", b"Content-Length: 0\r\n"]))
def test_a_head_that_we_write_is_read_as_it_was_meant(fields: list[tuple[bytes, bytes]], tail: bytes) -> None:
    reader = RequestReader()
    reader.feed(request_head(b"PUT", b"/a?b", b"reviews:9080", fields, tail))
    request = reader.requests[0]
    assert (request.method, request.target, request.host, request.fields) == (b"PUT", b"/a?b", b"reviews:9080", fields)
    assert request.complete
