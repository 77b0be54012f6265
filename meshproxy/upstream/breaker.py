"""Circuit breakers: how much of a cluster is in use, over all workers, and whether more may be.

The counts are gauges in shared memory, each worker's in its own column, and are added up when a limit is asked for. As
in Envoy nothing is locked: workers that ask at the same moment may both be let through.
"""

from __future__ import annotations

from meshproxy.plan.limits import Limits, RetryBudget
from meshproxy.telemetry.stats import Counter, Gauge, Stats


class Resource:
    """One thing that is counted; `limit` None: it is only counted."""

    __slots__ = ("_gauge", "limit")

    def __init__(self, gauge: Gauge, limit: int | None = None) -> None:
        self._gauge = gauge
        self.limit = limit

    def full(self) -> bool:
        return self.limit is not None and self._gauge.total() >= self.limit

    def in_use(self) -> int:
        return self._gauge.total()

    def take(self) -> None:
        self._gauge.add(1)

    def give(self) -> None:
        self._gauge.add(-1)


class Window:
    """How many there were in about the last `seconds`: those of this span of time and, by share, of the one before."""

    __slots__ = ("_before", "_count", "_seconds", "_start")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = 0.0
        self._count = self._before = 0

    def add(self, now: float) -> None:
        self._turn(now)
        self._count += 1

    def count(self, now: float) -> int:
        self._turn(now)
        return self._count + int(self._before * (1 - (now - self._start) / self._seconds))

    def _turn(self, now: float) -> None:
        passed = now - self._start
        if passed >= self._seconds:
            self._before = self._count if passed < 2 * self._seconds else 0
            self._count = 0
            self._start = now - passed % self._seconds


class Breaker:
    """The resources of one cluster, by name; overflows are counted as Envoy does."""

    __slots__ = (
        "_budget",
        "_window",
        "connection_overflow",
        "connections",
        "pending",
        "pending_overflow",
        "requests",
        "retries",
        "retry_overflow",
    )

    def __init__(self, stats: Stats, cluster: str, limits: Limits, budget: RetryBudget | None = None) -> None:
        labels = (("cluster_name", cluster),)

        def resource(name: str, limit: int | None) -> Resource:
            return Resource(stats.gauge(f"meshproxy_cluster_upstream_{name}", labels), limit)

        def overflow(name: str) -> Counter:
            return stats.counter(f"meshproxy_cluster_upstream_{name}_total", labels)

        self.connections = resource("cx_active", limits.connections)
        self.pending = resource("rq_pending_active", limits.pending)
        self.requests = resource("rq_active", limits.requests)
        self.retries = resource("rq_retry_active", limits.retries)
        self.connection_overflow = overflow("cx_overflow")
        self.pending_overflow = overflow("rq_pending_overflow")
        self.retry_overflow = overflow("rq_retry_overflow")
        self._budget = budget
        self._window = Window(budget.window) if budget is not None and budget.window else None

    def begin(self, now: float) -> None:
        """An attempt goes to an endpoint."""
        self.requests.take()
        if self._window is not None:
            self._window.add(now)

    def may_retry(self, now: float) -> bool:
        """By the budget where there is one, else by the limit."""
        budget = self._budget
        if budget is None:
            return not self.retries.full()
        seen = self._window.count(now) if self._window is not None else 0
        in_flight = self.requests.in_use() + self.pending.in_use()
        return self.retries.in_use() < budget.allowed(max(seen, in_flight))
