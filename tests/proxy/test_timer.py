"""Alarms: once, never early, and not at all when cancelled, not even by one that is due with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from meshproxy.base import clock
from meshproxy.proxy.timer import Timer


class Loop:
    """Of a loop, what a timer asks."""

    def __init__(self) -> None:
        self.now = 100.0
        self.handles: list[Handle] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        self.handles.append(Handle(self.now + delay, callback))
        return self.handles[-1]

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := min((h for h in self.handles if not h.gone), key=lambda h: h.when, default=None)) is not None:
            if due.when > end:
                break
            self.now, due.gone = max(self.now, due.when), True
            due.callback()
        self.now = end


class Handle:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when, self.callback, self.gone = when, callback, False

    def cancel(self) -> None:
        self.gone = True


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(clock, "monotonic", lambda: loop.now)
    return loop


def timer_of(loop: Loop) -> Timer:
    asked: asyncio.AbstractEventLoop = loop  # type: ignore[assignment]
    return Timer(asked)


def test_alarms_ring_once_in_their_order_and_not_early(loop: Loop) -> None:
    timer, rung = timer_of(loop), []
    for seconds in (3.0, 0.5, 1.25, 0.5, 0.0):
        timer.after(seconds, lambda seconds=seconds: rung.append((seconds, loop.now)))
    loop.wait(10)
    assert [seconds for seconds, _ in rung] == [0.0, 0.5, 0.5, 1.25, 3.0]
    assert all(100 + seconds <= at <= 100 + seconds + 0.02 for seconds, at in rung)


def test_a_cancelled_alarm_is_silent(loop: Loop) -> None:
    timer, rung = timer_of(loop), []
    alarm = timer.after(1.0, lambda: rung.append(1))
    alarm.cancel()
    alarm.cancel()
    loop.wait(5)
    assert rung == []


def test_an_alarm_cancelled_by_another_that_is_due_with_it_is_silent(loop: Loop) -> None:
    timer, rung = timer_of(loop), []
    alarms = [timer.after(1.0, lambda number=number: ring(number)) for number in range(10)]

    def ring(number: int) -> None:
        rung.append(number)
        for alarm in alarms:
            alarm.cancel()

    loop.wait(5)
    assert len(rung) == 1


def test_an_alarm_may_set_the_next(loop: Loop) -> None:
    timer, rung = timer_of(loop), []

    def ring() -> None:
        rung.append(loop.now)
        if len(rung) < 3:
            timer.after(1.0, ring)

    ring()
    loop.wait(5)
    assert len(rung) == 3


def test_a_nearer_alarm_is_not_late_behind_a_farther_one(loop: Loop) -> None:
    timer, rung = timer_of(loop), []
    timer.after(5.0, lambda: rung.append("far"))
    timer.after(1.0, lambda: rung.append("near"))
    loop.wait(2)
    assert rung == ["near"]
    assert sum(not handle.gone for handle in loop.handles) == 1
