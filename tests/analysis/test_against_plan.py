"""Rules never reached: what `check` says, against the compiled plan asked with every request of a small world."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.analysis.run import check
from meshproxy.base.message import Request
from meshproxy.compiler.build import BuildOptions, build_snapshot
from meshproxy.model.catalog import Source, read_catalog

PATHS = [b"/", b"/a", b"/A", b"/ab", b"/Ab", b"/aB", b"/b", b"/a~", b"/A~", b"/ab~", b"/aB~", b"/b~", b"/~", b"/a/b"]
VALUES = [b"a", b"ab", b"b", b"a~", b"ab~", b"~", b""]
HEADERS = [[(b"x", value) for value in lines] for count in range(3) for lines in combinations(VALUES, count)]
QUERIES = [None, *(b"q=" + value for value in VALUES)]
METHODS = [b"GET", b"POST", b"PUT", b"DELETE"]
DESTINATION = [{"destination": {"host": "a.com"}}]

uris = st.sampled_from(
    [{"exact": "/a"}, {"exact": "/ab"}, {"prefix": "/"}, {"prefix": "/a"}, {"prefix": "/ab"}, {"exact": "/a/b"}]
)
regexes = st.sampled_from(
    [{"regex": text} for text in (".*", "/a.*", "/a|/ab", "/[ab]", "/(a|b)", "/a+", "/ab?", "(?i)/a", "/.+", "^/a$")]
)
texts = st.sampled_from([{"exact": "a"}, {"exact": "ab"}, {"prefix": "a"}, {"prefix": "ab"}, {"exact": ""}, {}])
METHOD_MATCHES = st.sampled_from([{"exact": "GET"}, {"exact": "POST"}, {"prefix": "P"}])


def matches(uri: st.SearchStrategy[dict[str, str]], *, any_case: bool) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "uri": uri,
        "headers": texts.map(lambda match: {"x": match}),
        "withoutHeaders": texts.map(lambda match: {"X": match}),
        "queryParams": texts.map(lambda match: {"q": match}),
        "method": METHOD_MATCHES,
    }
    if any_case:
        optional["ignoreUriCase"] = st.booleans()
    return st.fixed_dictionaries({}, optional=optional).filter(lambda match: len(match) <= 3)


def tables(match: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.lists(match, max_size=2).map(lambda found: {"match": found} if found else {})
    return st.lists(rule, min_size=2, max_size=4)


def said_and_true(rules: list[dict[str, Any]]) -> tuple[set[int | None], set[int]]:
    """The rules that are said never to be reached, and those that no request reaches."""
    spec = {"hosts": ["a.com"], "http": [{**rule, "route": DESTINATION} for rule in rules]}
    written = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    catalog, _ = read_catalog([Source("a.yaml", yaml.safe_dump(written).encode())])
    problems = check(catalog)
    said = {p.origin.rule for p in problems if p.code in ("IST0130", "MPX0101")}
    impossible = [p.origin.rule for p in problems if p.code == "MPX0103"]
    said |= {index for index, rule in enumerate(rules) if impossible.count(index) == len(rule.get("match", "-"))}
    snapshot, _ = build_snapshot(catalog, BuildOptions())
    host = snapshot.listeners[0].virtual_hosts.find(b"a.com")
    assert host is not None
    reached = set()
    for path, header, query, method in product(PATHS, HEADERS, QUERIES, METHODS):
        route = host.routes.find(Request(method, path, query, b"a.com", header))
        if route is not None and route.origin is not None:
            reached.add(route.origin.rule)
        if len(reached) == len(rules):
            break
    return said, set(range(len(rules))) - reached


@settings(max_examples=60, deadline=None)
@given(tables(matches(uris, any_case=False)))
def test_said_to_be_unreachable_is_exactly_what_no_request_reaches(rules: list[dict[str, Any]]) -> None:
    said, true = said_and_true(rules)
    assert said == true


@settings(max_examples=60, deadline=None)
@given(tables(matches(st.one_of(uris, regexes), any_case=True)))
def test_with_regexes_and_letter_case_nothing_reachable_is_said_not_to_be(rules: list[dict[str, Any]]) -> None:
    said, true = said_and_true(rules)
    assert said <= true
