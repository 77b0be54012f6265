"""Every field of HTTPMatchRequest, by what requests a rule takes (virtual-service.md, 4)."""

import pytest
from support.plans import REVIEWS, built, found_route, plan, request, routes_of, virtual_service

from meshproxy.plan.match import Pattern

ELSE = "- name: else\n  route: [{destination: {host: reviews}}]\n"


def taken(match, asked, **options):
    """Whether a rule with the match block `match` takes the request."""
    rule = f"- name: it\n  match: [{match}]\n  route: [{{destination: {{host: reviews}}}}]\n"
    route = found_route(plan(REVIEWS, virtual_service(rule + ELSE), **options), asked)
    return route.name == "it"


@pytest.mark.parametrize(
    ("uri", "path", "expected"),
    [
        ("{exact: /a}", "/a", True),
        ("{exact: /a}", "/a/", False),
        ("{exact: /a}", "/A", False),
        ("{exact: ''}", "/", False),
        ("{prefix: /foo}", "/foobar", True),
        ("{prefix: /foo}", "/Foo", False),
        ("{prefix: ''}", "/x", True),
        ("{regex: '/a/[0-9]+'}", "/a/12", True),
        ("{regex: '/a/[0-9]+'}", "/a/12/b", False),
        ("{}", "/anything", True),
    ],
)
def test_uri(uri, path, expected):
    assert taken(f"{{uri: {uri}}}", request(path)) is expected


@pytest.mark.parametrize(
    ("uri", "path", "expected"),
    [
        ("{exact: /Abc}", "/aBC", True),
        ("{prefix: /Abc}", "/aBCd", True),
        ("{prefix: /Abc}", "/ab", False),
        ("{regex: '/Abc'}", "/abc", False),
        ("{regex: '/Abc'}", "/Abc", True),
    ],
)
def test_ignore_uri_case_folds_exact_and_prefix_only(uri, path, expected):
    assert taken(f"{{uri: {uri}, ignoreUriCase: true}}", request(path)) is expected


def test_uri_does_not_see_the_query():
    assert taken("{uri: {exact: /a}}", request("/a", query="b=1"))


@pytest.mark.parametrize(
    ("match", "asked", "expected"),
    [
        ("method: {exact: GET}", request(), True),
        ("method: {exact: get}", request(), False),
        ("method: {regex: 'PUT|POST'}", request(method="POST"), True),
        ("scheme: {exact: http}", request(), True),
        ("scheme: {exact: https}", request(), False),
        ("authority: {exact: reviews}", request(), True),
        ("authority: {exact: reviews}", request(host="reviews:9080"), False),
        ("authority: {prefix: 'reviews:'}", request(host="reviews:9080"), True),
        ("method: {}", request(), True),
    ],
)
def test_method_scheme_authority(match, asked, expected):
    assert taken(f"{{{match}}}", asked) is expected


@pytest.mark.parametrize(
    ("match", "values", "expected"),
    [
        ("{exact: jason}", ["jason"], True),
        ("{exact: jason}", ["Jason"], False),
        ("{exact: jason}", [], False),
        ("{prefix: ja}", ["jason"], True),
        ("{regex: 'j.*n'}", ["jason"], True),
        ("{regex: 'j.*n'}", ["jasons"], False),
        ("{}", ["x"], True),
        ("{}", [""], True),
        ("{}", [], False),
        ("{exact: ''}", [""], True),
        ("{exact: ''}", [], False),
        ("{regex: '.*'}", [], False),
    ],
)
def test_headers(match, values, expected):
    asked = request(headers=[("End-User", value) for value in values])
    assert taken(f"{{headers: {{end-user: {match}}}}}", asked) is expected
    assert taken(f"{{headers: {{END-USER: {match}}}}}", asked) is expected


@pytest.mark.parametrize(
    ("match", "missing", "present"),
    [
        ("{}", True, False),
        ("{exact: x}", True, False),
        ("{exact: y}", True, True),
        ("{regex: '.*'}", False, False),
        ("{exact: ''}", False, True),
        ("{regex: '*'}", True, False),
    ],
)
def test_without_headers(match, missing, present):
    block = f"{{withoutHeaders: {{h: {match}}}}}"
    assert taken(block, request()) is missing
    assert taken(block, request(headers=[("h", "x")])) is present


@pytest.mark.parametrize(
    ("match", "query", "expected"),
    [
        ("{exact: '1'}", "a=1", True),
        ("{exact: '1'}", "a=2&a=1", False),
        ("{exact: ''}", "a", True),
        ("{}", "a", True),
        ("{}", None, False),
        ("{prefix: x}", "a=xy", True),
        ("{regex: 'x+'}", "a=xx", True),
    ],
)
def test_query_params(match, query, expected):
    assert taken(f"{{queryParams: {{a: {match}}}}}", request(query=query)) is expected


def test_pseudo_headers_are_names_like_others():
    assert taken("{headers: {':path': {prefix: '/a?b'}}}", request("/a", query="b=1"))
    assert taken("{headers: {':method': {exact: GET}}}", request())


def test_conditions_of_a_block_are_anded_and_blocks_are_ored():
    both = "{uri: {prefix: /a}, method: {exact: POST}}"
    assert taken(both, request("/a", method="POST"))
    assert not taken(both, request("/a"))
    assert taken(f"{both}, {{uri: {{exact: /b}}}}", request("/b"))


def test_an_empty_block_takes_everything():
    assert taken("{}", request("/x", method="PUT"))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("port: 9080", True),
        ("port: 80", False),
        ("sourceLabels: {app: web}", True),
        ("sourceLabels: {app: web, version: v1}", False),
        ("sourceNamespace: default", True),
        ("sourceNamespace: other", False),
        ("gateways: [mesh]", True),
        ("gateways: [gw]", False),
        ("gateways: [mesh], sourceLabels: {app: other}, sourceNamespace: other", True),
        ("gateways: [mesh], port: 80", False),
    ],
)
def test_what_does_not_depend_on_the_request_is_decided_when_compiled(match, expected):
    assert taken(f"{{{match}}}", request(), labels={"app": "web"}) is expected


def test_claims_of_a_jwt_are_a_finding_and_match_nothing():
    rule = """
    - match: [{headers: {"@request.auth.claims.group": {exact: admin}}}]
      route: [{destination: {host: reviews}}]
    """
    gateway = """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: gw}
    spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
    """
    snapshot, findings = built(REVIEWS, gateway, virtual_service(rule, gateways="[gw]", hosts="['r.com']"))
    assert routes_of(snapshot, "r.com", "0.0.0.0_8080") == ()
    assert [(each.code, each.origin.line) for each in findings] == [("MPX0001", 8)]


def test_a_pattern_is_re2():
    rule = "- match: [{uri: {regex: '/a/\\d+'}}]\n  route: [{destination: {host: reviews}}]\n"
    route = routes_of(plan(REVIEWS, virtual_service(rule)))[0]
    assert isinstance(route.path, Pattern)
    assert not route.path.matches("/a/٣".encode())
