"""The fields a proxy adds on the way: what a sidecar or a gateway of Istio sends upstream and answers with.

Envoy, `conn_manager_utility.cc` and `router.cc`. A sidecar trusts X-Forwarded-Proto and X-Request-Id of its
client; a gateway sets them, and appends the client's address to X-Forwarded-For.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import gmtime, strftime

from meshproxy.base import clock
from meshproxy.base.addresses import split_authority
from meshproxy.base.headers import BODILESS, Fields
from meshproxy.base.message import CHUNKED, Request
from meshproxy.proxy.client import Client

_PLAIN_HTTP = (b"x-forwarded-proto", b"http")
_KEPT = (b"x-forwarded-for", b"x-envoy-original-host", b"x-envoy-original-path")


def asked(request: Request) -> tuple[str, int]:
    """The host and port a request is for, where that decides who is called."""
    return split_authority(request.host.decode("latin-1"), 443 if request.scheme == b"https" else 80)


def sidecar_fields(request: Request, client: Client) -> Fields:
    """The fields as a sidecar sends them on: the request's own, and those it manages."""
    managed = request.managed
    if not managed:
        return [*request.fields, _PLAIN_HTTP, (b"x-request-id", clock.request_id())]
    fields = request.fields + [(name, value) for name in _KEPT for value in managed.get(name, ())]
    said = managed.get(b"x-forwarded-proto")
    fields.append((b"x-forwarded-proto", b",".join(said)) if said and said[0] else _PLAIN_HTTP)
    request_id = managed.get(b"x-request-id")
    fields.append((b"x-request-id", request_id[0] if request_id and request_id[0] else clock.request_id()))
    return fields


def gateway_fields(request: Request, client: Client) -> Fields:
    """The fields as a gateway sends them on."""
    address = client.remote_ip
    return [
        *request.fields,
        (b"x-forwarded-for", b",".join([*request.managed.get(b"x-forwarded-for", ()), address])),
        (b"x-forwarded-proto", request.scheme),
        (b"x-envoy-external-address", address),
        (b"x-request-id", clock.request_id()),
    ]


def with_id(fields: Fields, request_id: bytes) -> Fields:
    """With that x-request-id, if it is one, in place of another."""
    return [(name, request_id or value) if name == b"x-request-id" else (name, value) for name, value in fields]


def additions(scheme: bytes, client: Client) -> tuple[Mapping[bytes, bytes], bytes]:
    """What is added to every plain request of a client, but for the x-request-id: fields, and the bytes that go behind
    the last line."""
    if client.forwarded is sidecar_fields:
        return _OF_SIDECAR  # the same for all
    nothing = Request(b"GET", b"/", None, b"", [])
    nothing.scheme = scheme
    return _addition(dict(client.forwarded(nothing, client)))


def _addition(added: dict[bytes, bytes]) -> tuple[Mapping[bytes, bytes], bytes]:
    added.pop(b"x-request-id", None)
    lines = [b"%b: %b" % pair for pair in added.items()]
    return added, b"\r\n".join((b"", *lines, b"x-envoy-attempt-count: 1", b""))


_OF_SIDECAR = _addition(dict((_PLAIN_HTTP,)))


def request_tail(request: Request, attempt: int, timeout: float | None) -> bytes:
    """The lines behind the fields of a request: count of attempts, framing, expectation."""
    tail = copy_tail(request, timeout, attempt)
    if request.expects_continue:
        tail += b"Expect: 100-continue\r\n"
    if request.upgrade is not None:
        tail += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return tail


def copy_tail(request: Request, timeout: float | None, attempt: int = 1) -> bytes:
    """Of a copy: it expects nothing of the one who answers."""
    tail = b"x-envoy-attempt-count: %d\r\n" % attempt
    if timeout is not None:
        tail += b"x-envoy-expected-rq-timeout-ms: %d\r\n" % round(timeout * 1000)
    length = request.content_length
    if length == CHUNKED:
        tail += b"Transfer-Encoding: chunked\r\n"
    elif length or request.method not in BODILESS:
        tail += b"Content-Length: %d\r\n" % length
    return tail


def http_date() -> bytes:
    """The present as a Date field has it."""
    return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(clock.wall())).encode()
