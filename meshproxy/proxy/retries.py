"""Whether a failed attempt is tried again: Envoy's conditions (`common/router/retry_state_impl.cc`)."""

from __future__ import annotations

from meshproxy.base.errors import Kind
from meshproxy.base.message import Response
from meshproxy.plan.retry import Retry

_CONNECT = frozenset(("connect-failure", "5xx", "gateway-error", "reset", "reset-before-request"))
_RESET = frozenset(("5xx", "gateway-error", "reset"))
_ON_ERROR = {
    Kind.CONNECT_FAILURE: _CONNECT,
    Kind.CONNECT_TIMEOUT: _CONNECT,
    Kind.UPSTREAM_CLOSED: _RESET,
    Kind.UPSTREAM_PROTOCOL: _RESET,
    Kind.PER_TRY_TIMEOUT: _RESET,
}
_GATEWAY_ERRORS = frozenset((502, 503, 504))
_GRPC = {
    b"1": "cancelled",
    b"4": "deadline-exceeded",
    b"8": "resource-exhausted",
    b"13": "internal",
    b"14": "unavailable",
}


def after_error(retry: Retry, kind: Kind) -> bool:
    """Whether the policy covers an attempt that got no answer."""
    return not retry.conditions.isdisjoint(_ON_ERROR.get(kind, ()))


def after_response(retry: Retry, response: Response) -> bool:
    """Whether the policy covers this answer."""
    status, watched = response.status, response.watched
    if status < 400 and not watched and not retry.statuses:
        return False
    conditions = retry.conditions
    if b"x-envoy-ratelimited" in watched:
        return "envoy-ratelimited" in conditions
    if status >= 500 and ("5xx" in conditions or (status in _GATEWAY_ERRORS and "gateway-error" in conditions)):
        return True
    if status == 409 and "retriable-4xx" in conditions:
        return True
    if status in retry.statuses and "retriable-status-codes" in conditions:
        return True
    return _GRPC.get(watched.get(b"grpc-status", b"")) in conditions
