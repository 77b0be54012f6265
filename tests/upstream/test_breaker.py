"""Circuit breakers: counts that all workers share, limits, the retry budget."""

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.limits import Limits, RetryBudget
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.breaker import Breaker, Window


def breaker(stats=None, budget=None, **limits):
    return Breaker(stats or Stats.create(1), "c", Limits(**limits), budget)


def test_a_resource_is_full_at_its_limit_and_free_below():
    requests = breaker(requests=2).requests
    requests.take()
    assert not requests.full()
    requests.take()
    assert requests.full()
    requests.give()
    assert not requests.full()


def test_without_a_limit_nothing_is_ever_full():
    pending = breaker().pending
    for _ in range(1000):
        pending.take()
    assert not pending.full()
    assert pending.in_use() == 1000


def test_a_limit_holds_over_all_workers():
    first = Stats.create(2)
    second = Stats.attach(first.fd, 1)
    ours, theirs = breaker(first, connections=3), breaker(second, connections=3)
    ours.connections.take()
    theirs.connections.take()
    assert not ours.connections.full()
    theirs.connections.take()
    assert ours.connections.full()
    assert theirs.connections.full()


def test_what_a_lost_worker_held_is_free_for_its_successor():
    first = Stats.create(2)
    lost = breaker(Stats.attach(first.fd, 1), requests=1)
    lost.requests.take()
    Stats.attach(first.fd, 1)
    assert not breaker(first, requests=1).requests.full()


@given(st.integers(0, 500), st.floats(0, 100), st.integers(0, 10))
def test_a_budget_allows_a_percentage_and_never_less_than_its_minimum(requests, percent, minimum):
    budget = RetryBudget(percent=percent, minimum=minimum)
    assert budget.allowed(requests) >= minimum
    assert budget.allowed(requests) <= max(minimum, requests)


def test_the_budget_takes_the_place_of_the_limit():
    subject = breaker(retries=0, budget=RetryBudget(percent=50, minimum=1))
    assert subject.may_retry(0.0)
    subject.retries.take()
    assert not subject.may_retry(0.0)
    for _ in range(4):
        subject.begin(0.0)
    assert subject.may_retry(0.0)


def test_a_budget_with_a_window_remembers_requests_that_have_ended():
    subject = breaker(budget=RetryBudget(percent=50, minimum=1, window=10))
    for _ in range(4):
        subject.begin(100.0)
        subject.requests.give()
    subject.retries.take()
    assert subject.may_retry(101.0)
    assert not subject.may_retry(200.0)


@given(st.lists(st.floats(0, 50), max_size=50), st.floats(0.5, 10))
def test_a_window_never_counts_more_than_there_were(times, seconds):
    window = Window(seconds)
    for now in sorted(times):
        window.add(now)
    now = max(times, default=0)
    assert sum(time > now - seconds for time in times) // 2 <= window.count(now) <= len(times)
