"""Matches and rules never reached: what `check` says, against the compiled plan asked with every request of a small
world: all listeners, ports and workloads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.analysis.run import check
from meshproxy.base.message import Request
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions
from meshproxy.model.catalog import Catalog, Source, read_catalog
from meshproxy.plan.match import Pattern
from meshproxy.plan.route import Route
from meshproxy.plan.table import VirtualHost

Match = dict[str, Any]
Rules = list[dict[str, Any]]

LETTERS = (b"a", b"A", b"b", b"B", b"/", b"~")
PATHS = [b"/" + b"".join(letters) for length in range(4) for letters in product(LETTERS, repeat=length)]
VALUES = [b"a", b"ab", b"b", b"a~", b"ab~", b"b~", b"~", b"", b"A", b"AB", b"Ab"]
DESTINATION = [{"destination": {"host": "a.com"}}]

uris = st.sampled_from(
    [{"exact": "/a"}, {"exact": "/ab"}, {"prefix": "/"}, {"prefix": "/a"}, {"prefix": "/ab"}, {"exact": "/a/b"}]
)
PATTERNS = [".*", "/a.*", "/a|/ab", "/[ab]", "/(a|b)", "/a+", "/ab?", "(?i)/a", "/.+", "^/a$", "/[^a].*", "/a/?b?"]
PATTERNS += ["(?i)/ab?", "/[a-b]*", "(/a|/b).*", "/[^/]*", "/[^/]*/.*", ".+b", "/(?i:a)b"]
regexes = st.sampled_from(PATTERNS).map(lambda text: {"regex": text})
plain = st.sampled_from([{"exact": "a"}, {"exact": "ab"}, {"prefix": "a"}, {"prefix": "ab"}, {"exact": ""}, {}])
texts = st.one_of(plain, st.sampled_from([{"regex": text} for text in ("[ab]+", "a?", "a.*", "*", ".*", "(?i)AB?")]))
METHOD_MATCHES = st.sampled_from([{"exact": "GET"}, {"exact": "POST"}, {"prefix": "P"}, {"regex": "GET|PUT"}])


def matches(uri: st.SearchStrategy[Match], *, any_case: bool) -> st.SearchStrategy[Match]:
    """Matches of up to three conditions: so that tables meet themselves."""
    optional = {
        "uri": uri,
        "headers": st.one_of(
            st.dictionaries(st.sampled_from(["x", "accept"]), texts, min_size=1),
            METHOD_MATCHES.map(lambda match: {":method": match}),
        ),
        "withoutHeaders": st.dictionaries(st.sampled_from(["X", "Accept"]), texts, min_size=1),
        "queryParams": texts.map(lambda match: {"q": match}),
        "method": METHOD_MATCHES,
        "scheme": st.sampled_from([{"exact": "http"}, {"exact": "https"}, {"prefix": "http"}]),
        "port": st.sampled_from([80, 8080]),
        "gateways": st.sampled_from([["mesh"], ["entry"], ["mesh", "entry"]]),
        "sourceLabels": st.sampled_from([{"app": "a"}, {"app": "b"}]),
        "sourceNamespace": st.sampled_from(["default", "other"]),
    }
    if any_case:
        optional["ignoreUriCase"] = st.booleans()
    names = st.sets(st.sampled_from(sorted(optional)), max_size=3)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: optional[name] for name in sorted(chosen)}))


def tables(match: st.SearchStrategy[Match]) -> st.SearchStrategy[Rules]:
    rule = st.lists(match, max_size=2).map(lambda found: {"match": found} if found else {})
    return st.lists(rule, min_size=2, max_size=5)


# ---- what is so

KINDS: dict[str, list[Any]] = {
    "path": PATHS,
    "headers": [[(b"x", value) for value in lines] for count in range(5) for lines in combinations(VALUES, count)],
    "accept": [[], *([(b"accept", value)] for value in VALUES)],
    "query": [None, *(b"q=" + value for value in VALUES)],
    "method": [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"],
    "scheme": [b"http", b"https"],
}


def request(path: bytes, headers: Any, accept: Any, query: bytes | None, method: bytes, scheme: bytes) -> Request:
    made = Request(method, path, query, b"a.com", [*headers, *accept])
    made.scheme = scheme
    return made


def holds(route: Route, asked: Request) -> tuple[bool, ...]:
    folded = route.ignore_case and not isinstance(route.path, Pattern)
    path = route.path is None or route.path.matches(asked.path.lower() if folded else asked.path)
    return path, *(condition.holds(asked) for condition in route.conditions)


def requests(host: VirtualHost) -> Iterator[Request]:
    """Every request of the world; of those that no condition tells apart, one."""
    plainest = {kind: values[0] for kind, values in KINDS.items()}
    told_apart = []
    for kind, values in KINDS.items():
        made = {tuple(holds(r, request(**plainest | {kind: v})) for r in host.routes.routes): v for v in values}
        told_apart.append([(kind, value) for value in made.values()])
    return (request(**dict(chosen)) for chosen in product(*told_apart))


WORKLOADS = [
    BuildOptions(labels={"app": app}, namespace=namespace, binds=dict.fromkeys((80, 8080, 9090), ("127.0.0.1", 0)))
    for app, namespace in product("abc", ["default", "other", "third"])
]
PORTS = [{"number": port, "name": f"http-{port}", "protocol": "HTTP"} for port in (80, 8080, 9090)]


def reached(catalog: Catalog, *, everywhere: bool) -> set[tuple[int, int]]:
    """Rule and match of each route that some request gets."""
    found: set[tuple[int, int]] = set()
    for options in WORKLOADS if everywhere else WORKLOADS[:1]:
        snapshot, _ = build_snapshot(catalog, options)
        for listener in snapshot.http_listeners:
            for host in listener.virtual_hosts.hosts:
                if host.virtual_service == "default/a":
                    for asked in requests(host):
                        route = host.routes.find(asked)
                        if route is not None and route.origin is not None and route.origin.rule is not None:
                            found.add((route.origin.rule, route.match_index or 0))
    return found


# ---- what is said


def written(rules: Rules) -> str:
    spec = {
        "hosts": ["a.com"],
        "gateways": ["mesh", "entry"],
        "http": [{**rule, "route": DESTINATION} for rule in rules],
    }
    documents = [
        {"kind": "VirtualService", "metadata": {"name": "a"}, "spec": spec},
        {
            "kind": "Gateway",
            "metadata": {"name": "entry"},
            "spec": {"selector": {}, "servers": [{"port": port, "hosts": ["*"]} for port in PORTS]},
        },
        {
            "kind": "ServiceEntry",
            "metadata": {"name": "a"},
            "spec": {
                "hosts": ["a.com"],
                "ports": PORTS,
                "resolution": "STATIC",
                "endpoints": [{"address": "127.0.0.1"}],
            },
        },
    ]
    return yaml.safe_dump_all([{"apiVersion": "networking.istio.io/v1", **each} for each in documents])


def said_and_true(rules: Rules) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Rule and match of what is said never to be reached, and of what no request reaches."""
    catalog, _ = read_catalog([Source("a.yaml", written(rules).encode())])
    all_matches = {(index, match) for index, rule in enumerate(rules) for match in range(len(rule.get("match", "-")))}
    said = set()
    for problem in check(catalog):
        place = re.fullmatch(r"spec\.http\[(\d+)\](?:\.match\[(\d+)\])?.*", problem.origin.path)
        if place is None:
            continue
        if problem.code in ("IST0130", "MPX0101"):
            said |= {each for each in all_matches if each[0] == int(place[1])}
        elif problem.code in ("IST0131", "MPX0102", "MPX0103"):
            said.add((int(place[1]), int(place[2])))
    everywhere = "source" in str(rules)
    return said, all_matches - reached(catalog, everywhere=everywhere)


@settings(max_examples=60)
@given(tables(matches(uris, any_case=False)))
def test_said_to_be_unreachable_is_exactly_what_no_request_reaches(rules: Rules) -> None:
    said, true = said_and_true(rules)
    assert said == true


@settings(max_examples=60)
@example(
    [
        {"match": [{"method": {"regex": "GET|PUT"}}]},
        {"match": [{"headers": {":method": {"exact": "POST"}}}, {"withoutHeaders": {"X": {"exact": "a"}}}]},
        {"match": [{"method": {"prefix": "P"}}]},
    ]
)
@given(tables(matches(st.one_of(uris, regexes), any_case=True)))
def test_so_it_is_with_regexes_and_any_letter_case(rules: Rules) -> None:
    said, true = said_and_true(rules)
    assert said == true
