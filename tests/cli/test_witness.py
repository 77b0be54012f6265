"""A witness reaches its route; where some request of a small world does, one is found, and so is every difference."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.base.message import Request
from meshproxy.cli.changes import changes
from meshproxy.cli.witness import witness
from meshproxy.plan.listener import Listener
from meshproxy.plan.match import AuthorityIs, Exact, HeaderIs, HeaderIsNot, MethodIs, Pattern, Prefix, Present, QueryIs
from meshproxy.plan.regex import Regex
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

ANSWER = DirectResponse(status=200)


def route(path=None, *conditions, ignore_case=False):
    return Route(name="", origin=None, action=ANSWER, path=path, conditions=conditions, ignore_case=ignore_case)


def host(*routes):
    return VirtualHost(name="h", domains=("h",), routes=RouteTable(routes))


def regex(text):
    return Pattern(Regex(text))


VALUES = st.sampled_from([Exact(b"a"), Exact(b"ab"), Prefix(b"a"), Present(), regex(b"[ab]+"), regex(b"b.*")])
CONDITIONS = st.one_of(
    VALUES.map(lambda match: HeaderIs(b"x", match)),
    VALUES.map(lambda match: HeaderIsNot(b"x", match)),
    VALUES.map(lambda match: QueryIs(b"q", match)),
    st.sampled_from([MethodIs(Exact(b"GET")), MethodIs(regex(b"P.*"))]),
)
PATHS = st.one_of(
    st.none(),
    st.sampled_from([b"/", b"/a", b"/ab"]).map(Exact),
    st.sampled_from([b"/", b"/a", b"/a/"]).map(Prefix),
    st.sampled_from([rb"/a.*", rb"/[ab]", rb"(?i)/AB?", rb"/[^a]+", rb"/a+|/b/?", rb"/(a|b)(/.*)?", rb".+b"]).map(
        regex
    ),
)
ROUTES = st.builds(
    lambda path, conditions, fold: route(path, *conditions, ignore_case=fold and path is not None),
    PATHS,
    st.lists(CONDITIONS, max_size=2),
    st.sampled_from([False, False, True]),
)

SMALL_PATHS = [b"/", b"/a", b"/A", b"/ab", b"/aB", b"/AB", b"/a/", b"/b", b"/b/", b"/a/x", b"/zz", b"/aa", b"/bb"]
SMALL_VALUES = [None, b"", b"a", b"ab", b"b", b"ba", b"bb", b"zz"]


def small_world():
    for path, header, query, method in product(SMALL_PATHS, SMALL_VALUES, SMALL_VALUES, [b"GET", b"POST", b"PUT"]):
        fields = [(b"x", header)] if header is not None else []
        yield Request(method, path, None if query is None else b"q=" + query, b"h", fields)


def reachable(table, wanted):
    return any(table.routes.find(request) is wanted for request in small_world())


def snapshot(*routes):
    hosts = VirtualHosts((host(*routes),))
    return Snapshot(listeners=(Listener(name="mesh", host="", port=0, server_port=0, virtual_hosts=hosts),))


def answer(found):
    return found.action.status if found is not None else 404


@settings(max_examples=200, deadline=None)
@given(st.lists(ROUTES, min_size=1, max_size=5))
def test_it_is_found_where_there_is_one_and_reaches_its_route(routes):
    table = host(*routes)
    for each in routes:
        found = witness(table, each, b"h")
        if found is not None:
            assert table.routes.find(found) is each
        else:
            assert not reachable(table, each)


TABLES = st.lists(
    st.builds(lambda r, status: replace(r, action=DirectResponse(status=status)), ROUTES, st.integers(200, 203)),
    max_size=4,
)


def answering(status, path):
    return replace(route(path), action=DirectResponse(status=status))


ANY_CASE = [
    answering(201, regex(rb"(?i)/AB?")),
    answering(201, Exact(b"/a")),
    answering(200, None),
    answering(200, Prefix(b"/a")),
]
"""Only `/ab` tells the rule of any case from the others: no word of the configuration."""


@settings(max_examples=300, deadline=None)
@given(TABLES.flatmap(lambda kept: st.tuples(st.just(kept), st.permutations(kept))), TABLES, st.integers(0, 4))
@example((ANY_CASE, [ANY_CASE[1], ANY_CASE[3], ANY_CASE[0], ANY_CASE[2]]), [], 0)
def test_a_difference_is_found_exactly_where_some_request_feels_one(kept, fresh, place):
    old, new = list(kept[0]), [*kept[1][:place], *fresh[:1], *kept[1][place:]]
    one, other = host(*old), host(*new)
    felt = any(answer(one.routes.find(r)) != answer(other.routes.find(r)) for r in small_world())
    found = changes(snapshot(*old), snapshot(*new))
    assert bool(found) >= felt
    for change in found:
        assert answer(one.routes.find(change.request)) != answer(other.routes.find(change.request))


@pytest.mark.parametrize(
    "pattern",
    [
        rb"/api/v[0-9]+/(foo|bar)",
        rb"/(?:a|b)?x{3}",
        rb"/[^/]+/\d\w\s?",
        rb"(?i)/Shop/.*",
        rb"/a\.b",
        rb"/.+\.(jpg|png)$",
    ],
)
def test_patterns_are_met(pattern):
    wanted = route(regex(pattern))
    assert witness(host(route(Exact(b"/x")), wanted), wanted, b"h") is not None


def test_what_earlier_routes_take_is_avoided():
    wanted = route(Prefix(b"/a"))
    first = [route(Exact(b"/a")), route(Prefix(b"/a/")), route(Prefix(b"/a"), HeaderIsNot(b"x", Present()))]
    found = witness(host(*first, wanted), wanted, b"h")
    assert found is not None
    assert found.values(b"x")


def test_what_is_shadowed_has_none():
    wanted = route(Exact(b"/a"))
    assert witness(host(route(Prefix(b"/")), wanted), wanted, b"h") is None
    assert witness(host(wanted), route(None, AuthorityIs(Exact(b"other"))), b"h") is None


def test_a_move_shows_behind_a_rule_that_hides_it_on_the_plainest_path():
    page = [replace(route(Exact(b"/")), action=DirectResponse(status=200)) for _ in range(2)]
    asks = replace(route(None, QueryIs(b"q", Exact(b"a"))), action=DirectResponse(status=201))
    named = replace(route(None, HeaderIs(b"x", Exact(b"a"))), action=DirectResponse(status=200))
    assert changes(snapshot(page[0], asks, named, page[1]), snapshot(named, page[0], asks, page[1]))
