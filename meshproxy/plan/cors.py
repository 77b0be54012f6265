"""Cross-origin resource sharing, as Envoy's CORS filter answers it."""

from __future__ import annotations

from dataclasses import dataclass

from meshproxy.base.message import Request
from meshproxy.plan.match import ValueMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Lists are joined already; `b"*"` in methods or headers echoes what was asked. `max_age` in seconds."""

    origins: tuple[ValueMatch, ...]
    methods: bytes = b""
    headers: bytes = b""
    expose_headers: bytes = b""
    max_age: int | None = None
    credentials: bool = False
    forward_unmatched_preflights: bool = True

    def allows(self, origin: bytes) -> bool:
        """An entry that accepts `*` accepts every origin (Envoy: `CorsFilter::isOriginAllowed`)."""
        return any(match.matches(b"*") or match.matches(origin) for match in self.origins)

    def answers(self, request: Request) -> bool:
        """Whether this is a preflight that goes no further: of an allowed origin, or where others are not passed on."""
        origins, asked = request.values(b"origin"), request.values(b"access-control-request-method")
        if request.method != b"OPTIONS" or not (origins and origins[0] and asked and asked[0]):
            return False
        return self.allows(origins[0]) or not self.forward_unmatched_preflights
