"""Answers that need no upstream: redirects, direct responses, aborts, CORS preflights; and the responses that our
own replies are written as."""

from __future__ import annotations

from meshproxy.base.headers import Fields, first
from meshproxy.base.message import Request, Response
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import Fault
from meshproxy.plan.rewrite import DirectResponse, Redirect, location
from meshproxy.proxy.reply import Reply


def response(reply: Reply, request: Request) -> Response:
    """The reply as a response head with its body."""
    fields = list(reply.fields)
    if reply.body and first(fields, b"content-type") is None:
        fields.append((b"content-type", b"text/plain"))
    if reply.overloaded:
        fields.append((b"x-envoy-overloaded", b"true"))
    answer = Response(reply.status, fields)
    answer.complete = True
    if reply.status not in (204, 304):
        answer.announced_length = len(reply.body)
    if reply.body and request.method != b"HEAD" and answer.announced_length is not None:
        answer.content_length = len(reply.body)
        answer.body = [reply.body]
    return answer


def answer(action: Redirect | DirectResponse, request: Request) -> Reply:
    """What a route answers by itself."""
    if isinstance(action, Redirect):
        return Reply(action.status, b"", "", "direct_response", fields=((b"location", location(action, request)),))
    return Reply(action.status, action.body, "", "direct_response")


def aborted(fault: Fault, request: Request) -> Reply:
    """What an injected abort answers; a gRPC status only means something to a gRPC request."""
    body = b"fault filter abort"
    if fault.abort_grpc_status is None:
        return Reply(fault.abort_status, body, "FI", "fault_filter_abort")
    content_type = request.values(b"content-type")
    if not content_type or not content_type[0].startswith(b"application/grpc"):
        return Reply(200, body, "FI", "fault_filter_abort")
    fields = (
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % fault.abort_grpc_status),
        (b"grpc-message", body),
    )
    return Reply(200, b"", "FI", "fault_filter_abort", fields=fields)


def preflight(cors: Cors, request: Request) -> tuple[bytes | None, Reply | None]:
    """(the origin, if it is allowed; the answer, if this is a preflight that is answered here)."""
    origins = request.values(b"origin")
    origin = origins[0] if origins and origins[0] else None
    allowed = origin if origin is not None and cors.allows(origin) else None
    asked = request.values(b"access-control-request-method")
    if origin is None or request.method != b"OPTIONS" or not asked or not asked[0]:
        return allowed, None
    if allowed is None:
        return None, None if cors.forward_unmatched_preflights else Reply(200, b"", "", "cors_response")
    return allowed, Reply(200, b"", "", "cors_response", fields=_preflight_fields(cors, request, allowed, asked[0]))


def _preflight_fields(cors: Cors, request: Request, origin: bytes, method: bytes) -> tuple[tuple[bytes, bytes], ...]:
    asked_headers = b",".join(request.values(b"access-control-request-headers"))
    methods = method if cors.methods == b"*" else cors.methods
    headers = asked_headers if cors.headers == b"*" else cors.headers
    fields = [(b"access-control-allow-origin", origin)]
    if cors.credentials:
        fields.append((b"access-control-allow-credentials", b"true"))
    optional = (
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", headers),
        (b"access-control-expose-headers", cors.expose_headers),
        (b"access-control-max-age", b"" if cors.max_age is None else b"%d" % cors.max_age),
    )
    return (*fields, *(pair for pair in optional if pair[1]))


def with_cors(fields: Fields, cors: Cors, origin: bytes) -> Fields:
    """A response's fields for an allowed origin."""
    own = [(b"access-control-allow-origin", origin)]
    if cors.credentials:
        own.append((b"access-control-allow-credentials", b"true"))
    if cors.expose_headers:
        own.append((b"access-control-expose-headers", cors.expose_headers))
    names = {name for name, _ in own}
    return [pair for pair in fields if pair[0].lower() not in names] + own
