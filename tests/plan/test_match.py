"""Conditions on a request head, law by law."""

import pytest

from meshproxy.base.message import Request
from meshproxy.plan.match import (
    AuthorityIs,
    Exact,
    HeaderIs,
    HeaderIsNot,
    MethodIs,
    Pattern,
    Prefix,
    Present,
    QueryIs,
    SchemeIs,
)
from meshproxy.plan.regex import Regex

ANYTHING = Pattern(Regex(b".*"))


def request(*fields, query=None, host=b"reviews:9080"):
    return Request(b"GET", b"/path", query, host, list(fields))


@pytest.mark.parametrize(
    ("match", "value", "expected"),
    [
        (Exact(b"a"), b"a", True),
        (Exact(b"a"), b"A", False),
        (Exact(b""), b"", True),
        (Prefix(b"/foo"), b"/foobar", True),
        (Prefix(b"/foo"), b"/fo", False),
        (Pattern(Regex(b"a.c")), b"abc", True),
        (Pattern(Regex(b"a.c")), b"abcd", False),
        (Present(), b"", True),
    ],
)
def test_value_matches(match, value, expected):
    assert match.matches(value) is expected


def test_header_names_are_case_insensitive_and_values_are_not():
    assert HeaderIs(b"end-user", Exact(b"jason")).holds(request((b"End-User", b"jason")))
    assert not HeaderIs(b"end-user", Exact(b"jason")).holds(request((b"End-User", b"Jason")))


@pytest.mark.parametrize("match", [Present(), Exact(b""), ANYTHING])
def test_a_missing_header_matches_no_positive_condition(match):
    assert not HeaderIs(b"h", match).holds(request())


@pytest.mark.parametrize(
    ("match", "missing", "present"),
    [
        (Present(), True, False),
        (Exact(b"x"), True, False),
        (Exact(b"y"), True, True),
        (ANYTHING, False, False),
        (Exact(b""), False, True),
    ],
)
def test_without_header_takes_a_missing_one_for_an_empty_one_unless_presence_is_asked(match, missing, present):
    condition = HeaderIsNot(b"h", match)
    assert condition.holds(request()) is missing
    assert condition.holds(request((b"h", b"x"))) is present


def test_repeated_lines_are_compared_one_by_one():
    both = request((b"h", b"a"), (b"h", b"b"))
    assert HeaderIs(b"h", Exact(b"b")).holds(both)
    assert not HeaderIs(b"h", Exact(b"a,b")).holds(both)
    assert not HeaderIsNot(b"h", Exact(b"b")).holds(both)


def test_lists_that_envoy_joins_are_compared_joined():
    both = request((b"X-Forwarded-For", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2"))
    assert HeaderIs(b"x-forwarded-for", Exact(b"1.1.1.1,2.2.2.2")).holds(both)
    assert not HeaderIs(b"x-forwarded-for", Exact(b"1.1.1.1")).holds(both)


def test_pseudo_headers_are_headers_too():
    asked = request(query=b"a=1")
    assert HeaderIs(b":path", Exact(b"/path?a=1")).holds(asked)
    assert HeaderIs(b":method", Exact(b"GET")).holds(asked)
    assert HeaderIs(b":authority", Exact(b"reviews:9080")).holds(asked)
    assert HeaderIs(b":scheme", Exact(b"http")).holds(asked)


def test_authority_is_the_host_as_sent_with_its_port():
    assert AuthorityIs(Exact(b"reviews:9080")).holds(request())
    assert not AuthorityIs(Exact(b"reviews")).holds(request())


def test_method_and_scheme_are_case_sensitive():
    assert MethodIs(Exact(b"GET")).holds(request())
    assert not MethodIs(Exact(b"get")).holds(request())
    assert SchemeIs(Exact(b"http")).holds(request())


@pytest.mark.parametrize(
    ("query", "match", "expected"),
    [
        (None, Present(), False),
        (b"", Present(), False),
        (b"a", Present(), True),
        (b"a", Exact(b""), True),
        (b"a=", Exact(b""), True),
        (b"b=1&a=2", Exact(b"2"), True),
        (b"a=1&a=2", Exact(b"2"), False),
        (b"A=1", Present(), False),
        (b"aa=1", Present(), False),
        (b"a=%31", Exact(b"1"), False),
        (b"a=1=2", Exact(b"1=2"), True),
        (b"a=12", Prefix(b"1"), True),
        (b"a=12", Pattern(Regex(b"1")), False),
    ],
)
def test_query_parameters_are_raw_and_the_first_counts(query, match, expected):
    assert QueryIs(b"a", match).holds(request(query=query)) is expected


def test_explanations_name_what_was_wanted_and_what_was_got():
    assert (
        HeaderIs(b"end-user", Exact(b"jason")).explain(request()) == 'header end-user: wanted exact "jason", got none'
    )
    shown = HeaderIs(b"end-user", Exact(b"jason")).explain(request((b"end-user", b"a"), (b"end-user", b"b")))
    assert shown == 'header end-user: wanted exact "jason", got "a", "b"'
    assert 'got "1"' in QueryIs(b"a", Exact(b"2")).explain(request(query=b"a=1"))
    assert MethodIs(Exact(b"PUT")).explain(request()) == 'method: wanted exact "PUT", got "GET"'
