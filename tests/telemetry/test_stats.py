"""Statistics in shared memory: one writer per slot, names agreed on by all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.telemetry.stats import SLOTS, Entry, Stats

_BOUNDS = (0.5, 1, 5, 10)
_CHILD = """
import sys
from itertools import pairwise
from meshproxy.telemetry.stats import Stats
stats = Stats.attach(int(sys.argv[1]), int(sys.argv[2]))
for n in range(200):
    stats.counter("c", (("n", str(n % 50)), ("who", sys.argv[2] if n % 2 else "all"))).add()
"""


def _entry(stats: Stats, name: str) -> Entry:
    return next(entry for entry in stats.entries() if entry.name == name)


def test_a_counter_is_summed_over_processes() -> None:
    one = Stats.create(3)
    other = Stats.attach(one.fd, 2)
    one.counter("c").add()
    other.counter("c").add(5)
    assert one.values(_entry(one, "c")) == (6,)
    assert other.values(_entry(other, "c")) == (6,)


def test_the_view_is_the_slot() -> None:
    stats = Stats.create(1)
    counter = stats.counter("c")
    counter.view[counter.index] += 2
    assert stats.values(_entry(stats, "c")) == (2,)


def test_same_name_and_labels_are_the_same_slot_and_others_are_not() -> None:
    stats = Stats.create(1)
    a, b = (("k", "a"),), (("k", "b"),)
    assert stats.counter("c", a).index == stats.counter("c", a).index != stats.counter("c", b).index


def test_a_successor_keeps_counters_and_zeroes_gauges() -> None:
    supervisor = Stats.create(2, worker=1)
    dead = Stats.attach(supervisor.fd, 0)
    dead.counter("c").add(7)
    dead.gauge("g").add(3)
    supervisor.gauge("g").add(1)
    successor = Stats.attach(supervisor.fd, 0)
    assert successor.values(_entry(successor, "c")) == (7,)
    assert successor.gauge("g").total() == 1


def test_a_gauge_is_read_over_all_processes() -> None:
    one = Stats.create(2)
    other = Stats.attach(one.fd, 1)
    gauge = one.gauge("g")
    gauge.set(4)
    other.gauge("g").add(-1)
    assert gauge.total() == 3


@given(st.lists(st.integers(0, 20)))
def test_a_histogram_counts_what_is_at_most_its_bound(observed: list[int]) -> None:
    stats = Stats.create(1)
    histogram = stats.histogram("h", (), _BOUNDS)
    for value in observed:
        histogram.observe(value)
    *buckets, total = stats.values(_entry(stats, "h"))
    edges = (-1, *_BOUNDS, float("inf"))
    assert buckets == [sum(low < v <= high for v in observed) for low, high in pairwise(edges)]
    assert total == sum(observed)
    os.close(stats.fd)


def test_what_finds_no_room_is_counted_nowhere_and_harms_nothing() -> None:
    stats = Stats.create(1)
    stats.counter("first").add()
    wide = tuple(float(bound) for bound in range(50))
    for number in range(SLOTS // 52 + 2):
        last = stats.histogram("h", (("n", str(number)),), wide)
    last.observe(10**6)
    stats.histogram("late", (), wide).observe(3)
    assert stats.values(_entry(stats, "first")) == (1,)
    assert all(entry.index + entry.width <= SLOTS for entry in stats.entries())
    assert "late" not in {entry.name for entry in stats.entries()}


def test_processes_that_register_at_once_agree_on_every_index() -> None:
    stats = Stats.create(4, worker=3)
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, str(stats.fd), str(worker)], pass_fds=(stats.fd,))
        for worker in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    entries = stats.entries()
    assert len({entry.index for entry in entries}) == len(entries) == 25 + 3 * 25
    counts = {entry.labels: stats.values(entry)[0] for entry in entries}
    assert all(count == (12 if dict(labels)["who"] == "all" else 4) for labels, count in counts.items())
