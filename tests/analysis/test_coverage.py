"""Rules that can never be reached: against brute force over all requests of a small world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.analysis.coverage import URI, Block, Coverage, Literal, Subject
from meshproxy.analysis.patterns import read_pattern
from meshproxy.analysis.values import ANYTHING, Starts, Values, one

HEADER, QUERY, METHOD = Subject("header", "x"), Subject("query", "q"), Subject("method")
PATHS = [b"/" + bytes(letters) for length in range(4) for letters in product(b"ab/~", repeat=length)]
VALUES = [b"a", b"ab", b"b", b"a~", b"ab~", b"b~", b"~", b""]
LINES = [lines for count in range(6) for lines in combinations(VALUES, count)]
WORLD: dict[Subject, Sequence[tuple[bytes, ...]]] = {
    URI: [(path,) for path in PATHS],
    HEADER: LINES,
    QUERY: [(), *((value,) for value in VALUES)],
    METHOD: [(b"GET",), (b"POST",), (b"X",)],
}


def holds(literal: Literal, values: tuple[bytes, ...]) -> bool:
    return any(map(literal.values.holds, values)) is literal.positive


def requests(blocks: list[Block]) -> Iterator[set[Literal]]:
    """Every request of the world, as the literals that hold for it; those alike are one."""
    literals = {literal for block in blocks for literal in block.literals}
    kinds = []
    for subject, world in WORLD.items():
        own = [literal for literal in literals if literal.subject == subject]
        kinds.append({frozenset(lit for lit in own if holds(lit, values)) for values in world})
    return (set().union(*parts) for parts in product(*kinds))


def starts(text: bytes) -> Starts:
    return Starts(text, len(text))


def pattern(text: str) -> Values:
    read = read_pattern(text)
    assert read is not None
    return read


paths = st.sampled_from([one(b"/a"), one(b"/ab"), one(b"/a/b"), *map(starts, (b"/", b"/a", b"/ab", b"/b", b"/a/"))])
texts = st.sampled_from([one(b"a"), one(b"ab"), one(b"b"), starts(b"a"), starts(b"ab"), ANYTHING])
regexes = st.sampled_from([*map(pattern, ("/a.*", "/(a|b)", "/[ab]", "/a+", "/a/?b?", ".*", "/ab?", "/(a|ab)"))])
methods = st.sampled_from([one(b"GET"), one(b"POST")])


def literals(path_values: st.SearchStrategy[Values]) -> st.SearchStrategy[tuple[Literal, ...]]:
    optional = st.one_of(st.none(), path_values).map(lambda v: [] if v is None else [Literal(URI, v)])
    rest = st.lists(
        st.one_of(
            st.builds(Literal, st.just(HEADER), texts, st.booleans()),
            st.builds(Literal, st.just(QUERY), texts, st.booleans()),
            st.builds(Literal, st.just(METHOD), methods, st.booleans()),
        ),
        max_size=2,
        unique_by=lambda lit: lit.subject,
    )
    return st.builds(lambda first, others: tuple(first + others), optional, rest)


def tables(path_values: st.SearchStrategy[Values]) -> st.SearchStrategy[list[Block]]:
    return st.lists(literals(path_values), min_size=2, max_size=5).map(
        lambda rows: [Block(index, 0, row) for index, row in enumerate(rows)]
    )


def found_and_true(blocks: list[Block]) -> tuple[set[int], set[int]]:
    coverage = Coverage({METHOD: Starts(b"", 1)})
    found = set()
    for block in blocks:
        if coverage.check(block) is not None:
            found.add(block.rule)
        coverage.add(block)
    reached = set()
    for request in requests(blocks):
        first = next((b.rule for b in blocks if request.issuperset(b.literals)), None)
        reached.add(first)
    return found, {block.rule for block in blocks} - reached


@settings(max_examples=150, deadline=None)
@given(tables(paths))
def test_found_unreachable_is_exactly_what_brute_force_never_reaches(blocks: list[Block]) -> None:
    found, true = found_and_true(blocks)
    assert found == true


@settings(max_examples=100, deadline=None)
@given(tables(st.one_of(paths, regexes)))
def test_found_with_regexes_is_exactly_what_brute_force_never_reaches(blocks: list[Block]) -> None:
    found, true = found_and_true(blocks)
    assert found == true


def check(*rows: tuple[Literal, ...]) -> list[tuple[int, list[int], str]]:
    coverage = Coverage({})
    found = []
    for index, row in enumerate(rows):
        block = Block(index, 0, row)
        if covered := coverage.check(block):
            found.append((index, [b.rule for b in covered.by], covered.witness))
        coverage.add(block)
    return found


def test_a_prefix_covers_exact_and_regex_paths_below_it() -> None:
    rows = [starts(b"/api"), one(b"/api/x"), pattern("/api/v[0-9]+"), pattern("/v[0-9]+")]
    found = check(*[(Literal(URI, values),) for values in rows])
    assert [(index, by) for index, by, _ in found] == [(1, [0]), (2, [0])]


def test_present_and_absent_together_cover_everything() -> None:
    found = check((Literal(HEADER, ANYTHING),), (Literal(HEADER, ANYTHING, False),), (Literal(URI, starts(b"/a")),))
    assert found == [(2, [0, 1], "GET /a")]


def test_the_witness_is_a_request_the_rule_would_have_taken() -> None:
    found = check((Literal(URI, starts(b"/a")),), (Literal(URI, one(b"/ab")), Literal(HEADER, one(b"b"))))
    assert found == [(1, [0], "GET /ab with x: b")]


def test_the_same_regex_covers_itself() -> None:
    same = Literal(URI, pattern("/v[0-9]+"))
    assert check((same,), (same, Literal(HEADER, one(b"a")))) == [(1, [0], "GET /v0 with x: a")]


def test_what_is_not_understood_covers_itself_and_nothing_else() -> None:
    same, other = Literal(URI, pattern(r"/\bv[0-9]")), Literal(URI, pattern(r"/\bv[1-2]"))
    assert check((same,), (other,), (same, Literal(HEADER, one(b"a")))) == [(2, [0], "")]


def test_a_narrower_condition_covers_nothing_wider() -> None:
    assert check((Literal(URI, one(b"/a")), Literal(HEADER, one(b"a"))), (Literal(URI, one(b"/a")),)) == []


def test_a_block_that_contradicts_itself_is_covered_by_none() -> None:
    assert check((Literal(HEADER, one(b"a")), Literal(HEADER, starts(b"a"), False))) == [(0, [], "")]


def test_ten_thousand_paths_are_searched_by_index() -> None:
    rows = [(Literal(URI, one(b"/%d" % n)),) for n in range(10_000)]
    assert check(*rows, (Literal(URI, starts(b"/")),)) == []
