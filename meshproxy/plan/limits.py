"""How much of a cluster may be used at once: connectionPool and retryBudget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: no limit. All count for the whole cluster, over all workers."""

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """So many retries at once as `percent` of the requests in flight, `minimum` at least. With a `window` (seconds)
    the requests of that time count too."""

    percent: float = 20.0
    minimum: int = 3
    window: float = 0.0

    def allowed(self, requests: int) -> int:
        return max(self.minimum, int(requests * self.percent / 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """TCP keep-alive; None: the system's. Times in seconds."""

    probes: int | None = None
    time: int | None = None
    interval: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPolicy:
    """Of each connection. `requests` 0: any number; `duration` in seconds, None: for ever."""

    requests: int = 0
    duration: float | None = None
    keepalive: Keepalive | None = None
