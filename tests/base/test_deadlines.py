"""Deadlines against the plain model: a list of (when, owner)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.deadlines import TICK, Deadlines


class Owner:
    def on_deadline(self) -> None:
        raise AssertionError("the machine calls nobody")


WHEN = st.floats(0, 100, allow_nan=False)
OPERATION = st.one_of(
    st.tuples(st.just("add"), WHEN),
    st.tuples(st.just("discard"), st.integers(0, 50)),
    st.tuples(st.just("pass"), st.floats(0, 10, allow_nan=False)),
)


@given(st.lists(OPERATION, max_size=60))
def test_everybody_is_told_once_within_a_tick_and_never_early(operations: list[tuple[str, float]]) -> None:
    deadlines, now = Deadlines(), 0.0
    waiting: dict[Owner, tuple[float, int]] = {}
    for operation, value in operations:
        if operation == "add":
            owner = Owner()
            waiting[owner] = (now + value, deadlines.add(owner, now + value))
        elif operation == "discard" and waiting:
            owner = list(waiting)[int(value) % len(waiting)]
            deadlines.discard(owner, waiting.pop(owner)[1])
        elif operation == "pass":
            now += value
            due = deadlines.expire(now)
            assert len(due) == len(set(due))
            for owner in due:
                assert waiting.pop(owner)[0] <= now
            assert all(when > now - TICK - 1e-9 for when, _ in waiting.values())


@given(st.lists(WHEN, min_size=1, max_size=30))
def test_waiting_for_the_next_due_time_reaches_everybody_in_order(times: list[float]) -> None:
    deadlines = Deadlines()
    for when in times:
        deadlines.add(Owner(), when)
    told = 0
    while (due := deadlines.next_due()) is not None:
        assert due <= max(times) + TICK + 1e-9
        told += len(deadlines.expire(due + 1e-9))
    assert told == len(times)


def test_a_deadline_that_has_passed_is_forgotten_without_a_fault() -> None:
    deadlines, owner = Deadlines(), Owner()
    token = deadlines.add(owner, 1.0)
    assert deadlines.expire(2.0) == [owner]
    deadlines.discard(owner, token)
    assert deadlines.next_due() is None
