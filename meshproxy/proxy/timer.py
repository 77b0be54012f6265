"""Alarms for requests: like `call_later`, but many share one timer of the loop, and cancelling is a set operation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshproxy.base import clock
from meshproxy.base.deadlines import Deadlines


class Alarm:
    """Calls back once, unless cancelled before."""

    __slots__ = ("_callback", "_cancelled", "_deadlines", "_token")

    def __init__(self, deadlines: Deadlines, callback: Callable[[], None], when: float) -> None:
        self._deadlines = deadlines
        self._callback = callback
        self._cancelled = False
        self._token = deadlines.add(self, when)

    def on_deadline(self) -> None:
        if not self._cancelled:
            self._callback()

    def cancel(self) -> None:
        self._cancelled = True  # it may be among those that are due at this moment
        self._deadlines.discard(self, self._token)


class Timer:
    """One worker's alarms."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines = Deadlines()
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def after(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """To the next hundredth of a second, never early."""
        alarm = Alarm(self._deadlines, callback, clock.monotonic() + seconds)
        self._schedule()
        return alarm

    def _schedule(self) -> None:
        due = self._deadlines.next_due()
        if due is None or (self._handle is not None and self._due <= due):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        self._handle = self._loop.call_later(max(0.0, due - clock.monotonic()), self._expire)

    def _expire(self) -> None:
        self._handle = None
        for alarm in self._deadlines.expire(clock.monotonic()):
            alarm.on_deadline()
        self._schedule()
