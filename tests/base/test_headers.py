"""Fields, lists, and a message's values by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.headers import first, listed, values
from meshproxy.base.message import Request

NAME = st.sampled_from([b"a", b"A", b"b", b"X-Y", b"x-y"])
FIELDS = st.lists(st.tuples(NAME, st.sampled_from([b"", b"1", b" 2 ", b"3\t"])), max_size=8)


@given(FIELDS, st.sampled_from([b"a", b"b", b"x-y", b"absent"]))
def test_values_are_those_of_the_name_in_any_case_and_in_order(fields: list[tuple[bytes, bytes]], name: bytes) -> None:
    expected = [value for key, value in fields if key.lower() == name]
    assert values(fields, name) == expected
    assert first(fields, name) == (expected[0] if expected else None)
    request = Request(b"GET", b"/", None, b"h", fields)
    assert request.values(name) == [value.strip(b" \t") for value in expected]
    assert request.values(name) == request.values(name)


@given(st.lists(st.sampled_from([b"a", b"Bc", b"", b"d"]), max_size=6), st.sampled_from([b",", b" ,\t", b", "]))
def test_a_list_has_its_members_in_lower_case_without_the_empty_ones(members: list[bytes], comma: bytes) -> None:
    assert listed(comma.join(members)) == [member.lower() for member in members if member]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"host", b"Reviews"),
        (b":authority", b"Reviews"),
        (b":method", b"PUT"),
        (b":scheme", b"http"),
        (b":path", b"/a?b=c"),
    ],
)
def test_pseudo_headers_are_answered(name: bytes, expected: bytes) -> None:
    assert Request(b"PUT", b"/a", b"b=c", b"Reviews", []).values(name) == [expected]


def test_a_query_that_is_empty_is_not_one_that_is_absent() -> None:
    assert Request(b"GET", b"/a", b"", b"h", []).target == b"/a?"
    assert Request(b"GET", b"/a", None, b"h", []).target == b"/a"


def test_managed_fields_are_values_too() -> None:
    request = Request(b"GET", b"/", None, b"h", [])
    request.managed = {b"x-request-id": [b"1"]}
    assert request.values(b"x-request-id") == [b"1"]
    assert Request(b"GET", b"/", None, b"h", []).values(b"x-request-id") == []
