"""What is claimed of sets of values holds for every value tried."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.analysis.patterns import read_pattern
from meshproxy.analysis.values import ANYTHING, OneOf, Opaque, Starts, Values, disjoint, example, implies, one
from meshproxy.plan.regex import Regex

WORDS = [b"".join(parts) for length in range(4) for parts in product((b"a", b"A", b"/"), repeat=length)]
words = st.sampled_from(WORDS[:13])


@st.composite
def regexes(draw: st.DrawFn) -> Opaque | Starts | OneOf:
    pieces = st.sampled_from(["a", "A", "/", "a*", "a+", "A?", ".*", ".+", "(a|A)", "[aA]", "a|/", "^a", "/$", r"\/"])
    read = read_pattern("".join(draw(st.lists(pieces, max_size=3))))
    assert read is not None
    return read


values = st.one_of(
    st.builds(OneOf, st.frozensets(words, min_size=1, max_size=2), st.booleans()),
    st.builds(lambda w, more, fold: Starts(w, len(w) + more, fold), words, st.integers(0, 1), st.booleans()),
    regexes(),
)


@given(values, values)
def test_what_is_implied_is_held_by_every_value(inner: Values, outer: Values) -> None:
    if implies(inner, outer):
        assert all(outer.holds(word) for word in WORDS if inner.holds(word))


@given(values, values)
def test_disjoint_sets_share_no_value(left: Values, right: Values) -> None:
    if disjoint(left, right):
        assert not any(left.holds(word) and right.holds(word) for word in WORDS)


@given(st.lists(values, max_size=2), st.lists(values, max_size=3))
def test_no_example_means_that_there_is_none(wanted: list[Values], unwanted: list[Values]) -> None:
    if example(wanted, unwanted) is None:
        assert not any(
            all(w.holds(word) for w in wanted) and not any(u.holds(word) for u in unwanted) for word in WORDS
        )


plain = st.one_of(st.builds(one, words), st.builds(lambda w: Starts(w, len(w)), words))


@given(st.lists(plain, max_size=2), st.lists(plain, max_size=3))
def test_an_example_of_plain_sets_is_one(wanted: list[Values], unwanted: list[Values]) -> None:
    found = example(wanted, unwanted)
    if found is not None:
        assert all(w.holds(found) for w in wanted)
        assert not any(u.holds(found) for u in unwanted)


@given(st.text(alphabet="ab.*+?()|[]^$\\d", max_size=6))
def test_a_pattern_is_read_as_the_same_set(pattern: str) -> None:
    read = read_pattern(pattern)
    if read is None:
        return
    regex = Regex(pattern.encode())
    for letters in product("abd.|", repeat=3):
        for length in range(4):
            value = "".join(letters[:length]).encode()
            assert read.holds(value) == regex.matches(value), (pattern, value, read)
            if isinstance(read, Opaque) and read.holds(value):
                assert value.startswith(read.prefix)


def test_patterns_that_say_something_plain() -> None:
    expected: dict[str, Values] = {
        "/a": one(b"/a"),
        "^/a$": one(b"/a"),
        r"a\.b": one(b"a.b"),
        ".*": ANYTHING,
        ".+": Starts(b"", 1),
        "/api/.*": Starts(b"/api/", 5),
        "(a|b)": OneOf(frozenset((b"a", b"b"))),
        "^(jason|bob)$": OneOf(frozenset((b"jason", b"bob"))),
    }
    assert {pattern: read_pattern(pattern) for pattern in expected} == expected


def test_a_pattern_re2_refuses_is_not_read() -> None:
    assert read_pattern("*") is None
    assert read_pattern("(?=a)") is None
