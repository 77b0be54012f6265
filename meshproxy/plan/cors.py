"""Cross-origin resource sharing, as Envoy's CORS filter answers it."""

from __future__ import annotations

from dataclasses import dataclass

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
