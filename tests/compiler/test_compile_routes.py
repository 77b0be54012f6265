"""Which routes a VirtualService comes to, in which order, and where they lead (virtual-service.md, 3, 5, 6)."""

import pytest
from support.plans import (
    REVIEWS,
    TWO_PORTS,
    built,
    clusters_of,
    found_route,
    plan,
    request,
    routes_of,
    virtual_service,
)

from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.retry import DEFAULT

TO_REVIEWS = "route: [{destination: {host: reviews}}]"


def routes(http, **options):
    return routes_of(plan(REVIEWS, virtual_service(http), **options))


def test_every_rule_and_block_is_one_route_in_order():
    found = routes(f"""
    - match: [{{uri: {{prefix: /a}}}}, {{uri: {{prefix: /b}}}}]
      {TO_REVIEWS}
    - {TO_REVIEWS}
    """)
    assert [(route.origin.rule, route.match_index) for route in found] == [(0, 0), (0, 1), (1, None)]
    assert [route.origin.line for route in found] == [7, 7, 9]
    assert found[0].origin.resource == "VirtualService default/reviews"
    assert found[1].origin.path == "spec.http[0].match[1]"


@pytest.mark.parametrize(
    ("match", "ends"),
    [
        ("", True),
        ("match: [{}]", True),
        ("match: [{uri: {prefix: /}}]", True),
        ("match: [{uri: {regex: '.*'}}]", True),
        ("match: [{uri: {prefix: ''}}]", False),
        ("match: [{uri: {prefix: /}, method: {exact: GET}}]", False),
        ("match: [{uri: {prefix: /}, method: {}}]", False),
        ("match: [{uri: {regex: '/.*'}}]", False),
        ("match: [{withoutHeaders: {h: {}}}]", False),
    ],
)
def test_nothing_is_emitted_behind_what_istio_takes_for_a_catch_all(match, ends):
    found = routes(f"- {match + chr(10) + '  ' if match else ''}{TO_REVIEWS}\n- {TO_REVIEWS}\n")
    assert len(found) == (1 if ends else 2)


def test_a_block_that_catches_all_ends_its_own_rule_too():
    assert len(routes(f"- match: [{{}}, {{uri: {{prefix: /b}}}}]\n  {TO_REVIEWS}\n")) == 1


def test_names_join_rule_and_block():
    found = routes(f"""
    - name: rule
      match: [{{name: block, uri: {{prefix: /a}}}}, {{uri: {{prefix: /b}}}}]
      {TO_REVIEWS}
    - match: [{{name: only, uri: {{prefix: /c}}}}]
      {TO_REVIEWS}
    - {TO_REVIEWS}
    """)
    assert [route.name for route in found] == ["rule.block", "rule", ".only", ""]


def test_a_service_without_virtual_service_has_istios_default_route():
    snapshot = plan(REVIEWS)
    (route,) = routes_of(snapshot)
    assert (route.name, clusters_of(route)) == ("default", ["outbound|9080||reviews.default.svc.cluster.local"])
    assert (route.retry, route.timeout) == (DEFAULT, None)
    assert route.service == "reviews.default.svc.cluster.local"
    assert route.origin.file == "0.yaml"


def test_no_rule_for_this_place_counts_as_no_virtual_service():
    first = virtual_service(f"- match: [{{port: 1}}]\n  {TO_REVIEWS}\n", name="a")
    (route,) = routes_of(plan(REVIEWS, first))
    assert route.name == "default"
    second = virtual_service(f"- name: second\n  {TO_REVIEWS}\n", name="b")
    (route,) = routes_of(plan(REVIEWS, first, second))
    assert route.name == "second"


def test_rules_that_match_no_request_do_not_fall_back_to_the_default_route():
    snapshot = plan(REVIEWS, virtual_service(f"- match: [{{uri: {{prefix: /a}}}}]\n  {TO_REVIEWS}\n"))
    assert found_route(snapshot, request("/b")) is None


# --- destinations


def test_hosts_are_resolved_in_the_namespace_of_the_rule():
    rule = "- route: [{destination: {host: ratings, subset: v1, port: {number: 80}}}]"
    snapshot = plan(REVIEWS, virtual_service(rule, namespace="prod", hosts="[reviews.default.svc.cluster.local]"))
    assert clusters_of(routes_of(snapshot)[0]) == ["outbound|80|v1|ratings.prod.svc.cluster.local"]


def test_a_name_with_a_dot_is_complete():
    rule = "- route: [{destination: {host: reviews.prod, port: {number: 80}}}]"
    assert clusters_of(routes_of(plan(REVIEWS, virtual_service(rule)))[0]) == ["outbound|80||reviews.prod"]


@pytest.mark.parametrize(
    ("written", "asked", "port"),
    [("", "two:8080", 8080), ("", "two:8081", 8081), ("", "two", 8080), (", port: {number: 5000}", "two", 5000)],
)
def test_a_destination_without_port_gets_the_requests_if_its_service_has_it(written, asked, port):
    rule = f"- route: [{{destination: {{host: two{written}}}}}]"
    (route,) = routes_of(plan(TWO_PORTS, virtual_service(rule, hosts="[two]")), asked)
    assert clusters_of(route) == [f"outbound|{port}||two.default.svc.cluster.local"]
    assert route.action.destinations[0].port == port


def test_else_the_only_port_of_its_service():
    rule = f"- {TO_REVIEWS}"
    snapshot, findings = built(TWO_PORTS, REVIEWS, virtual_service(rule, hosts="[two]"))
    assert clusters_of(routes_of(snapshot, "two:8081")[0]) == ["outbound|9080||reviews.default.svc.cluster.local"]
    assert findings == ()


def test_else_it_leads_nowhere_and_is_a_finding():
    rule = "- route: [{destination: {host: two}}]"
    snapshot, findings = built(TWO_PORTS, REVIEWS, virtual_service(rule))
    (cluster,) = clusters_of(routes_of(snapshot)[0])
    assert cluster == "outbound|9080||two.default.svc.cluster.local" and cluster not in snapshot.clusters
    assert [(each.code, each.origin.line) for each in findings] == [("IST0112", 7)]


def test_an_unknown_subset_keeps_its_cluster_name_and_has_no_cluster():
    rule = "- route: [{destination: {host: reviews, subset: v9}}]"
    snapshot = plan(REVIEWS, virtual_service(rule))
    (cluster,) = clusters_of(routes_of(snapshot)[0])
    assert cluster == "outbound|9080|v9|reviews.default.svc.cluster.local" and cluster not in snapshot.clusters


def test_the_weight_of_a_single_destination_is_ignored():
    (route,) = routes("- route: [{destination: {host: reviews}, weight: 0}]")
    assert route.action.choose(0.99).host == "reviews.default.svc.cluster.local"


def test_zero_weights_are_left_out_and_the_rest_need_not_sum_up_to_100():
    (route,) = routes("""
    - route:
      - {destination: {host: reviews, subset: a}, weight: 0}
      - {destination: {host: reviews, subset: b}, weight: 1}
      - {destination: {host: reviews, subset: c}, weight: 2}
    """)
    assert [(each.subset, each.weight) for each in route.action.destinations] == [("b", 1), ("c", 2)]
    assert route.action.total == 3


# --- headers


def literal(text):
    return Template((text,))


HEADERS = """
    - headers:
        request: {set: {x: route, b: "1"}, remove: [R]}
        response: {add: {y: route}}
      route:
      - destination: {host: reviews}
        weight: 1
        headers:
          request: {set: {x: destination}, add: {z: "2"}, remove: [D]}
          response: {remove: [server]}
"""


def test_operations_of_a_single_destination_follow_the_routes_in_one_list():
    (route,) = routes(HEADERS)
    assert route.request_headers == HeaderOps(
        frozenset((b"r", b"d")),
        ((b"b", literal(b"1")), (b"x", literal(b"route")), (b"x", literal(b"destination"))),
        ((b"z", literal(b"2")),),
    )
    assert route.response_headers == HeaderOps(frozenset((b"server",)), (), ((b"y", literal(b"route")),))
    assert route.action.destinations[0].request_headers is None


def test_operations_of_several_destinations_stay_with_them():
    (route,) = routes(HEADERS + "\n      - {destination: {host: reviews}, weight: 1}")
    first, second = route.action.destinations
    assert route.request_headers.set == ((b"b", literal(b"1")), (b"x", literal(b"route")))
    assert first.request_headers.set == ((b"x", literal(b"destination")),)
    assert first.response_headers.remove == {b"server"}
    assert (second.request_headers, second.response_headers) == (None, None)


def test_a_destination_left_alone_by_zero_weights_still_runs_its_own_operations():
    (route,) = routes(HEADERS + "\n      - {destination: {host: reviews}, weight: 0}")
    (only,) = route.action.destinations
    assert only.request_headers.set == ((b"x", literal(b"destination")),)


@pytest.mark.parametrize("name", ["Host", "host", ":authority"])
def test_setting_the_host_rewrites_the_authority(name):
    (route,) = routes(f'- headers: {{request: {{set: {{"{name}": other.com, x: "1"}}}}}}\n  {TO_REVIEWS}')
    assert route.rewrite.authority == b"other.com" and route.rewrite.path is None
    assert [key for key, _ in route.request_headers.set] == [b"x"]


def test_the_host_of_a_single_destination_counts_where_the_route_names_none():
    (route,) = routes("- route: [{destination: {host: reviews}, headers: {request: {set: {host: d.com}}}}]")
    assert route.rewrite.authority == b"d.com"


def test_the_hosts_of_several_destinations_stay_with_them():
    (route,) = routes("""
    - route:
      - {destination: {host: reviews}, weight: 1, headers: {request: {set: {host: d.com}}}}
      - {destination: {host: reviews}, weight: 1}
    """)
    assert [each.authority for each in route.action.destinations] == [b"d.com", None]
    assert route.rewrite is None


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("plain", (b"plain",)),
        ("100%%", (b"100%",)),
        ("%REQ(user-agent)%", (("REQ", "user-agent"),)),
        ("a %START_TIME% b%%", (b"a ", ("START_TIME", ""), b" b%")),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", (("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ""),)),
    ],
)
def test_values_are_templates(value, parts):
    (route,) = routes(f'- headers: {{request: {{add: {{x: "{value}"}}}}}}\n  {TO_REVIEWS}')
    assert route.request_headers.add == ((b"x", Template(parts)),)
