"""What both directions share: the sort of fields, chunks, nominations, hosts, transfer codings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.message import CHUNKED
from meshproxy.wire import http1_framing as framing
from meshproxy.wire.http1_client import ResponseReader
from meshproxy.wire.http1_framing import response_head
from meshproxy.wire.http1_server import RequestReader

DATA = st.lists(st.binary(max_size=30), max_size=6)
TRAILERS = st.lists(st.tuples(st.sampled_from([b"x-a", b"X-B"]), st.sampled_from([b"1", b"two words"])), max_size=3)


@given(st.lists(DATA, max_size=5), TRAILERS, st.integers(1, 50))
def test_what_is_written_in_chunks_is_read_as_it_was(
    writes: list[list[bytes]], trailers: list[tuple[bytes, bytes]], step: int
) -> None:
    """Whatever the parts: empty ones do not end the body."""
    head = response_head(200, [], b"Transfer-Encoding: chunked\r\n")
    out = head + b"".join(b"".join(framing.chunk(parts)) for parts in writes) + framing.last_chunk(trailers)
    reader = ResponseReader()
    reader.expect(b"GET")
    for at in range(0, len(out), step):
        reader.feed(out[at : at + step])
    response = reader.response
    assert response is not None
    assert (response.complete, response.content_length, reader.reusable) == (True, CHUNKED, True)
    assert b"".join(response.body) == b"".join(map(b"".join, writes))
    assert response.trailers == trailers


@pytest.mark.parametrize(
    ("connection", "dropped"),
    [
        (b"keep-alive", set()),
        (b"close", set()),
        (b"Keep-Alive, X-A", {b"x-a"}),
        (b"x-a,\tX-B ,,", {b"x-a", b"x-b"}),
        (b"host, cookie, authorization, content-length, transfer-encoding, forwarded", set()),
        (b"x-forwarded-for, x-forwarded-proto, x-envoy-anything, x-request-id", set()),
    ],
)
def test_connection_takes_fields_out_but_never_those_that_guard_something(
    connection: bytes, dropped: set[bytes]
) -> None:
    assert framing.nominated(connection) - {b"keep-alive", b"close"} == dropped


@pytest.mark.parametrize(
    "host", [b"a", b"A.b-c_d", b"a:80", b"a:", b"[::1]", b"[::1]:80", b"1.2.3.4", b"a%20b", b"a!$&'"]
)
def test_hosts(host: bytes) -> None:
    assert framing.valid_host(host) is (host != b"a:")


@pytest.mark.parametrize(
    "host", [b"", b"a/b", b"a@b", b"a b", b"a:b", b"a:123456", b"[::1", b"a\x00", b"a\xff", b"a?b", b"a#b"]
)
def test_what_is_no_host(host: bytes) -> None:
    assert not framing.valid_host(host)


@pytest.mark.parametrize(
    ("codings", "version", "side", "kind"),
    [
        ([b"chunked"], b"HTTP/1.0", Side.DOWNSTREAM, Kind.BAD_REQUEST),
        ([b"chunked"], b"HTTP/1.0", Side.UPSTREAM, Kind.UPSTREAM_PROTOCOL),
        ([b"gzip, chunked"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.NOT_IMPLEMENTED),
        ([b"gzip", b"chunked"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.NOT_IMPLEMENTED),
        ([b"gzip, chunked"], b"HTTP/1.1", Side.UPSTREAM, Kind.UPSTREAM_PROTOCOL),
        ([b"chunked, gzip"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.BAD_REQUEST),
        ([b"chunked", b"chunked"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.BAD_REQUEST),
        ([b"chunked, chunked"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.BAD_REQUEST),
        ([b"identity"], b"HTTP/1.1", Side.DOWNSTREAM, Kind.BAD_REQUEST),
        ([b""], b"HTTP/1.1", Side.DOWNSTREAM, Kind.BAD_REQUEST),
    ],
)
def test_codings_that_are_refused(codings: list[bytes], version: bytes, side: Side, kind: Kind) -> None:
    with pytest.raises(ProxyError) as caught:
        framing.is_chunked(codings, version, side)
    assert (caught.value.kind, caught.value.side) == (kind, side)


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
def test_a_single_chunked_is_chunked(coding: bytes) -> None:
    assert framing.is_chunked([coding], b"HTTP/1.1", Side.DOWNSTREAM)
    assert not framing.is_chunked([], b"HTTP/1.0", Side.DOWNSTREAM)


@pytest.mark.parametrize("trailers", [[(b"a", b"1")] * 101, [(b"a", b"x" * (16 * 1024))]])
def test_trailers_have_limits(trailers: list[tuple[bytes, bytes]]) -> None:
    for side, kind in ((Side.DOWNSTREAM, Kind.BAD_REQUEST), (Side.UPSTREAM, Kind.UPSTREAM_PROTOCOL)):
        with pytest.raises(ProxyError) as caught:
            framing.check_trailers(trailers, side)
        assert caught.value.kind is kind


def test_trailers_that_a_recipient_would_act_on_are_not_passed_on() -> None:
    trailers = [(b"X-A", b"1"), (b"Content-Length", b"2"), (b"Cookie", b"3"), (b"HOST", b"4"), (b"grpc-status", b"0")]
    assert framing.forwardable_trailers(trailers) == [(b"X-A", b"1"), (b"grpc-status", b"0")]


@given(st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 100), st.integers(0, 3)), max_size=10))
def test_chunk_lines_are_excessive_when_no_payload_came_for_4_kib_of_them(reads: list[tuple[int, int, int]]) -> None:
    lines, spent = framing.ChunkLines(), 0
    for overhead, payload, headers in reads:
        lines.headers = headers
        net = max(0, overhead - 20 * headers)
        spent = net if payload else spent + net
        assert lines.excessive(overhead + payload, payload) is (spent > framing.MAX_CHUNK_LINE)


# ---- endless framing


def endless(head: bytes, piece: bytes, reads: int) -> RequestReader:
    reader = RequestReader()
    reader.feed(head)
    for _ in range(reads):
        reader.feed(piece)
        if reader.requests:
            reader.requests[0].body.clear()
    return reader


@pytest.mark.parametrize(
    ("head", "piece", "kind"),
    [
        (b"GET /", b"x" * 1000, Kind.URI_TOO_LONG),
        (b"GET / HTTP/1.1\r\nX-A: b\r\nX-B: ", b"x" * 1000, Kind.HEADERS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n" * 100, Kind.HEADERS_TOO_LARGE),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 1000, Kind.BAD_REQUEST),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"x" * 1000, Kind.BAD_REQUEST),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X-A: b\r\n" * 20,
            Kind.BAD_REQUEST,
        ),
    ],
)
def test_nothing_goes_on_for_ever(head: bytes, piece: bytes, kind: Kind) -> None:
    reader = endless(head, piece, 200)
    assert reader.error is not None
    assert reader.error.kind is kind


def test_a_body_may_go_on_for_ever() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert endless(head, b"1\r\nx\r\n" * 1000, 100).error is None
    assert endless(head, b"3e8;name=value\r\n" + b"x" * 1000 + b"\r\n", 100).error is None


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"HTTP/1.1 "]
)
def test_nothing_of_an_upstream_goes_on_for_ever(head: bytes) -> None:
    reader = ResponseReader()
    reader.expect(b"GET")
    reader.feed(head)
    with pytest.raises(ProxyError):
        for _ in range(200):
            reader.feed(b"x" * 1000)
