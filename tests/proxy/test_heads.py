"""The heads we write: framing of responses, rewritten requests, the fields of both kinds of listener; where redirects
lead."""

from __future__ import annotations

import pytest

from meshproxy.base.message import CHUNKED, Request, Response
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.listener import Listener, settle_scheme
from meshproxy.plan.rewrite import Redirect, Rewrite, location
from meshproxy.proxy import forwarding, heads


def request(path: bytes = b"/a", query: bytes | None = None, *, method: bytes = b"GET", host: bytes = b"h") -> Request:
    return Request(method, path, query, host, [])


def response(
    status: int = 200, *, length: int = 0, announced: int | None = None, upgrade: bytes | None = None
) -> Response:
    made = Response(status, [])
    made.content_length, made.announced_length, made.upgrade = length, announced, upgrade
    return made


CLOSE, KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
CHUNKS, EMPTY = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n"


@pytest.mark.parametrize(
    ("method", "version", "answer", "framing"),
    [
        (b"GET", b"HTTP/1.1", response(length=5), b"Content-Length: 5\r\n"),
        (b"GET", b"HTTP/1.1", response(length=CHUNKED), CHUNKS),
        (b"GET", b"HTTP/1.1", response(), EMPTY),
        (b"GET", b"HTTP/1.1", response(204), b""),
        (b"GET", b"HTTP/1.1", response(304), b""),
        (b"GET", b"HTTP/1.1", response(304, announced=9), b"Content-Length: 9\r\n"),
        (b"HEAD", b"HTTP/1.1", response(announced=9), b"Content-Length: 9\r\n"),
        (b"HEAD", b"HTTP/1.1", response(), b""),
        (b"GET", b"HTTP/1.1", response(101, upgrade=b"websocket"), b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        (b"GET", b"HTTP/1.0", response(length=5), b"Content-Length: 5\r\n" + KEEP),
        (b"GET", b"HTTP/1.0", response(length=CHUNKED), KEEP),
    ],
)
def test_framing(method: bytes, version: bytes, answer: Response, framing: bytes) -> None:
    asked = request(method=method)
    asked.version = version
    assert heads.response_framing(asked, answer, keep=True) == framing
    if answer.upgrade is None:
        assert heads.response_framing(asked, answer, keep=False) == framing.removesuffix(KEEP) + CLOSE


@pytest.mark.parametrize(
    ("rewrite", "own", "expected"),
    [
        (None, None, (b"/a/b?q", b"h", [])),
        (None, b"own", (b"/a/b?q", b"own", [])),
        (Rewrite(prefix=b"/a", path=b"/c"), None, (b"/c/b?q", b"h", [(b"x-envoy-original-path", b"/a/b?q")])),
        (Rewrite(authority=b"w"), b"own", (b"/a/b?q", b"w", [(b"x-envoy-original-host", b"own")])),
        (
            Rewrite(path=b"/c", authority=b"w"),
            None,
            (b"/c?q", b"w", [(b"x-envoy-original-path", b"/a/b?q"), (b"x-envoy-original-host", b"h")]),
        ),
    ],
)
def test_rewritten_requests_tell_where_they_were_meant_to_go(
    rewrite: Rewrite | None, own: bytes | None, expected: tuple[bytes, bytes, list[tuple[bytes, bytes]]]
) -> None:
    assert heads.rewritten(rewrite, own, request(b"/a/b", b"q")) == expected


def test_the_routes_header_operations_win_over_the_destinations() -> None:
    def ops(value: bytes) -> HeaderOps:
        return HeaderOps(set=((b"x-a", Template((value,))),))

    applied = heads.applied(
        [(b"X-A", b"0")], (ops(b"destination"), None, ops(b"route")), lambda fields: lambda command, argument: b""
    )
    assert [value for name, value in applied if name.lower() == b"x-a"] == [b"route"]


# ---- section 8 of the VirtualService reference


@pytest.mark.parametrize(
    ("redirect", "host", "scheme", "expected"),
    [
        (Redirect(path=b"/new"), b"h:9080", b"http", b"http://h:9080/new?q"),
        (Redirect(path=b"/new?own"), b"h", b"http", b"http://h/new?own"),
        (Redirect(prefix=b"/a", prefix_rewrite=b"/c"), b"h", b"http", b"http://h/c/b?q"),
        (Redirect(authority=b"other:1"), b"h:9080", b"http", b"http://other:1/a/b?q"),
        (Redirect(scheme=b"https"), b"h", b"http", b"https://h/a/b?q"),
        (Redirect(scheme=b"https"), b"h:80", b"http", b"https://h/a/b?q"),
        (Redirect(scheme=b"https"), b"h:8080", b"http", b"https://h:8080/a/b?q"),
        (Redirect(scheme=b"http"), b"h:443", b"https", b"http://h/a/b?q"),
        (Redirect(scheme=b"https"), b"h", b"https", b"https://h/a/b?q"),
        (Redirect(port=8443), b"h:9080", b"http", b"http://h:8443/a/b?q"),
        (Redirect(port=8443, authority=b"other"), b"h:9080", b"http", b"http://other:8443/a/b?q"),
        (Redirect(port=8443), b"[::1]:80", b"http", b"http://[::1]:8443/a/b?q"),
    ],
)
def test_where_a_redirect_leads(redirect: Redirect, host: bytes, scheme: bytes, expected: bytes) -> None:
    asked = request(b"/a/b", b"q", host=host)
    asked.scheme = scheme
    assert location(redirect, asked) == expected


def test_a_redirect_without_a_query_has_none() -> None:
    assert location(Redirect(path=b"/new"), request()) == b"http://h/new"
    assert location(Redirect(path=b"/new"), request(query=b"")) == b"http://h/new?"


# ---- what goes up


class Client:
    remote_ip = b"10.0.0.9"


def up(asked: Request, *, gateway: bool) -> dict[bytes, bytes]:
    fields = (forwarding.gateway_fields if gateway else forwarding.sidecar_fields)(asked, Client())  # type: ignore[arg-type]
    names = [name for name, _ in fields]
    assert len(names) == len(set(names))
    return dict(fields)


def test_a_sidecar_trusts_its_client() -> None:
    asked = request()
    asked.managed = {b"x-request-id": [b"mine"], b"x-forwarded-proto": [b"https"], b"x-forwarded-for": [b"1.1.1.1"]}
    settle_scheme(Listener(name="mesh", host="", port=0, server_port=0), asked)
    fields = up(asked, gateway=False)
    assert asked.scheme == b"https"
    assert fields[b"x-request-id"] == b"mine"
    assert fields[b"x-forwarded-proto"] == b"https"
    assert fields[b"x-forwarded-for"] == b"1.1.1.1"


def test_a_gateway_does_not() -> None:
    asked = request()
    asked.managed = {b"x-request-id": [b"mine"], b"x-forwarded-proto": [b"https"], b"x-forwarded-for": [b"1.1.1.1"]}
    settle_scheme(Listener(name="gw", host="", port=0, server_port=0, is_gateway=True), asked)
    fields = up(asked, gateway=True)
    assert (asked.scheme, asked.values(b"x-forwarded-proto")) == (b"http", [b"http"])
    assert fields[b"x-request-id"] != b"mine"
    assert fields[b"x-forwarded-proto"] == b"http"
    assert fields[b"x-forwarded-for"] == b"1.1.1.1,10.0.0.9"
    assert fields[b"x-envoy-external-address"] == b"10.0.0.9"


def test_fields_that_mean_something_to_envoy_do_not_pass_a_sidecar() -> None:
    asked = request()
    asked.managed = {
        b"x-envoy-max-retries": [b"9"],
        b"x-envoy-upstream-rq-timeout-ms": [b"1"],
        b"x-envoy-retry-on": [b"5xx"],
    }
    assert set(up(asked, gateway=False)) == {b"x-forwarded-proto", b"x-request-id"}


@pytest.mark.parametrize(
    ("method", "length", "lines"),
    [
        (b"GET", 0, b""),
        (b"DELETE", 0, b""),
        (b"POST", 0, b"Content-Length: 0\r\n"),
        (b"PUT", 0, b"Content-Length: 0\r\n"),
        (b"PATCH", 0, b"Content-Length: 0\r\n"),
        (b"GET", 5, b"Content-Length: 5\r\n"),
        (b"POST", CHUNKED, CHUNKS),
    ],
)
def test_a_request_is_framed_by_us(method: bytes, length: int, lines: bytes) -> None:
    asked = request(method=method)
    asked.content_length = length
    assert forwarding.request_tail(asked, 1, None) == b"x-envoy-attempt-count: 1\r\n" + lines


def test_an_upgrade_an_expectation_and_a_timeout_are_told() -> None:
    asked = request(method=b"POST")
    asked.content_length, asked.expects_continue, asked.upgrade = 5, True, b"websocket"
    assert forwarding.request_tail(asked, 2, 1.5) == (
        b"x-envoy-attempt-count: 2\r\nx-envoy-expected-rq-timeout-ms: 1500\r\nContent-Length: 5\r\n"
        b"Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
