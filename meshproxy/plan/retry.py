"""When a failed attempt may be tried again, and after how long (Envoy, `common/router/retry_state_impl.cc`)."""

from __future__ import annotations

from dataclasses import dataclass, field

_BEFORE_THE_BODY = frozenset(("connect-failure", "refused-stream", "reset-before-request", "retriable-status-codes"))
"""Conditions that, without statuses, are only met before the request's body has begun to go out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`attempts` retries beyond the first try. `conditions` are Envoy's names; `statuses` what
    `retriable-status-codes` means. `base` and `maximum` bound the back-off, in seconds. `replays`: a retry may come
    after the body has begun to go out, so that it has to be kept."""

    attempts: int
    conditions: frozenset[str]
    statuses: frozenset[int] = frozenset()
    per_try_timeout: float | None = None
    base: float = 0.025
    maximum: float = 0.25
    avoid_previous_hosts: bool = True
    replays: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "replays", bool(self.statuses) or not self.conditions <= _BEFORE_THE_BODY)

    def backoff(self, retry: int, draw: float) -> float:
        """Seconds before retry number `retry` (from 1): random in [0, (2^N - 1) · base), capped."""
        return min(draw * ((1 << min(retry, 30)) - 1) * self.base, self.maximum)


DEFAULT = Retry(
    attempts=2,
    conditions=frozenset(("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")),
)
"""Istio's policy where none is written."""
