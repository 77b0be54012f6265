"""Regexes read as machines: against RE2 itself, on every word of a small world."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.analysis.automaton import Undecided, beginning, shortest, words
from meshproxy.analysis.re2_syntax import machine_of
from meshproxy.plan.regex import Regex

LETTERS = "aAbK1-\u212aé"
WORDS = ["".join(letters) for length in range(4) for letters in product(LETTERS, repeat=length)]

atoms = st.sampled_from(
    [
        *"abK1.-é",
        *(r"\d", r"\w", r"\W", r"\D", r"\S", r"\-", r"\x61", r"\x{e9}", r"[aA]", r"[^a]", r"[a-z]", r"[^\d-]", r"[]a]"),
        *(
            r"[[:upper:]b]",
            r"[^[:^alpha:]]",
            "^",
            "$",
            r"\A",
            r"\z",
            "()",
            "(?i)",
            "(?-i)",
            "(?s)",
            "(?si-s:a.)",
            "(?i:a)",
            "[k-l]",
            "[^K]",
        ),
    ]
)
quantifiers = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{,2}"])
patterns = st.recursive(
    st.builds(lambda atom, often: atom + often, atoms, quantifiers),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds(
            lambda group, body, often: f"({group}{body}){often}",
            st.sampled_from(["", "?:", "?i:", "?P<n>"]),
            inner,
            quantifiers,
        ),
    ),
    max_leaves=5,
)


def accepted(pattern: str) -> set[str] | None:
    machine = machine_of(pattern.encode())
    if machine is None:
        return None
    found = set()
    for word in WORDS:
        states = machine.begun()
        for character in word:
            states = machine.step(states, ord(character))
        if machine.accepts(states, empty=not word):
            found.add(word)
    return found


@settings(max_examples=150)
@given(patterns)
def test_a_machine_accepts_what_re2_matches(pattern: str) -> None:
    try:
        regex = Regex(pattern.encode())
    except ValueError:
        return
    found = accepted(pattern)
    assert found is not None or "(?" in pattern
    if found is not None:
        assert found == {word for word in WORDS if regex.matches(word.encode())}


@settings(max_examples=100)
@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=3))
def test_the_shortest_word_is_one_and_none_is_given_where_there_is_one(wanted: list[str], unwanted: list[str]) -> None:
    try:
        regexes = [[Regex(pattern.encode()) for pattern in each] for each in (wanted, unwanted)]
    except ValueError:
        return
    machines = [[machine_of(regex.pattern) for regex in each] for each in regexes]
    if any(machine is None for each in machines for machine in each):
        return

    def fits(word: bytes) -> bool:
        return all(r.matches(word) for r in regexes[0]) and not any(r.matches(word) for r in regexes[1])

    try:
        found = shortest(*machines)  # type: ignore[arg-type]
    except Undecided:
        return
    if found is not None:
        assert fits(found.encode())
    assert all(found is not None and len(found) <= len(word) for word in WORDS if fits(word.encode()))


@pytest.mark.parametrize(
    "pattern", [r"\bword\b", r"\pL", r"(?m)^a$", r"(?U)a+", r"\Qa.b\E", "(?i)é", "a{900}|b{900}|c{900}"]
)
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    assert Regex(pattern.encode()) is not None
    assert machine_of(pattern.encode()) is None


def test_a_prefix_and_words_may_be_folded() -> None:
    assert shortest([beginning("/a", 1, fold=True)], [beginning("/a"), words(["/Ax"], fold=True)]) == "/Aa"
    assert shortest([words(["/a"], fold=True)], [words(["/a"]), words(["/A"])]) is None


def test_a_walk_that_takes_too_long_is_given_up() -> None:
    machines = [machine_of(pattern) for pattern in (b"(a|b)*a(a|b){14}", b"[ab]*a[ab]{14}")]
    assert machines[0] is not None and machines[1] is not None
    with pytest.raises(Undecided):
        shortest(machines[:1], machines[1:])  # type: ignore[arg-type]
