"""Priorities: which share each gets, when health is ignored, and that a key keeps its place."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.upstream.locality import Levels, Localities, effective_weight, loads

COUNTS = st.lists(
    st.integers(1, 50).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), min_size=1
)


def shares(levels, panic=0):
    return [load.share for load in loads(levels, panic)]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(10, 10), (10, 10)], [100, 0]),
        ([(8, 10), (10, 10)], [100, 0]),  # 80 % × 1.4 is enough
        ([(5, 10), (10, 10)], [70, 30]),
        ([(0, 10), (10, 10)], [0, 100]),
        ([(1, 10), (1, 10)], [50, 50]),  # 14 + 14: as much to each as it can take
        ([(5, 10), (2, 10), (10, 10)], [70, 28, 2]),
        ([(0, 0), (3, 3)], [0, 100]),
        ([(1, 3)], [100]),
        ([(0, 3)], [0]),
    ],
)
def test_load_spills_over_as_health_goes_down(levels, expected):
    assert shares(levels) == expected


@given(COUNTS, st.integers(0, 100))
def test_all_of_the_load_goes_somewhere_unless_nobody_is_left(levels, panic):
    total = sum(shares(levels, panic))
    assert total == (100 if panic or any(healthy for healthy, _ in levels) else 0)


@given(COUNTS)
def test_only_healthy_endpoints_get_load_without_a_threshold(levels):
    for (healthy, _), load in zip(levels, loads(levels, 0), strict=True):
        assert not load.panic
        assert healthy or not load.share


def test_below_the_threshold_health_is_ignored():
    assert loads([(1, 3)], 50)[0].panic
    assert not loads([(2, 3)], 50)[0].panic
    assert loads([(0, 4)], 50)[0] == loads([(1, 4)], 50)[0]


def test_no_panic_while_another_priority_takes_all():
    assert [load.panic for load in loads([(1, 10), (10, 10)], 50)] == [False, False]


class Named:
    def __init__(self, name):
        self.name = name

    def choose(self, key, again):
        return self


@given(st.integers(0, (1 << 64) - 1))
def test_a_key_keeps_its_priority(key):
    levels = Levels([70, 30], [Named("a"), Named("b")], lambda: 0.0)
    assert levels.choose(key, 0).name == ("a" if key % 100 < 70 else "b")


def test_localities_get_their_weights():
    draws = iter([n / 1000 for n in range(1000)])
    localities = Localities([20, 80], [Named("a"), Named("b")], lambda: next(draws))
    found = collections.Counter(localities.choose(None, 0).name for _ in range(1000))
    assert found == {"a": 200, "b": 800}


def test_a_locality_loses_weight_only_when_it_cannot_carry_it():
    assert effective_weight(10, 10, 10) == 10
    assert effective_weight(10, 8, 10) == 10
    assert effective_weight(10, 5, 10) == pytest.approx(7)
    assert effective_weight(10, 0, 10) == 0
    assert effective_weight(10, 0, 0) == 0
