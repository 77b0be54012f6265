"""When a failed attempt may be tried again, and after how long (Envoy, `common/router/retry_state_impl.cc`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`attempts` retries beyond the first try. `conditions` are Envoy's names; `statuses` what
    `retriable-status-codes` means. `base` and `maximum` bound the back-off, in seconds."""

    attempts: int
    conditions: frozenset[str]
    statuses: frozenset[int] = frozenset()
    per_try_timeout: float | None = None
    base: float = 0.025
    maximum: float = 0.25
    avoid_previous_hosts: bool = True

    def backoff(self, retry: int, draw: float) -> float:
        """Seconds before retry number `retry` (from 1): random in [0, (2^N - 1) · base), capped."""
        return min(draw * ((1 << min(retry, 30)) - 1) * self.base, self.maximum)


DEFAULT = Retry(
    attempts=2,
    conditions=frozenset(("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")),
)
"""Istio's policy where none is written."""
