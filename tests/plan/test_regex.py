"""RE2: whole-value matches, GlobalReplace, and many patterns at once."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.regex import Regex, RegexSet

PATTERNS = [rb"a*", rb"[ab]+", rb"", rb".*", rb"(a)(b)?", rb"/x/[0-9]+", rb"(?i)AB", rb"b$"]
VALUES = st.text(alphabet="ab/x1é\n", max_size=8).map(str.encode)


@pytest.mark.parametrize("pattern", [rb"(?=a)", rb"(a)\1", rb"*", rb"[", rb"a{1001}"])
def test_what_re2_refuses_is_a_value_error(pattern):
    with pytest.raises(ValueError):
        Regex(pattern)
    with pytest.raises(ValueError):
        RegexSet([b"a", pattern])


def test_the_whole_value_must_match():
    assert Regex(b"a+").matches(b"aa")
    assert not Regex(b"a+").matches(b"aab")
    assert not Regex(b"a|ab").matches(b"abc")


def test_digits_are_ascii_and_a_dot_is_no_newline():
    assert not Regex(rb"\d").matches("٣".encode())
    assert not Regex(b"a.b").matches(b"a\nb")


@pytest.mark.parametrize(
    ("pattern", "rewrite", "value", "expected"),
    [
        (rb"a*", b"x", b"baac", b"xbxcx"),
        (rb"", b"-", b"ab", b"-a-b-"),
        (rb"", b"-", "aé".encode(), "-a-é-".encode()),
        (rb"", b"-", b"\xff\xc3", b"-\xff-\xc3-"),
        (rb"a", b"", b"banana", b"bnn"),
        (rb"^/(\w+)/(\w+)", rb"/\2/\1", b"/a/b/c", b"/b/a/c"),
        (rb"b", rb"[\0]", b"abba", b"a[b][b]a"),
        (rb"b", rb"\\", b"ab", b"a\\"),
        (rb"(a)|(b)", rb"<\2>", b"ab", b"<><b>"),
        (rb"x", b"y", b"abc", b"abc"),
    ],
)
def test_substitution_is_re2_global_replace(pattern, rewrite, value, expected):
    assert Regex(pattern).substitute(value, rewrite) == expected


@given(st.lists(st.sampled_from(PATTERNS), max_size=8), VALUES)
def test_a_set_finds_what_each_pattern_matches(patterns, value):
    expected = [index for index, pattern in enumerate(patterns) if Regex(pattern).matches(value)]
    assert RegexSet(patterns).matching(value) == expected


def test_a_set_that_exceeds_re2s_memory_is_split_and_still_right():
    patterns = [b"/api/v[0-9]+/.{1,200}/items%d/[^/]{1,100}" % i for i in range(300)]
    assert RegexSet(patterns).matching(b"/api/v1/abc/items288/xyz") == [288]


def test_bytes_that_are_no_utf8_do_not_break_a_set():
    assert RegexSet([rb"a\C", b"a"]).matching(b"a\xff") == [0]


def test_patterns_and_sets_pickle():
    regex, many = pickle.loads(pickle.dumps((Regex(b"a+"), RegexSet([b"a+", b"b"]))))
    assert regex == Regex(b"a+") and hash(regex) == hash(Regex(b"a+"))
    assert many.matching(b"b") == [1]
