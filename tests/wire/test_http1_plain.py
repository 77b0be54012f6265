"""The short way reads what the long way reads, or nothing; and whatever came before, it reads the next message."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.base.headers import BODILESS
from meshproxy.base.plain import PlainRequest, PlainResponse
from meshproxy.wire import http1_plain
from meshproxy.wire.http1_client import ResponseReader
from meshproxy.wire.http1_framing import MAX_FIELDS
from meshproxy.wire.http1_plain import read_request, read_response
from meshproxy.wire.http1_server import RequestReader
from meshproxy.wire.http1_shape import NO_REQUEST, NO_RESPONSE, Shapes, request_shapes

POST = b"POST /a HTTP/1.1\r\nHost: reviews.test\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
GET = b"GET /a?b=c HTTP/1.1\r\nHost: reviews.test:80\r\nUser-Agent: curl\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

_WORDS = st.sampled_from(
    [b"a", b"", b" ", b"\t", b"x y", b"keep-alive", b"close", b"5", b"05", b"chunked", b"\x00", b"\xe9"]
)
_NO_NAMES = st.sampled_from([b"", b"bad name", b" folded", b"Date ", b"Host ", b"H\xf6st"])
_REQUEST_FIELDS = _NO_NAMES | st.sampled_from(
    b"Host host HOST Connection connection Content-Length Transfer-Encoding Upgrade Expect TE Keep-Alive X-Request-Id "
    b"x-request-id X-Forwarded-For x-forwarded-proto Cookie Accept x-custom X_odd".split()
)
_RESPONSE_FIELDS = _NO_NAMES | st.sampled_from(
    b"Server server Date date Content-Length content-length Content-Type Connection connection Transfer-Encoding "
    b"Set-Cookie set-cookie ETag Trailer x-envoy-upstream-service-time grpc-status".split()
)
_COLONS = st.sampled_from([b": "] * 6 + [b":", b":  ", b" :", b""])
_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b"\r\n "])


def _line(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda *parts: b"".join(parts), names, _COLONS, _WORDS, _ENDS)


def _head(firsts: list[bytes], always: list[bytes], names: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    usual = st.lists(st.sampled_from(always), max_size=len(always), unique=True)
    return st.builds(
        lambda first, some, others: first + b"\r\n" + b"".join(some + others) + b"\r\n",
        st.sampled_from(firsts),
        usual,
        st.lists(_line(names), max_size=4),
    )


REQUESTS = st.builds(
    bytes.__add__,
    _head(
        [b"%b %b %b" % (method, target, version)
         for method in (b"GET", b"GET", b"HEAD", b"DELETE", b"POST", b"OPTIONS", b"CONNECT", b"get", b"")
         for target in (b"/", b"/a/b?c=%20&d", b"/../a", b"/a%41", b"/a#b", b"/?#", b"*", b"http://x/", b"/a b", b"/\xe9")
         for version in (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"RTSP/1.0")],
        [b"Host: reviews.test\r\n", b"Accept: */*\r\n", b"x-request-id: 7\r\n", b"Connection: keep-alive\r\n",
         b"Connection: close\r\n", b"Content-Length: 5\r\n"],
        _REQUEST_FIELDS,
    ),
    st.sampled_from([b""] * 6 + [b"x", b"\r\n", GET, b"hello", b"hello", b"hello" + POST]),
)  # fmt: skip
RESPONSES = st.builds(
    bytes.__add__,
    _head(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 404 Nowhere", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content",
         b"HTTP/1.1 100 Continue", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 200", b"HTTP/1.1  200 OK", b"nonsense"],
        [b"Server: nginx\r\n", b"Date: now\r\n", b"Content-Length: 5\r\n", b"Connection: keep-alive\r\n", b"ETag: \"1\"\r\n"],
        _RESPONSE_FIELDS,
    ),
    st.sampled_from([b"hello"] * 4 + [b"", b"hell", b"hello\r\n", b"hellohello", b"hello" + OK]),
)  # fmt: skip


@settings(max_examples=1500)
@given(REQUESTS)
@example(GET)
@example(GET + GET)
@example(b"\r\n" + GET)
@example(POST)
@example(POST[:-1])
@example(POST + GET)
@example(POST.replace(b"POST", b"GET"))
@example(POST.replace(b"5", b"05"))
@example(POST.replace(b"5", b"+5"))
@example(POST.replace(b"5", b"5, 5"))
@example(GET[:-2] + b"Connection: close\r\n\r\n")
@example(GET.replace(b"GET", b"POST")[:-2] + b"Connection: close\r\n\r\n")
@example(GET[:-2] + b"Connection: close\r\n\r\n" + GET)
def test_a_request_is_read_as_on_the_long_way(data: bytes) -> None:
    plain = read_request(data, b"http", NO_REQUEST)
    reader = RequestReader()
    reader.feed(data)
    if plain is not None:
        (other,) = reader.requests
        assert reader.error is None
        assert reader.fresh is plain.keep_alive
        names = (
            "method",
            "path",
            "query",
            "host",
            "fields",
            "managed",
            "scheme",
            "version",
            "content_length",
            "complete",
        )
        for name in (*names, "keep_alive", "upgrade", "expects_continue", "body", "trailers", "target"):
            assert getattr(plain, name) == getattr(other, name), name
        for asked in (b"host", b":path", b":method", b"x-request-id", b"cookie", b"accept", b"nothing"):
            assert plain.values(asked) == other.values(asked)
    elif reader.error is None and data.split(b" ")[1:2] == [b"/"] and data.find(b"\r\n\r\n") == len(data) - 4:
        assert not _is_plain(reader), "it could have gone the short way"
    assert read_request(GET, b"http", NO_REQUEST) is not None, "what was refused is not remembered"


def _is_plain(reader: RequestReader) -> bool:
    (request,) = reader.requests
    asks = request.content_length or request.upgrade or request.expects_continue or request.method not in BODILESS
    return (
        not asks
        and reader.fresh
        and request.version == b"HTTP/1.1"
        and request.path == b"/"
        and {b"x-request-id": [b"7"]} | request.managed == {b"x-request-id": [b"7"]}
        and len(request.fields) < MAX_FIELDS
        and (b"te", b"trailers") not in request.fields
    )


@settings(max_examples=1500)
@given(RESPONSES)
@example(OK)
@example(OK + b"\r\n")
@example(OK + OK)
def test_a_response_is_read_as_on_the_long_way(data: bytes) -> None:
    plain = read_response(data, NO_RESPONSE)
    reader = ResponseReader()
    reader.expect(b"GET")
    if plain is not None:
        reader.feed(data[:1])  # so that it goes the long way
        reader.feed(data[1:])
        other = reader.response
        assert other is not None
        assert reader.reusable
        for name in (
            "status",
            "fields",
            "date",
            "content_length",
            "announced_length",
            "complete",
            "watched",
            "upgrade",
        ):
            assert getattr(plain, name) == getattr(other, name), name
        assert b"".join(plain.body) == b"".join(other.body)
    assert read_response(OK, NO_RESPONSE) is not None, "what was refused is not remembered"


@pytest.mark.parametrize(
    "field",
    ["Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue", "Upgrade: websocket", "TE: trailers",
     "Connection: x-b", "Connection: close, x-b", "Keep-Alive: 5", "X-Request-Id: ", "X-Forwarded-For: 1.2.3.4",
     "x-envoy-attempt-count: 2", "Host: again"],
)  # fmt: skip
def test_a_head_that_asks_for_more_goes_the_long_way(field: str) -> None:
    assert read_request(GET[:-2] + field.encode() + b"\r\n\r\n", b"http", NO_REQUEST) is None


def test_the_head_goes_on_as_it_came() -> None:
    request = read_request(GET, b"http", NO_REQUEST)
    assert request is not None
    assert request.head == GET[:-4]


def test_only_what_is_meant_for_this_hop_is_taken_out() -> None:
    request = read_request(GET[:-2] + b"Connection: keep-alive\r\nA: b\r\n\r\n", b"http", NO_REQUEST)
    assert request is not None
    assert request.head == GET[:-2] + b"A: b"
    response = read_response(OK, NO_RESPONSE)
    assert response is not None
    assert response.lines == [b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 5"]


def test_the_usual_messages_go_the_short_way_and_say_so() -> None:
    assert isinstance(read_request(GET, b"http", NO_REQUEST), PlainRequest)
    client = ResponseReader()
    client.expect(b"GET")
    client.feed(OK)
    assert isinstance(client.response, PlainResponse)


@pytest.mark.parametrize("first", [GET, GET.replace(b"User-Agent", b"Accept"), GET.replace(b"Host", b"HOST")])
def test_a_shape_fits_its_own_heads_only(first: bytes) -> None:
    before = read_request(first, b"http", NO_REQUEST)
    assert before is not None
    request = read_request(GET, b"http", before.shape)
    assert request is not None
    assert request.fields == [(b"User-Agent", b"curl")]
    assert request.host == b"reviews.test:80"


def test_neither_many_hosts_nor_long_ones_are_kept() -> None:
    for host in (*(b"h%d.test" % number for number in range(3000)), b"a" * 1000):
        request = read_request(GET.replace(b"reviews.test:80", host), b"http", NO_REQUEST)
        assert request is not None
        assert request.host == host
    assert len(http1_plain._hosts) <= 1024
    assert max(map(len, http1_plain._hosts)) < 300


def test_neither_many_shapes_nor_long_ones_are_kept() -> None:
    for number in range(2 * Shapes.MOST):
        assert read_request(GET[:-2] + b"X-%d: 1\r\n\r\n" % number, b"http", NO_REQUEST) is not None
    assert len(request_shapes) <= Shapes.MOST
    before = len(request_shapes)
    assert read_request(GET[:-2] + b"X-%b: 1\r\n\r\n" % (b"a" * Shapes.LONGEST), b"http", NO_REQUEST) is not None
    assert len(request_shapes) == before
