"""The one exception of the request path: what went wrong, on whose side, whether trying again can help.

`proxy/reply.py` alone turns a `Kind` into a status, a body and an Envoy response flag.
"""

from enum import Enum, auto


class Kind(Enum):
    """Everything that can end a request without an upstream's answer."""

    # the client's bytes
    BAD_REQUEST = auto()
    URI_TOO_LONG = auto()
    HEADERS_TOO_LARGE = auto()
    NOT_IMPLEMENTED = auto()
    VERSION_NOT_SUPPORTED = auto()
    EXPECTATION_FAILED = auto()
    REQUEST_TIMEOUT = auto()
    DOWNSTREAM_CLOSED = auto()
    # the decision
    NO_ROUTE = auto()
    NO_CLUSTER = auto()
    NO_ENDPOINT = auto()
    # the upstream
    CONNECT_FAILURE = auto()
    CONNECT_TIMEOUT = auto()
    OVERFLOW = auto()
    UPSTREAM_CLOSED = auto()
    UPSTREAM_PROTOCOL = auto()
    RESPONSE_TIMEOUT = auto()
    PER_TRY_TIMEOUT = auto()
    STREAM_IDLE = auto()
    # ours
    OVERLOADED = auto()
    INTERNAL = auto()


class Side(Enum):
    """Whose doing it was."""

    DOWNSTREAM = auto()
    UPSTREAM = auto()
    LOCAL = auto()


class Retry(Enum):
    """What trying again may assume: nothing was sent, something may have been, or it makes no sense."""

    SAFE = auto()
    IF_IDEMPOTENT = auto()
    NEVER = auto()


class ProxyError(Exception):
    """Raised by codecs and upstreams, caught at one point of the exchange."""

    def __init__(self, kind: Kind, side: Side, cause: str, retry: Retry = Retry.NEVER) -> None:
        super().__init__(cause)
        self.kind = kind
        self.side = side
        self.cause = cause
        self.retry = retry
