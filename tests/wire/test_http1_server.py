"""The server's half: however bytes are cut and whenever bodies are taken, the same requests; and the heads we write."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import Kind
from meshproxy.base.message import CHUNKED, Request
from meshproxy.wire.http1_framing import response_head
from meshproxy.wire.http1_server import RequestReader

Seen = tuple[bytes, bytes, bytes, tuple[tuple[bytes, bytes], ...], bool]


def read(pieces: list[bytes], *, accepts: bool = False) -> tuple[list[list[object]], Kind | None]:
    """As the proxy reads: bodies are taken out after each read, requests one after the other."""
    reader, seen = RequestReader(), []
    current: Request | None = None
    for piece in pieces:
        reader.feed(piece)
        while True:
            if current is None and reader.requests:
                current = reader.requests.popleft()
                seen.append([current.method, current.target, current.host, current.fields, b"", False, []])
            if current is None:
                break
            seen[-1][4] += b"".join(current.body)
            current.body = []
            if not current.complete:
                break
            seen[-1][5:] = [True, current.trailers]
            if current.upgrade is not None:
                reader.refuse_upgrade()
            current = None
    kind = reader.error.kind if reader.error is not None else None
    reader.close()
    return seen, kind


HOST = b"Host: reviews\r\n"
BODY = bytes(range(256)) * 2
MESSAGES = st.sampled_from(
    [
        b"GET /a?b HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"c" * 6000 + b"\r\n\r\n",
        b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 512\r\n\r\n" + BODY,
        b"POST /0 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
        b"POST /text HTTP/1.1\r\n" + HOST + b"Content-Length: 8\r\n\r\n\r\n\r\nabc\n",
        b"POST /big HTTP/1.1\r\n" + HOST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70000,
        b"POST /bigger HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n" + b"y" * 200000,
        b"POST /c HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;e=f\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"POST /t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
        b"POST /e HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /l HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nz\r\n" * 3000 + b"0\r\n\r\n",
        b"GET /u HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST /ub HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /uw HTTP/1.1\r\n"
        + HOST
        + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\r\nHEAD /h HTTP/1.1\r\n" + HOST + b"\r\n",
    ]
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes], int]:
    messages = draw(st.lists(MESSAGES, min_size=1, max_size=6))
    data = b"".join(messages)
    marks = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return data, [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True) if a != b], len(messages)


@settings(deadline=None, max_examples=300)
@given(cut_streams())
def test_requests_do_not_depend_on_how_they_are_cut_nor_on_when_bodies_are_taken(
    stream: tuple[bytes, list[bytes], int],
) -> None:
    data, pieces, count = stream
    whole, fault = read([data])
    assert (len(whole), fault) == (count, None)
    assert all(seen[5] for seen in whole)
    assert read(pieces) == (whole, None)


@pytest.mark.parametrize("size", [65535, 65536, 65537, 70000, 131072, 300000])
@pytest.mark.parametrize("first", [0, 1, 10000, 64000, 65536, 70000])
@pytest.mark.parametrize("step", [1460, 16384, 65536, 262144])
def test_long_bodies_keep_their_length(size: int, first: int, step: int) -> None:
    """A body of more than 64 KiB leaves the parser, if it does, with the right number of bytes missing."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    behind = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    data = head + b"b" * size + behind
    cuts = [0, *range(len(head) + first, len(data), step), len(data)]
    seen, fault = read([data[a:b] for a, b in itertools.pairwise(cuts)])
    assert fault is None
    assert [(one[1], len(one[4]), one[5]) for one in seen] == [(b"/", size, True), (b"/next", 0, True)]


def test_many_small_requests_in_one_read_are_no_large_head() -> None:
    one = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    seen, fault = read([one * 3000 + one[:20], one[20:]])
    assert (len(seen), fault) == (3001, None)


@pytest.mark.parametrize(
    ("size", "kind"),
    [(60 * 1024 - 200, None), (60 * 1024 + 1, Kind.HEADERS_TOO_LARGE), (200_000, Kind.HEADERS_TOO_LARGE)],
)
@pytest.mark.parametrize("step", [1000, 1_000_000])
def test_heads_have_a_limit_however_they_come(size: int, kind: Kind | None, step: int) -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\nX-B: " + b"c" * size + b"\r\n\r\n"
    assert read([data[at : at + step] for at in range(0, len(data), step)])[1] is kind


@pytest.mark.parametrize("count", [98, 99, 100, 101])
def test_a_hundred_fields_are_enough(count: int) -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * count + b"\r\n"
    assert (read([data])[1] is None) is (count <= 99)


FAULTS = [
    (b"GET / HTTP/1.1\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET http://a/b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Kind.BAD_REQUEST),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Kind.NOT_IMPLEMENTED),
    (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", Kind.NOT_IMPLEMENTED),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Kind.VERSION_NOT_SUPPORTED),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Kind.BAD_REQUEST),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Kind.BAD_REQUEST),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Kind.NOT_IMPLEMENTED),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Kind.BAD_REQUEST),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n", Kind.EXPECTATION_FAILED),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Kind.BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Kind.BAD_REQUEST),
    (b"\x16\x03\x01\x02\x00\x01\x00", Kind.BAD_REQUEST),
]


@pytest.mark.parametrize(("data", "kind"), FAULTS)
def test_a_fault_is_kept_behind_the_requests_before_it(data: bytes, kind: Kind) -> None:
    good = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
    for pieces in ([data], [good + data], [good, data], [good + data[:9], data[9:]]):
        seen, fault = read(pieces)
        assert fault is kind, pieces
        assert [one[1] for one in seen if one[5]] == [b"/good"] * (pieces != [data])


def test_bytes_behind_a_request_that_closes_are_not_read() -> None:
    close = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for pieces in ([close + close], [close, close], [close + b"\x00\x01"]):
        seen, fault = read(pieces)
        assert (len(seen), fault) == (1, None)


def head(*lines: str, method: str = "GET", version: str = "1.1") -> Request:
    reader = RequestReader()
    reader.feed("\r\n".join([f"{method} / HTTP/{version}", "Host: Reviews:9080", *lines, "", ""]).encode())
    assert reader.error is None
    return reader.requests[0]


def test_what_is_forwarded_has_no_host_no_framing_and_nothing_for_the_next_hop() -> None:
    request = head(
        "X-A: 1", "Connection: x-b, cookie", "X-B: 2", "Cookie: 3", "TE: trailers, deflate", "Keep-Alive: 4", "x-a: 5"
    )
    assert request.fields == [(b"X-A", b"1"), (b"Cookie", b"3"), (b"x-a", b"5"), (b"te", b"trailers")]
    assert request.host == b"Reviews:9080"


def test_managed_fields_are_kept_apart_by_lower_case_name() -> None:
    request = head("X-Request-ID: a", "x-forwarded-FOR: b", "X-Forwarded-For: c ")
    assert request.managed == {b"x-request-id": [b"a"], b"x-forwarded-for": [b"b", b"c"]}
    assert request.fields == []


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [("1.1", None, True), ("1.1", "close", False), ("1.0", None, False), ("1.0", "keep-alive", True)],
)
def test_keep_alive_by_version(version: str, connection: str | None, kept: bool) -> None:
    request = head(*([f"Connection: {connection}"] if connection else []), version=version)
    assert request.keep_alive is kept
    assert request.version == f"HTTP/{version}".encode()


def test_only_one_upgrade_that_is_not_h2c_is_an_upgrade() -> None:
    assert head("Connection: Upgrade", "Upgrade: websocket").upgrade == b"websocket"
    assert head("Upgrade: websocket").upgrade is None
    assert head("Connection: Upgrade", "Upgrade: h2c").upgrade is None
    assert head("Connection: Upgrade", "Upgrade: a", "Upgrade: b").upgrade is None


def test_a_part_of_a_head_behind_chunks_is_not_of_them() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    long = b"GET / HTTP/1.1\r\nHost: reviews\r\nCookie: %b" % (b"c" * 5000)
    reader = RequestReader()
    reader.feed(chunked + long)
    assert reader.error is None
    assert reader.mid_head
    reader.feed(b"\r\n\r\n")
    assert len(reader.requests) == 2


def test_what_comes_behind_an_upgrade_is_the_tunnels_or_the_next_request() -> None:
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    behind = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    for pieces in ([asked + behind], [asked, behind], [asked + behind[:5], behind[5:]]):
        accepted, refused = RequestReader(), RequestReader()
        for piece in pieces:
            accepted.feed(piece)
            refused.feed(piece)
        assert b"".join(accepted.take_held()) == behind
        assert len(refused.requests) == 1
        refused.refuse_upgrade()
        assert [request.path for request in refused.requests] == [b"/", b"/next"]


def test_a_head_is_begun_until_it_is_whole() -> None:
    reader = RequestReader()
    assert not reader.mid_head
    for piece in (b"GET / HT", b"TP/1.1\r\nHost: x", b"\r\n"):
        reader.feed(piece)
        assert reader.mid_head
    reader.feed(b"\r\n")
    assert not reader.mid_head
    reader.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")
    assert reader.mid_head


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"200 OK"),
        (404, b"404 Not Found"),
        (413, b"413 Payload Too Large"),
        (418, b"418 Unknown"),
        (599, b"599 Unknown"),
    ],
)
def test_status_lines_are_envoys(status: int, line: bytes) -> None:
    assert response_head(status, [], b"") == b"HTTP/1.1 " + line + b"\r\n\r\n"


def test_a_head_is_its_fields_and_then_its_framing() -> None:
    written = response_head(200, [(b"A", b"1"), (b"b", b"")], b"Content-Length: 0\r\n")
    assert written == b"HTTP/1.1 200 OK\r\nA: 1\r\nb: \r\nContent-Length: 0\r\n\r\n"


def test_a_chunked_request_has_no_length() -> None:
    assert head("Transfer-Encoding: chunked", method="POST").content_length == CHUNKED


def test_what_comes_behind_an_upgrade_that_has_a_body_is_counted_by_itself() -> None:
    long = b"GET / HTTP/1.1\r\nHost: reviews\r\nCookie: %b\r\n\r\n" % (b"c" * 5000)
    upgrade = (
        b"POST / HTTP/1.1\r\nHost: reviews\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
    )
    chunked = b"POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n"
    requests, fault = read([long + upgrade + chunked, b"3\r\nabc\r\n0\r\n\r\n"])
    assert fault is None
    assert len(requests) == 3
