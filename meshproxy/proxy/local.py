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
    """The reply as a response head with its body; to a gRPC client, as a head that says it all."""
    if _speaks_grpc(request):
        return _grpc_response(reply, request)
    fields = list(reply.fields)
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


#: Of an HTTP status (Envoy, `httpToGrpcStatus`); any other is 2, unknown.
_GRPC_STATUSES = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


def _speaks_grpc(request: Request) -> bool:
    content_type = request.values(b"content-type")
    kind = content_type[0] if content_type else b""
    return kind == b"application/grpc" or kind.startswith(b"application/grpc+")


def _grpc_response(reply: Reply, request: Request) -> Response:
    status = _GRPC_STATUSES.get(reply.status, 2) if reply.grpc_status is None else reply.grpc_status
    fields = [*reply.fields, (b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % status)]
    if reply.body and request.method != b"HEAD":
        fields.append((b"grpc-message", _percent_encoded(reply.body)))
    answer = Response(200, fields)
    answer.complete = True
    answer.announced_length = 0
    return answer


def _percent_encoded(message: bytes) -> bytes:
    """https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: all but printable ASCII without `%`."""
    return b"".join(b"%c" % byte if 0x20 <= byte < 0x7F and byte != 0x25 else b"%%%02X" % byte for byte in message)


def typed(fields: Fields, body: bytes, request: Request) -> Fields:
    """With the type of an answer of ours, where header operations have not given it another."""
    kind = b"application/grpc" if _speaks_grpc(request) else b"text/plain" if body else b""
    if not kind or first(fields, b"content-type") is not None:
        return fields
    return [*fields, (b"content-type", kind)]


def answer(action: Redirect | DirectResponse, request: Request) -> Reply:
    """What a route answers by itself. A direct response whose status is one with a Location leads to where it came
    from (Envoy, `Router::Filter::decodeHeaders`)."""
    if isinstance(action, Redirect):
        return Reply(action.status, b"", "", "direct_response", fields=((b"location", location(action, request)),))
    leads = action.status == 201 or 300 <= action.status < 400
    fields = ((b"location", location(Redirect(), request)),) if leads else ()
    return Reply(action.status, action.body, "", "direct_response", fields=fields)


def aborted(fault: Fault) -> Reply:
    """What an injected abort answers; a gRPC status only means something to a gRPC request."""
    status = fault.abort_status if fault.abort_grpc_status is None else 200
    return Reply(status, b"fault filter abort", "FI", "fault_filter_abort", grpc_status=fault.abort_grpc_status)


def preflight(cors: Cors, request: Request) -> tuple[bytes | None, Reply | None]:
    """(the origin, if it is allowed; the answer, if this is a preflight that is answered here)."""
    origins = request.values(b"origin")
    origin = origins[0] if origins and origins[0] else None
    allowed = origin if origin is not None and cors.allows(origin) else None
    asked = request.values(b"access-control-request-method")
    if origin is None or request.method != b"OPTIONS" or not asked or not asked[0]:
        return allowed, None
    if allowed is None and cors.forward_unmatched_preflights:
        return None, None
    return allowed, Reply(200, b"", "", "cors_response", fields=_preflight_fields(cors, request, allowed, asked[0]))


def _preflight_fields(
    cors: Cors, request: Request, origin: bytes | None, method: bytes
) -> tuple[tuple[bytes, bytes], ...]:
    asked_headers = b",".join(request.values(b"access-control-request-headers"))
    methods = method if cors.methods == b"*" else cors.methods
    fields = [(b"access-control-allow-origin", origin)] if origin is not None else []
    if cors.credentials:
        fields.append((b"access-control-allow-credentials", b"true"))
    if cors.headers == b"*":
        fields.append((b"access-control-allow-headers", asked_headers))
    optional = (
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", b"" if cors.headers == b"*" else cors.headers),
        (b"access-control-expose-headers", cors.expose_headers if origin is not None else b""),
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
