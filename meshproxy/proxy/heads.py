"""The heads we write: of a request to its upstream, of a response to its client. Functions of values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meshproxy.base.headers import Fields
from meshproxy.base.message import CHUNKED, Request, Response
from meshproxy.base.plain import PlainResponse
from meshproxy.plan.header_ops import HeaderOps, Lookup
from meshproxy.plan.rewrite import Rewrite


def applied(fields: Fields, operations: Iterable[HeaderOps | None], looking_at: Callable[[Fields], Lookup]) -> Fields:
    """The destination's operations come first, then the route's (Envoy, weighted clusters): the route wins. Values are
    looked up in what those before have left, and without what is removed by the same ones."""
    for ops in operations:
        if ops is not None:
            left = ops.strip(fields)
            fields = ops.apply(left, looking_at(left))
    return fields


_SHORT = 64
_SERVICE_TIMES = [b"x-envoy-upstream-service-time: %d" % ms for ms in range(_SHORT)]
"""Most upstreams answer within so many milliseconds."""


def plain_answer(response: PlainResponse, server: bytes, date: bytes, took: int, keep: bool) -> bytes:
    """The whole of a plain response, with what belongs to it; its `lines` are then what is sent. `took`: in ms."""
    lines = response.lines
    if not response.shape.dated:
        lines.append(b"date: " + date)
    time = _SERVICE_TIMES[took] if took < _SHORT else b"x-envoy-upstream-service-time: %d" % took
    if keep:
        lines += (server, time, b"", response.body[0])
    else:
        lines += (server, time, b"connection: close", b"", response.body[0])
    return b"\r\n".join(lines)


def response_framing(request: Request, response: Response, *, keep: bool) -> bytes:
    """The lines that frame a response to this client, each with its CRLF."""
    length = response.content_length
    if length > 0:
        framing = b"Content-Length: %d\r\n" % length
    elif length == CHUNKED:
        framing = b"Transfer-Encoding: chunked\r\n" if request.version == b"HTTP/1.1" else b""
    elif response.upgrade is not None:
        return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % response.upgrade
    elif response.announced_length is not None and response.status != 204:
        framing = b"Content-Length: %d\r\n" % response.announced_length
    elif response.status in (204, 304) or request.method == b"HEAD":
        framing = b""
    else:
        framing = b"Content-Length: 0\r\n"
    if not keep:
        return framing + b"Connection: close\r\n"
    if request.version == b"HTTP/1.0":
        return framing + b"Connection: keep-alive\r\n"
    return framing


def rewritten(rewrite: Rewrite | None, host: bytes | None, request: Request) -> tuple[bytes, bytes, Fields]:
    """(target, host, fields that tell of it) of the request as it goes on. `host` is the destination's, of which
    nothing tells; the rewrite's authority comes after it."""
    told: Fields = []
    target = request.target
    if rewrite is not None and (rewrite.path is not None or rewrite.regex is not None):
        told.append((b"x-envoy-original-path", target))
        path = rewrite.apply(request.path)
        target = path if request.query is None else b"%b?%b" % (path, request.query)
    host = host or request.host
    if rewrite is not None and rewrite.authority is not None:
        told.append((b"x-envoy-original-host", host))
        host = rewrite.authority
    return target, host, told
