"""Delegation: what a root's rule and its delegate's rules come to (virtual-service.md, 12)."""

import pytest
from support.plans import API, REVIEWS, built, clusters_of, routes_of, virtual_service


def delegate(http, *, namespace="default", more=""):
    head = f"{API}\nkind: VirtualService\nmetadata: {{name: leaf, namespace: {namespace}}}\nspec:"
    return f"{head}\n  {more}\n  http: {http}\n"


def merged(root_match, leaf_match, *, root_more="", leaf_more=""):
    root = f"- name: root\n  match: {root_match}\n  delegate: {{name: leaf}}{root_more}"
    leaf = delegate(f"[{{name: leaf, match: {leaf_match}, route: [{{destination: {{host: reviews}}}}]{leaf_more}}}]")
    snapshot, findings = built(REVIEWS, virtual_service(root), leaf)
    return routes_of(snapshot), findings


def test_a_rule_without_match_takes_the_others_blocks():
    (route,), _ = merged("[{uri: {prefix: /a}}]", "[]")
    assert route.path.value == b"/a"
    (route,), _ = merged("[]", "[{uri: {prefix: /b}}]")
    assert route.path.value == b"/b"


def test_every_delegate_block_is_united_with_every_root_block():
    found, _ = merged(
        "[{uri: {prefix: /a}}, {uri: {prefix: /b}}]", "[{headers: {x: {exact: '1'}}}, {headers: {y: {exact: '2'}}}]"
    )
    assert [(r.path.value, r.conditions[0].name) for r in found] == [
        (b"/a", b"x"),
        (b"/b", b"x"),
        (b"/a", b"y"),
        (b"/b", b"y"),
    ]


@pytest.mark.parametrize(
    ("root", "leaf", "agree"),
    [
        ("uri: {prefix: /a}", "uri: {prefix: /a/b}", True),
        ("uri: {prefix: /a}", "uri: {exact: /a/b}", True),
        ("uri: {prefix: /a}", "uri: {prefix: /b}", False),
        ("uri: {prefix: /a}", "uri: {regex: '/a.*'}", False),
        ("uri: {exact: /a}", "uri: {exact: /a}", True),
        ("uri: {exact: /a}", "uri: {prefix: /a}", False),
        ("uri: {regex: '/a'}", "uri: {regex: '/a'}", False),
        ("uri: {regex: '/a'}", "method: {exact: GET}", True),
        ("headers: {x: {}}", "headers: {x: {exact: '1'}}", False),
        ("headers: {x: {exact: '1'}}", "headers: {x: {}}", False),
        ("headers: {x: {exact: '1'}}", "headers: {y: {exact: '1'}}", True),
        ("withoutHeaders: {x: {exact: '1'}}", "withoutHeaders: {x: {exact: '2'}}", False),
        ("queryParams: {x: {exact: '1'}}", "queryParams: {x: {exact: '2'}}", False),
        ("method: {exact: GET}", "method: {exact: PUT}", False),
        ("ignoreUriCase: true", "ignoreUriCase: false", False),
        ("port: 9080", "port: 9081", False),
        ("sourceNamespace: default", "uri: {prefix: /a}", False),
        ("uri: {prefix: /a}", "sourceNamespace: default", True),
        ("sourceLabels: {a: b}", "sourceLabels: {a: c}", False),
        ("gateways: [mesh, gw]", "gateways: [mesh]", True),
        ("gateways: [mesh]", "gateways: [mesh, gw]", False),
    ],
)
def test_conflicts(root, leaf, agree):
    found, findings = merged(f"[{{{root}}}]", f"[{{{leaf}}}]")
    reported = [each.code for each in findings if each.code == "MPX0010"]
    assert reported == ([] if agree else ["MPX0010"])
    if not agree:
        assert [route.name for route in found] == ["default"]


def test_one_conflicting_block_leaves_the_whole_delegate_rule_out():
    found, findings = merged("[{uri: {prefix: /a}}]", "[{uri: {prefix: /a/b}}, {uri: {prefix: /c}}]")
    assert [route.name for route in found] == ["default"]
    assert findings[0].origin.file == "2.yaml"


def test_the_delegates_values_win_and_the_roots_fill_in():
    found, _ = merged("[]", "[]", root_more="\n  timeout: 1s\n  retries: {attempts: 7}", leaf_more=", timeout: 2s")
    assert (found[0].timeout, found[0].retry.attempts, found[0].name) == (2.0, 7, "root-leaf")
    assert found[0].origin.file == "2.yaml"


def test_hosts_of_a_delegate_are_meant_in_its_own_namespace():
    root = "- delegate: {name: leaf, namespace: other}\n  mirror: {host: m, port: {number: 1}}"
    leaf = delegate("[{route: [{destination: {host: r, port: {number: 2}}}]}]", namespace="other")
    snapshot, _ = built(REVIEWS, virtual_service(root), leaf)
    (route,) = routes_of(snapshot)
    assert clusters_of(route) == ["outbound|2||r.other.svc.cluster.local"]
    assert route.mirrors[0].cluster == "outbound|1||m.default.svc.cluster.local"


@pytest.mark.parametrize(
    "leaf", ["", delegate("[{route: [{destination: {host: r}}]}]", namespace="other", more="exportTo: ['.']")]
)
def test_a_missing_or_hidden_delegate_leaves_the_rule_out(leaf):
    root = "- delegate: {name: leaf, namespace: other}\n- name: next\n  route: [{destination: {host: reviews}}]"
    snapshot, findings = built(REVIEWS, virtual_service(root), leaf)
    assert [route.name for route in routes_of(snapshot)] == ["next"]
    assert [(each.code, each.origin.line) for each in findings] == [("MPX0010", 7)]


def test_a_delegate_alone_serves_nothing():
    leaf = delegate("[{name: leaf, route: [{destination: {host: reviews}}]}]")
    snapshot, _ = built(REVIEWS, leaf)
    assert [route.name for route in routes_of(snapshot)] == ["default"]
