"""Header fields as the wire gives them: an ordered list of (name, value) pairs of bytes, letter case kept.

Comparison of names is by their lower case (RFC 9110, 5.1). Nothing here joins or splits values except `listed`.
"""

from collections.abc import Iterable

Fields = list[tuple[bytes, bytes]]
OWS = b" \t"
"""Optional white space (RFC 9110, 5.6.3): around a value, not of it. The parser leaves what stands behind."""

BODILESS = frozenset((b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT"))
"""A request of these without a body says nothing of its length; any other says 0 (Envoy, `RequestEncoderImpl`)."""

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Methods that may be sent again when a kept connection dies under them (RFC 9110, 9.2.2)."""

#: Request fields the proxy writes itself or takes away (Envoy, `conn_manager_utility.cc`): codecs keep them apart
#: in `Request.managed`, so that a request without them costs nothing.
MANAGED_REQUEST = frozenset(
    b"x-request-id x-forwarded-proto x-forwarded-for x-envoy-attempt-count x-envoy-original-path "
    b"x-envoy-original-host x-envoy-external-address x-envoy-internal x-envoy-decorator-operation "
    b"x-envoy-expected-rq-timeout-ms x-envoy-force-trace x-envoy-hedge-on-per-try-timeout x-envoy-ip-tags "
    b"x-envoy-is-timeout-retry x-envoy-max-retries x-envoy-original-url x-envoy-retriable-header-names "
    b"x-envoy-retriable-status-codes x-envoy-retry-grpc-on x-envoy-retry-on x-envoy-upstream-alt-stat-name "
    b"x-envoy-upstream-rq-per-try-timeout-ms x-envoy-upstream-rq-timeout-alt-response "
    b"x-envoy-upstream-rq-timeout-ms x-forwarded-client-cert".split()
)

#: Response fields that are passed on and also decide about retries: codecs note them in `Response.watched`.
WATCHED_RESPONSE = frozenset(b"grpc-status x-envoy-ratelimited".split())

#: Response fields the proxy writes itself.
MANAGED_RESPONSE = frozenset(b"server date x-envoy-upstream-service-time".split())


def values(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """All values of the field `name` (lower case), in order."""
    return [value for key, value in fields if key.lower() == name]


def first(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of the field `name` (lower case)."""
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def listed(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, lower case, white space and empty members dropped."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
