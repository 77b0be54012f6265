"""The ladder is the table's decision: it ends where `find` does, and says why each rung before did not hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import API, REVIEWS, plan, virtual_service

from meshproxy.base.message import Request
from meshproxy.plan.explain import explain, failing, source, summary
from meshproxy.plan.listener import Listener
from meshproxy.plan.match import Exact, HeaderIs, HeaderIsNot, MethodIs, Pattern, Prefix, QueryIs
from meshproxy.plan.regex import Regex
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

SUBSETS = f"""
{API}
kind: DestinationRule
metadata: {{name: reviews}}
spec:
  host: reviews
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v3, labels: {{version: v3}}}}
"""
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, labels: {app: reviews, version: v1}}
status: {podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v2, labels: {app: reviews, version: v2}}
status: {podIP: 10.0.0.2, phase: Running, conditions: [{type: Ready, status: "True"}]}
"""
TO_V1 = "- route: [{destination: {host: reviews, subset: v1}}]"
TO_V3 = "- route: [{destination: {host: reviews, subset: v3}}]"


def asked(host=b"reviews:9080", path=b"/", *fields, method=b"GET", query=None):
    return Request(method, path, query, host, list(fields))


def decision(*texts, request=None, **options):
    return explain(plan(*texts, **options), "mesh", request or asked())


# ---- every ladder


PATHS = st.sampled_from([b"/", b"/a", b"/A", b"/ab", b"/b/x"])
CONDITIONS = st.lists(
    st.sampled_from(
        [
            HeaderIs(b"h", Exact(b"1")),
            HeaderIsNot(b"h", Exact(b"2")),
            MethodIs(Exact(b"POST")),
            QueryIs(b"q", Prefix(b"x")),
        ]
    ),
    max_size=2,
).map(tuple)
MATCHES = st.one_of(
    st.none(),
    PATHS.map(lambda path: Exact(path.lower())),
    PATHS.map(lambda path: Prefix(path.lower())),
    st.sampled_from([rb"/a.*", rb"/[ab]+", rb"(?i)/AB"]).map(lambda text: Pattern(Regex(text))),
)
ROUTES = st.builds(
    lambda path, fold, conditions: Route(
        name="", origin=None, action=DirectResponse(status=200), path=path, ignore_case=fold, conditions=conditions
    ),
    MATCHES,
    st.booleans(),
    CONDITIONS,
).map(
    lambda route: (
        route
        if not isinstance(route.path, Pattern)
        else Route(name="", origin=None, action=route.action, path=route.path, conditions=route.conditions)
    )
)
REQUESTS = st.builds(
    lambda path, method, value, query: asked(
        b"h", path, *([(b"H", value)] if value else []), method=method, query=query
    ),
    PATHS,
    st.sampled_from([b"GET", b"POST"]),
    st.sampled_from([b"", b"1", b"2"]),
    st.sampled_from([None, b"q=x", b"q=y"]),
)


@settings(max_examples=300)
@given(st.lists(ROUTES, max_size=6).map(tuple), REQUESTS)
def test_every_rung_before_the_last_has_a_reason_and_the_last_is_what_the_table_finds(routes, request):
    host = VirtualHost(name="h", domains=("h",), routes=RouteTable(routes))
    listener = Listener(name="mesh", host="", port=0, server_port=0, virtual_hosts=VirtualHosts((host,)))
    made = explain(Snapshot(listeners=(listener,)), "mesh", request)
    assert made.route is host.routes.find(request)
    reasons = [rung.reason for rung in made.considered]
    if made.route is None:
        assert all(reasons)
        assert len(reasons) == len(routes)
        assert (made.reply.status, made.reply.flag) == (404, "NR")
    else:
        assert all(reasons[:-1])
        assert reasons[-1] == ""
        assert made.considered[-1].of is made.route


# ---- rules


def test_the_first_condition_that_failed_says_what_it_wanted_what_it_got_and_where():
    rules = """
- name: jason
  match:
  - uri: {prefix: /reviews}
    headers:
      end-user:
        exact: jason
  route: [{destination: {host: reviews}}]
- route: [{destination: {host: reviews}}]
"""
    made = decision(REVIEWS, virtual_service(rules), request=asked(path=b"/other"))
    assert made.considered[0].reason == 'uri: wanted prefix "/reviews", got "/other"'
    made = decision(REVIEWS, virtual_service(rules), request=asked(path=b"/reviews/1"))
    assert made.considered[0].reason == 'header end-user: wanted exact "jason", got none'
    file, line = made.considered[0].line
    text = virtual_service(rules).splitlines()
    assert (file, text[line - 1].strip()) == ("1.yaml", "exact: jason")


def test_a_match_that_cannot_apply_here_is_a_rung_with_its_reason():
    rules = """
- match: [{sourceLabels: {app: web}}]
  directResponse: {status: 201}
- match: [{port: 9999}, {gateways: [elsewhere]}]
  directResponse: {status: 202}
- directResponse: {status: 203}
"""
    made = decision(REVIEWS, virtual_service(rules))
    assert [rung.reason for rung in made.considered] == [
        "sourceLabels: wanted app=web, got a workload without labels",
        "port: wanted 9999, got 9080, the port of the service",
        "gateways: wanted elsewhere, got mesh",
        "",
    ]
    assert [rung.rule for rung in made.considered] == [0, 1, 1, 2]
    assert decision(REVIEWS, virtual_service(rules), labels={"app": "web"}).reply.status == 201


def test_the_source_is_where_the_rule_begins():
    rules = "- match:\n  - uri: {exact: /a}\n  - uri: {exact: /b}\n  directResponse: {status: 200}"
    text = virtual_service(rules)
    made = decision(REVIEWS, text, request=asked(path=b"/b"))
    assert text.splitlines()[source(made).line - 1] == "  - match:"
    assert made.route.match_index == 1


# ---- virtual hosts


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (b"reviews:9080", "reviews:9080 is one of its names"),
        (b"REVIEWS:9080", "reviews:9080 is one of its names"),
        (b"reviews:1", "reviews is one of its names"),
        (b"a.wild.test", "*.wild.test covers a.wild.test"),
    ],
)
def test_the_virtual_host_says_by_which_name_it_was_found(host, why):
    wild = virtual_service("- directResponse: {status: 200}", name="wild", hosts='["*.wild.test"]')
    assert decision(REVIEWS, wild, request=asked(host)).found_by == why


def test_an_unknown_host_is_404_nr_with_the_name_that_was_meant():
    made = decision(REVIEWS, request=asked(b"reveiws:9080"))
    assert (made.reply.status, made.reply.flag) == (404, "NR")
    assert made.reply.cause == "no virtual host has the name reveiws:9080; did you mean reviews:9080?"


def test_a_gateway_that_has_the_host_is_named():
    servers = '{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["shop.test"]}]}'
    edge = f"{API}\nkind: Gateway\nmetadata: {{name: edge}}\nspec: {servers}"
    rule = virtual_service("- directResponse: {status: 200}", name="shop", hosts="[shop.test]", gateways="[edge]")
    made = decision(REVIEWS, edge, rule, request=asked(b"shop.test"))
    assert made.reply.cause == "no virtual host has the name shop.test; Gateway default/edge has it"


# ---- causes of a 503


@pytest.mark.parametrize(
    ("texts", "flag", "cause"),
    [
        (
            (REVIEWS, PODS, SUBSETS, virtual_service(TO_V3)),
            "UH",
            "subset v3 selects 0 of 2 endpoints: no endpoint has version=v3; there are v1, v2",
        ),
        (
            (REVIEWS, SUBSETS, virtual_service(TO_V3)),
            "UH",
            "reviews.default.svc.cluster.local has no endpoint on port 9080",
        ),
        (
            (REVIEWS, PODS, SUBSETS, virtual_service("- route: [{destination: {host: reviews, subset: v9}}]")),
            "NC",
            "DestinationRule default/reviews defines no subset v9; it has v1, v3",
        ),
        (
            (REVIEWS, PODS, virtual_service(TO_V3)),
            "NC",
            "no DestinationRule applies to reviews.default.svc.cluster.local: nothing defines the subset v3",
        ),
        (
            (REVIEWS, virtual_service("- route: [{destination: {host: reviews, port: {number: 80}}}]")),
            "NC",
            "reviews.default.svc.cluster.local has no port 80; it has 9080",
        ),
        (
            (REVIEWS, virtual_service("- route: [{destination: {host: reveiws}}]")),
            "NC",
            "no service reveiws.default.svc.cluster.local is known; did you mean reviews.default.svc.cluster.local?",
        ),
    ],
)
def test_a_503_says_its_cause(texts, flag, cause):
    made = decision(*texts)
    assert (made.reply.status, made.reply.flag, made.reply.cause) == (503, flag, cause)


def test_one_destination_that_answers_is_no_503_but_its_neighbour_says_why_it_cannot():
    both = "- route:\n  - {destination: {host: reviews, subset: v1}, weight: 3}\n"
    both += "  - {destination: {host: reviews, subset: v3}, weight: 1}"
    snapshot = plan(REVIEWS, PODS, SUBSETS, virtual_service(both))
    made = explain(snapshot, "mesh", asked())
    assert made.reply is None
    assert [target.flag for target in made.targets] == ["", "UH"]
    assert failing(snapshot, "mesh", asked()) == 0.25


# ---- DestinationRules


def test_a_rule_that_does_not_apply_says_why():
    others = f"""
{API}
kind: DestinationRule
metadata: {{name: general}}
spec: {{host: "*.default.svc.cluster.local"}}
---
{API}
kind: DestinationRule
metadata: {{name: foreign, namespace: elsewhere}}
spec: {{host: reviews.default.svc.cluster.local}}
---
{API}
kind: DestinationRule
metadata: {{name: short, namespace: elsewhere}}
spec: {{host: reviews}}
---
{API}
kind: DestinationRule
metadata: {{name: selective}}
spec: {{host: reviews, workloadSelector: {{matchLabels: {{app: web}}}}}}
"""
    made = decision(REVIEWS, PODS, SUBSETS, others, virtual_service(TO_V1))
    cluster = made.targets[0].cluster
    assert cluster.rule == "default/reviews"
    assert {each.rule: each.reason for each in cluster.passed_over} == {
        "default/general": "default/reviews names the host more exactly",
        "elsewhere/foreign": "its namespace elsewhere is not looked at: only default, istio-system",
        "elsewhere/short": "its host reviews means reviews.elsewhere.svc.cluster.local",
        "default/selective": "its workloadSelector wants app=web",
    }


# ---- answers of our own


@pytest.mark.parametrize(
    ("rule", "status", "flag"),
    [
        ("- redirect: {uri: /new, redirectCode: 302}", 302, ""),
        ("- directResponse: {status: 418}", 418, ""),
        (
            "- fault: {abort: {httpStatus: 555, percentage: {value: 100}}}\n  route: [{destination: {host: reviews}}]",
            555,
            "FI",
        ),
    ],
)
def test_what_we_answer_ourselves(rule, status, flag):
    made = decision(REVIEWS, virtual_service(rule), maps=["reviews=127.0.0.1:1"])
    assert (made.reply.status, made.reply.flag) == (status, flag)


def test_a_partial_abort_leaves_the_answer_open():
    rule = "- fault: {abort: {httpStatus: 555, percentage: {value: 50}}}\n  route: [{destination: {host: reviews}}]"
    assert decision(REVIEWS, virtual_service(rule), maps=["reviews=127.0.0.1:1"]).reply is None


def test_a_preflight_is_answered_here():
    rule = "- corsPolicy: {allowOrigins: [{exact: http://a}]}\n  route: [{destination: {host: reviews}}]"
    fields = [(b"origin", b"http://a"), (b"access-control-request-method", b"PUT")]
    preflight = asked(b"reviews:9080", b"/", *fields, method=b"OPTIONS")
    assert decision(REVIEWS, virtual_service(rule), maps=["reviews=127.0.0.1:1"], request=preflight).reply.status == 200


def test_the_summary_is_one_line_with_rule_place_and_cluster():
    said = summary(decision(REVIEWS, PODS, SUBSETS, virtual_service(TO_V1)))
    assert "rule=default/reviews[0]" in said
    assert "to=outbound|9080|v1|reviews.default.svc.cluster.local" in said
    assert "\n" not in said


def test_a_listener_that_is_gone_loses_every_request():
    assert failing(plan(REVIEWS), "0.0.0.0_80", asked()) == 1.0
    assert "no listener" in explain(plan(REVIEWS), "0.0.0.0_80", asked()).reply.cause


def test_an_x_forwarded_proto_without_a_value_is_why_no_rule_is_asked():
    snapshot = plan(REVIEWS, virtual_service("- route: [{destination: {host: reviews}}]"))
    asked = Request(b"GET", b"/", None, b"reviews", [])
    asked.managed = {b"x-forwarded-proto": [b""]}
    made = explain(snapshot, "mesh", asked)
    assert made.reply is not None
    assert (made.reply.status, made.reply.flag) == (404, "NR")
    assert "X-Forwarded-Proto" in made.reply.cause
    assert not made.considered
