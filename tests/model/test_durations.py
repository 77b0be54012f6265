"""Durations: Go's spelling and proto JSON's, to the seconds a float can hold."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.model.durations import parse_duration

UNITS = {"h": 3600, "m": 60, "s": 1, "ms": Decimal("0.001"), "us": Decimal("0.000001"), "ns": Decimal("0.000000001")}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("1h30m", 5400.0),
        ("0.5h", 1800.0),
        ("0s", 0.0),
        ("0", 0.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-1s", -1.0),
        ("+1s", 1.0),
        ("10µs", 1e-5),
        ("1m1s1ms", 61.001),
    ],
)
def test_durations_are_read_as_go_reads_them(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "1", "s", ".s", "1 s", "1d", "1S", "1,5s", "--1s", "1s-1s", "1e3s", "٣s", "300000000h"]
)
def test_other_words_are_no_durations(written: str) -> None:
    assert parse_duration(written) is None


@given(st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    written = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(written) == float(sum((number * Decimal(UNITS[unit]) for number, unit in parts), Decimal()))
