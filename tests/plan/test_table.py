"""RouteTable equals a walk over the routes; VirtualHosts equals the rule as it is written down."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.message import Request
from meshproxy.plan.match import Exact, HeaderIs, MethodIs, Pattern, Prefix
from meshproxy.plan.regex import Regex
from meshproxy.plan.route import Destination, Forward, Route
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

FORWARD = Forward((Destination(cluster="c", host="h"),))


def route(path=None, *conditions, ignore_case=False, name=""):
    return Route(name=name, origin=None, action=FORWARD, path=path, conditions=conditions, ignore_case=ignore_case)


def request(path, *fields, method=b"GET"):
    return Request(method, path, None, b"host", list(fields))


def path_holds(route, path):
    match route.path:
        case None:
            return True
        case Pattern():
            return route.path.matches(path)
        case _:
            return route.path.matches(path.lower() if route.ignore_case else path)


def walked(routes, request):
    for candidate in routes:
        if path_holds(candidate, request.path) and all(c.holds(request) for c in candidate.conditions):
            return candidate
    return None


SEGMENTS = st.sampled_from([b"/", b"/a", b"/A", b"/ab", b"a", b"b", b"%2F", b"/x/y"])
PATHS = st.lists(SEGMENTS, max_size=4).map(b"".join)
PATTERNS = st.sampled_from([rb"/a.*", rb".*", rb"/[ab]+", rb"/A/?", rb"(?i)/ab", rb"/.*/y"]).map(Regex)
CONDITIONS = st.lists(
    st.sampled_from([HeaderIs(b"h", Exact(b"1")), HeaderIs(b"h", Exact(b"2")), MethodIs(Exact(b"POST"))]), max_size=2
)


@st.composite
def routes(draw):
    ignore_case = draw(st.booleans())
    path = draw(st.one_of(st.none(), PATHS.map(Exact), PATHS.map(Prefix), PATTERNS.map(Pattern)))
    if isinstance(path, Exact | Prefix) and ignore_case:
        path = type(path)(path.value.lower())
    ignore_case = ignore_case and isinstance(path, Exact | Prefix)
    return route(path, *draw(CONDITIONS), ignore_case=ignore_case)


@st.composite
def requests(draw):
    value = draw(st.sampled_from([None, b"1", b"2"]))
    fields = [] if value is None else [(b"H", value)]
    return request(draw(PATHS), *fields, method=draw(st.sampled_from([b"GET", b"POST"])))


@given(st.lists(routes(), max_size=30), st.lists(requests(), min_size=1, max_size=10))
def test_find_equals_the_first_match_of_a_walk(table, asked):
    numbered = tuple(
        Route(name=str(i), origin=None, action=FORWARD, path=r.path, ignore_case=r.ignore_case, conditions=r.conditions)
        for i, r in enumerate(table)
    )
    compiled = RouteTable(numbered)
    for one in asked:
        assert compiled.find(one) is walked(numbered, one)


@given(st.lists(routes(), min_size=1, max_size=12), requests())
def test_candidates_are_all_routes_up_to_the_found_one(table, one):
    compiled = RouteTable(tuple(table))
    seen = list(compiled.candidates(one))
    found = compiled.find(one)
    assert seen == table[: len(seen)]
    assert seen[-1] is found if found is not None else len(seen) == len(table)


def test_more_candidates_than_are_copied_keep_their_order():
    guarded = [route(None, HeaderIs(b"h", Exact(b"%d" % i)), name=f"h{i}") for i in range(100)]
    table = RouteTable(
        (*guarded[:50], route(Prefix(b"/a"), name="prefix"), *guarded[50:], route(Exact(b"/ab"), name="e"))
    )
    assert table.find(request(b"/ab", (b"h", b"49"))).name == "h49"
    assert table.find(request(b"/ab", (b"h", b"50"))).name == "prefix"
    assert table.find(request(b"/b", (b"h", b"50"))).name == "h50"


def test_written_order_decides_not_the_longer_prefix():
    table = RouteTable((route(Prefix(b"/a"), name="short"), route(Prefix(b"/ab"), name="long")))
    assert table.find(request(b"/abc")).name == "short"


def test_prefix_is_a_string_prefix():
    assert RouteTable((route(Prefix(b"/foo")),)).find(request(b"/foobar")) is not None


def test_an_empty_table_finds_nothing():
    assert RouteTable(()).find(request(b"/")) is None


def test_a_table_pickles_and_equals_its_copy():
    table = RouteTable((route(Pattern(Regex(b"/a+"))), route(Prefix(b"/b")), route(Exact(b"/c"), ignore_case=True)))
    copy = pickle.loads(pickle.dumps(table))
    assert copy == table and hash(copy) == hash(table)
    assert copy.find(request(b"/aa")) == table.find(request(b"/aa"))


def host(*domains):
    return VirtualHost(name=domains[0] if domains else "", domains=domains, routes=RouteTable(()))


def by_the_rule(hosts, value):
    """Exact, longest suffix wildcard, longest prefix wildcard, `*`; with its port first, then without."""
    value = value.lower()
    names = [(d.lower().encode(), h) for h in hosts for d in h.domains]

    def exact(text):
        return next((h for d, h in names if d == text and d != b"*"), None)

    def longest(found):
        return max(found, key=lambda pair: len(pair[0]))[1] if found else None

    def suffix(text):
        return longest(
            [(d, h) for d, h in names if d[:1] == b"*" and d != b"*" and text.endswith(d[1:]) and len(text) >= len(d)]
        )

    def prefix(text):
        return longest(
            [
                (d, h)
                for d, h in names
                if d[-1:] == b"*" and d[:1] != b"*" and text.startswith(d[:-1]) and len(text) >= len(d)
            ]
        )

    bare = value.rpartition(b":")[0] if value.rfind(b":") > value.rfind(b"]") else value
    found = (exact(value) or suffix(value)) if bare != value else None
    found = found or exact(bare) or suffix(bare) or prefix(bare)
    return found or next((h for d, h in names if d == b"*"), None)


LABELS = st.sampled_from(["a", "b", "foo", "com", "A"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
DOMAINS = st.one_of(
    NAMES,
    NAMES.map(lambda n: n + "."),
    NAMES.map(lambda n: f"*.{n}"),
    NAMES.map(lambda n: f"*{n}"),
    NAMES.map(lambda n: f"{n}.*"),
    NAMES.map(lambda n: f"{n}:80"),
    st.sampled_from(["*", "[::1]", "[::1]:80", "10.0.0.1"]),
)
VALUES = st.one_of(
    NAMES,
    NAMES.map(lambda n: n + "."),
    NAMES.map(lambda n: f"{n}:80"),
    NAMES.map(lambda n: f"{n}:81"),
    NAMES.map(str.upper),
    st.sampled_from(["", ":80", "[::1]", "[::1]:80", "[::1]:81", "10.0.0.1:80", ".foo.com"]),
).map(str.encode)


@given(st.lists(st.lists(DOMAINS, min_size=1, max_size=3), max_size=12), st.lists(VALUES, min_size=1, max_size=12))
def test_hosts_equal_the_written_rule(domains, values):
    hosts = tuple(host(*names) for names in domains)
    compiled = VirtualHosts(hosts)
    for value in values:
        assert compiled.find(value) is by_the_rule(hosts, value)


def test_a_wildcard_stands_for_at_least_one_character():
    assert VirtualHosts((host("*.foo.com"),)).find(b"foo.com") is None
    assert VirtualHosts((host("*.foo.com"),)).find(b".foo.com") is None
    assert VirtualHosts((host("foo.*"),)).find(b"foo.") is None


def test_the_port_decides_before_the_bare_name():
    hosts = VirtualHosts((host("foo"), host("foo:80")))
    assert hosts.find(b"FOO:80").name == "foo:80"
    assert hosts.find(b"Foo:81").name == "foo"


def test_the_first_that_claims_a_domain_has_it():
    first, second = host("foo", "one"), host("FOO", "two")
    hosts = VirtualHosts((first, second))
    assert hosts.find(b"foo") is first
    assert hosts.find(b"two") is second


def test_hosts_pickle():
    hosts = VirtualHosts((host("foo", "*.foo"), host("*")))
    copy = pickle.loads(pickle.dumps(hosts))
    assert copy == hosts and hash(copy) == hash(hosts)
    assert copy.find(b"a.foo") == hosts.find(b"a.foo")
