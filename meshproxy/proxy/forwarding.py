"""The fields a proxy adds on the way: what a sidecar or a gateway of Istio sends upstream and answers with.

Envoy, `conn_manager_utility.cc` and `router.cc`. A sidecar trusts X-Forwarded-Proto and X-Request-Id of its
client; a gateway sets them, and appends the client's address to X-Forwarded-For.
"""

from __future__ import annotations

from time import gmtime, strftime

from meshproxy.base import clock
from meshproxy.base.headers import Fields
from meshproxy.base.message import CHUNKED, Request
from meshproxy.plan.listener import scheme_of as scheme_of

_KEPT = (b"x-forwarded-for", b"x-envoy-original-host", b"x-envoy-original-path")


def sidecar_fields(request: Request) -> Fields:
    """The managed fields as a sidecar sends them on."""
    managed = request.managed
    if not managed:
        return [(b"x-forwarded-proto", b"http"), (b"x-request-id", clock.request_id())]
    fields = [(name, value) for name in _KEPT for value in managed.get(name, ())]
    fields.append((b"x-forwarded-proto", request.scheme))
    request_id = managed.get(b"x-request-id")
    fields.append((b"x-request-id", request_id[0] if request_id and request_id[0] else clock.request_id()))
    return fields


def gateway_fields(request: Request, client: bytes) -> Fields:
    """The managed fields as a gateway sends them on; `client` is the peer's address without port."""
    seen = b",".join([*request.managed.get(b"x-forwarded-for", ()), client])
    return [
        (b"x-forwarded-for", seen),
        (b"x-forwarded-proto", request.scheme),
        (b"x-envoy-external-address", client),
        (b"x-request-id", clock.request_id()),
    ]


def request_tail(request: Request, attempt: int, timeout: float | None) -> bytes:
    """The lines behind the fields of a request: count of attempts, framing, expectation."""
    tail = b"x-envoy-attempt-count: %d\r\n" % attempt
    if timeout is not None:
        tail += b"x-envoy-expected-rq-timeout-ms: %d\r\n" % round(timeout * 1000)
    length = request.content_length
    if length == CHUNKED:
        tail += b"Transfer-Encoding: chunked\r\n"
    elif length or request.method in _BODY_EXPECTED:
        tail += b"Content-Length: %d\r\n" % length
    if request.expects_continue:
        tail += b"Expect: 100-continue\r\n"
    if request.upgrade is not None:
        tail += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return tail


#: Without a body these announce its length all the same (RFC 9110, 8.6).
_BODY_EXPECTED = frozenset((b"POST", b"PUT", b"PATCH"))

_date = (0, b"")


def date() -> bytes:
    """The present as an HTTP date, made once a second."""
    global _date
    now = int(clock.wall())
    if _date[0] != now:
        _date = (now, strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(now)).encode())
    return _date[1]
