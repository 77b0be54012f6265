"""The answers we author: the one place that turns a kind of error into status, body, flag and details (Envoy's).

Bodies: `source/common/http/utility.cc` and `common/router/router.cc`; details are Envoy's response code details.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from meshproxy.base.errors import Kind, ProxyError

_RESET = "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"


@dataclass(frozen=True, slots=True)
class Reply:
    """`flag` is empty where Envoy has none; `close` says that the connection cannot be used any further."""

    status: int
    body: bytes
    flag: str
    details: str
    close: bool = False
    overloaded: bool = False
    fields: tuple[tuple[bytes, bytes], ...] = ()
    grpc_status: int | None = None  # what a gRPC client is told, where it is not what the status means


def reply_to(error: ProxyError, *, retried: bool = False) -> Reply:
    """What the client gets. `retried`: there was an attempt before the one that failed."""
    kind = error.kind
    match kind:
        case Kind.BAD_REQUEST:
            return Reply(400, b"Bad Request", "DPE", "http1.codec_error", close=True)
        case Kind.URI_TOO_LONG:
            return Reply(414, b"", "DPE", "http1.uri_too_long", close=True)
        case Kind.HEADERS_TOO_LARGE:
            return Reply(431, b"", "DPE", "http1.headers_too_large", close=True)
        case Kind.NOT_IMPLEMENTED:
            return Reply(501, b"", "DPE", "http1.not_implemented", close=True)
        case Kind.VERSION_NOT_SUPPORTED:
            return Reply(505, b"", "DPE", "http1.version_not_supported", close=True)
        case Kind.EXPECTATION_FAILED:
            return Reply(417, b"", "DPE", "http1.expectation_failed", close=True)
        case Kind.REQUEST_TIMEOUT:
            return Reply(408, b"", "SI", "request_header_timeout", close=True)
        case Kind.DOWNSTREAM_CLOSED:
            return Reply(0, b"", "DC", "downstream_remote_disconnect", close=True)
        case Kind.NO_ROUTE:
            return Reply(404, b"", "NR", "route_not_found")
        case Kind.NO_CLUSTER:
            return Reply(503, b"", "NC", "cluster_not_found")
        case Kind.NO_ENDPOINT:
            return Reply(503, b"no healthy upstream", "UH", "no_healthy_upstream")
        case Kind.RESPONSE_TIMEOUT:
            return Reply(504, b"upstream request timeout", "UT", "response_timeout")
        case Kind.PER_TRY_TIMEOUT:
            return Reply(504, b"upstream request timeout", "UT", "upstream_per_try_timeout")
        case Kind.STREAM_IDLE:
            return Reply(504, b"stream timeout", "SI", "stream_idle_timeout", close=True)
        case Kind.OVERLOADED:
            return Reply(503, b"", "OM", "overload", close=True, overloaded=True)
        case Kind.INTERNAL:
            return Reply(500, b"", "", "internal_error", close=True)
        case Kind.CONNECT_FAILURE:
            return _reset("UF", "remote connection failure", error, retried=retried)
        case Kind.CONNECT_TIMEOUT:
            return _reset("UF", "connection timeout", error, retried=retried)
        case Kind.UPSTREAM_CLOSED:
            return _reset("UC", "connection termination", error, retried=retried)
        case Kind.OVERFLOW:
            return _reset("UO", "overflow", error, retried=retried)
        case Kind.UPSTREAM_PROTOCOL:
            return _reset("UPE", "protocol error", error, retried=retried)
    assert_never(kind)


def _reset(flag: str, reason: str, error: ProxyError, *, retried: bool) -> Reply:
    body = _RESET.format(retried="retried and the latest " if retried else "", reason=reason)
    if error.kind is Kind.CONNECT_FAILURE:
        body += f", transport failure reason: {error.cause}"
    status = 502 if error.kind is Kind.UPSTREAM_PROTOCOL else 503
    details = f"upstream_reset_before_response_started{{{reason.replace(' ', '_')}}}"
    return Reply(status, body.encode(), flag, details, overloaded=error.kind is Kind.OVERFLOW)
