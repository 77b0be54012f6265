"""Which endpoint is picked: exact distributions, not statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.cluster import Balancer, Endpoint
from meshproxy.upstream.balancers import LeastRequest, Random, RoundRobin, Scheduled, picker
from meshproxy.upstream.endpoint import LiveEndpoint

DRAW = st.floats(0, 1, exclude_max=True)


def endpoints(*weights: int) -> list[LiveEndpoint]:
    return [
        LiveEndpoint(Endpoint(address="10.0.0.1", port=port, weight=weight)) for port, weight in enumerate(weights, 1)
    ]


def drawn(*values: float) -> Callable[[], float]:
    return iter(values).__next__


@given(st.integers(1, 20), st.integers(1, 200))
def test_random_is_uniform_over_the_draws(count: int, rounds: int) -> None:
    total = count * rounds
    picks = Random(endpoints(*[1] * count), drawn(*((n + 0.5) / total for n in range(total))))
    assert Counter(id(picks.pick()) for _ in range(total)).most_common()[-1][1] == rounds


@given(st.integers(2, 12), st.data())
def test_least_request_never_picks_the_busier_of_the_two_drawn(count: int, data: st.DataObject) -> None:
    all_of_them = endpoints(*[1] * count)
    for endpoint in all_of_them:
        endpoint.active = data.draw(st.integers(0, 5))
    first, second = data.draw(DRAW), data.draw(DRAW)
    picked = LeastRequest(all_of_them, drawn(first, second)).pick()
    choices = [all_of_them[int(first * count)], all_of_them[int(second * count)]]
    assert picked in choices
    assert picked.active == min(choice.active for choice in choices)
    if choices[0].active == choices[1].active:
        assert picked is choices[0]


@given(st.integers(2, 8))
def test_least_request_over_all_pairs_of_draws_prefers_by_rank(count: int) -> None:
    """The r-th busiest of n is picked in (2r - 1) of n² cases, when all differ."""
    all_of_them = endpoints(*[1] * count)
    for rank, endpoint in enumerate(all_of_them):
        endpoint.active = rank
    draws = [(n + 0.5) / count for n in range(count)]
    picks = LeastRequest(all_of_them, drawn(*(draw for a in draws for b in draws for draw in (a, b))))
    counts = Counter(picks.pick().port for _ in range(count * count))
    assert counts == {endpoint.port: 2 * (count - endpoint.active) - 1 for endpoint in all_of_them}


@given(st.integers(1, 20), DRAW, st.integers(1, 5))
def test_round_robin_takes_everybody_in_turn(count: int, start: float, rounds: int) -> None:
    picks = RoundRobin(endpoints(*[1] * count), drawn(start))
    ports = [picks.pick().port for _ in range(count * rounds)]
    first = int(start * count)
    assert ports == [(first + n) % count + 1 for n in range(count * rounds)]


@given(st.lists(st.integers(1, 100), min_size=2, max_size=6), st.data())
def test_a_schedule_keeps_every_weight_at_any_time(weights: list[int], data: st.DataObject) -> None:
    """After n picks each endpoint has had its share of n, but for one pick, and one for each other's beginning."""
    draws = [data.draw(DRAW) for _ in weights]
    picks = Scheduled(endpoints(*weights), drawn(*draws))
    counts: Counter[int] = Counter()
    total, size = sum(weights), len(weights)
    for number in range(1, 2 * total + 1):
        counts[picks.pick().port] += 1
        if number % 7 == 0 or number == 2 * total:
            for port, weight in enumerate(weights, 1):
                assert abs(counts[port] - number * weight / total) <= 1 + size * weight / total + 1e-6


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_a_schedule_that_begins_with_everybody_is_exact_over_a_period(weights: list[int]) -> None:
    picks = Scheduled(endpoints(*weights), lambda: 0.5)
    ports = [picks.pick().port for _ in range(3 * sum(weights))]
    period = sum(weights)
    for number in range(3):
        counts = Counter(ports[number * period : (number + 1) * period])
        for port, weight in enumerate(weights, 1):
            assert abs(counts[port] - weight) <= 1


def test_a_load_aware_schedule_passes_the_busy_over() -> None:
    idle, busy = endpoints(2, 2)
    idle.weight, busy.weight = 2, 2
    busy.active = 9
    picks = Scheduled([idle, busy], lambda: 0.5, load_aware=True)
    counts = Counter(picks.pick().port for _ in range(110))
    assert abs(counts[idle.port] - 100) <= 1


@pytest.mark.parametrize(
    ("balancer", "weights", "kind"),
    [
        (Balancer.RANDOM, (1, 2), Random),
        (Balancer.ROUND_ROBIN, (2, 2), RoundRobin),
        (Balancer.ROUND_ROBIN, (1, 2), Scheduled),
        (Balancer.LEAST_REQUEST, (3, 3), LeastRequest),
        (Balancer.LEAST_REQUEST, (1, 3), Scheduled),
    ],
)
def test_equal_weights_need_no_schedule(balancer: Balancer, weights: tuple[int, ...], kind: type) -> None:
    assert isinstance(picker(balancer, endpoints(*weights), lambda: 0.0), kind)


def test_nobody_is_no_picker_and_one_is_always_picked() -> None:
    assert picker(Balancer.RANDOM, []) is None
    (only,) = endpoints(5)
    single = picker(Balancer.LEAST_REQUEST, [only])
    assert single is not None
    assert single.pick() is only
