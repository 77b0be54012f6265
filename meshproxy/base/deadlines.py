"""Many deadlines, one timer: owners in buckets of 10 ms. A machine: who owns the loop asks `next_due` and calls
`expire`. Adding and taking away cost a set operation each, so that a request with a time-out pays for no timer.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol

TICK = 0.01


class Owner(Protocol):
    """Who is told, by identity; hashable."""

    def on_deadline(self) -> None: ...


class Deadlines:
    """`when` is in seconds on the monotonic clock."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Owner]] = {}
        self._order: list[int] = []

    def add(self, owner: Owner, when: float) -> int:
        """The token to `discard` it by. It is due at `when`, rounded up to the next tick."""
        tick = int(when / TICK) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            heappush(self._order, tick)
        bucket.add(owner)
        return tick

    def discard(self, owner: Owner, token: int) -> None:
        """Forgets a deadline; one that has passed is no error."""
        bucket = self._buckets.get(token)
        if bucket is not None:
            bucket.discard(owner)

    def next_due(self) -> float | None:
        """When `expire` is to be called next; None: nothing to wait for."""
        return self._order[0] * TICK if self._order else None

    def expire(self, now: float) -> list[Owner]:
        """Those whose time has come, taken out."""
        due: list[Owner] = []
        limit = now / TICK
        while self._order and self._order[0] <= limit:
            due.extend(self._buckets.pop(heappop(self._order)))
        return due
