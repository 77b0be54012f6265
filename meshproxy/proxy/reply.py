"""The answers we author: the one place that turns a kind of error into status, body, flag and details (Envoy's).

Bodies: `source/common/http/utility.cc` and `common/router/router.cc`; details are Envoy's response code details.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meshproxy.base.errors import Kind, ProxyError

_REASON = b"reset reason: "
_RESET = b"upstream connect error or disconnect/reset before headers. " + _REASON + b"%s"


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


def _reset(flag: str, reason: str, status: int = 503, *, overloaded: bool = False) -> Reply:
    details = f"upstream_reset_before_response_started{{{reason.replace(' ', '_')}}}"
    return Reply(status, _RESET % reason.encode(), flag, details, overloaded=overloaded)


_REPLIES = {
    Kind.BAD_REQUEST: Reply(400, b"Bad Request", "DPE", "http1.codec_error", close=True),
    Kind.URI_TOO_LONG: Reply(414, b"", "DPE", "http1.uri_too_long", close=True),
    Kind.HEADERS_TOO_LARGE: Reply(431, b"", "DPE", "http1.headers_too_large", close=True),
    Kind.NOT_IMPLEMENTED: Reply(501, b"", "DPE", "http1.not_implemented", close=True),
    Kind.VERSION_NOT_SUPPORTED: Reply(505, b"", "DPE", "http1.version_not_supported", close=True),
    Kind.EXPECTATION_FAILED: Reply(417, b"", "DPE", "http1.expectation_failed", close=True),
    Kind.REQUEST_TIMEOUT: Reply(408, b"", "SI", "request_header_timeout", close=True),
    Kind.DOWNSTREAM_CLOSED: Reply(0, b"", "DC", "downstream_remote_disconnect", close=True),
    Kind.NO_ROUTE: Reply(404, b"", "NR", "route_not_found"),
    Kind.NO_CLUSTER: Reply(503, b"", "NC", "cluster_not_found"),
    Kind.NO_ENDPOINT: Reply(503, b"no healthy upstream", "UH", "no_healthy_upstream"),
    Kind.RESPONSE_TIMEOUT: Reply(504, b"upstream request timeout", "UT", "response_timeout"),
    Kind.PER_TRY_TIMEOUT: Reply(504, b"upstream request timeout", "UT", "upstream_per_try_timeout"),
    Kind.STREAM_IDLE: Reply(504, b"stream timeout", "SI", "stream_idle_timeout", close=True),
    Kind.OVERLOADED: Reply(503, b"", "OM", "overload", close=True, overloaded=True),
    Kind.INTERNAL: Reply(500, b"", "", "internal_error", close=True),
}
_RESETS = {
    Kind.CONNECT_FAILURE: _reset("UF", "remote connection failure"),
    Kind.CONNECT_TIMEOUT: _reset("UF", "connection timeout"),
    Kind.UPSTREAM_CLOSED: _reset("UC", "connection termination"),
    Kind.OVERFLOW: _reset("UO", "overflow", overloaded=True),
    Kind.UPSTREAM_PROTOCOL: _reset("UPE", "protocol error", 502),
}


def reply_to(error: ProxyError, *, retried: bool = False) -> Reply:
    """What the client gets. `retried`: there was an attempt before the one that failed."""
    known = _REPLIES.get(error.kind)
    if known is not None:
        return known
    reset = _RESETS[error.kind]
    body = reset.body
    if retried:
        body = body.replace(_REASON, b"retried and the latest " + _REASON)
    if error.kind is Kind.CONNECT_FAILURE:
        body += f", transport failure reason: {error.cause}".encode()
    return reset if body is reset.body else replace(reset, body=body)
