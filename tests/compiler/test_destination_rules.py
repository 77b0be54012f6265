"""Which DestinationRule applies, how rules merge, and what policies come to for a port and a subset."""

import math

import pytest
from support.plans import API, plan

from meshproxy.compiler.destination_rules import covering
from meshproxy.plan.cluster import CONNECT_TIMEOUT, IDLE_TIMEOUT, Balancer, Resolution

HOST = "reviews.prod.svc.cluster.local"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: prod}
spec: {ports: [{name: http, port: 80}, {name: http-b, port: 81}], selector: {app: reviews}}
"""


def rule(spec, *, name="r", namespace="default", host=HOST, created=""):
    stamp = f', creationTimestamp: "{created}"' if created else ""
    meta = f"{{name: {name}, namespace: {namespace}{stamp}}}"
    return f"{API}\nkind: DestinationRule\nmetadata: {meta}\nspec: {{host: '{host}', {spec}}}\n"


RANDOM = "trafficPolicy: {loadBalancer: {simple: RANDOM}}"
ROUND_ROBIN = "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}"


def cluster(*texts, port=80, subset="", **options):
    return plan(SERVICE, *texts, **options).clusters[f"outbound|{port}|{subset}|{HOST}"]


def applied(*texts, **options):
    return cluster(*texts, **options).rule


# --- look-up


def test_our_namespaces_rule_hides_the_services_and_the_roots():
    rules = [rule(RANDOM, namespace=namespace) for namespace in ("istio-system", "prod", "default")]
    assert applied(*rules) == "default/r"
    assert applied(*rules[:2]) == "prod/r"
    assert applied(*rules[:1]) == "istio-system/r"


def test_a_wildcard_of_ours_hides_an_exact_rule_next_to_the_service():
    assert applied(rule(RANDOM, host="*.prod.svc.cluster.local"), rule(RANDOM, namespace="prod")) == "default/r"


def test_an_exact_host_beats_wildcards_and_the_longest_wildcard_the_others():
    rules = [rule(RANDOM, name="a", host="*"), rule(RANDOM, name="b", host="*.svc.cluster.local")]
    assert applied(*rules) == "default/b"
    assert applied(*rules, rule(RANDOM, name="c")) == "default/c"


def test_short_hosts_are_meant_in_the_rules_namespace():
    assert applied(rule(RANDOM, host="reviews")) == ""
    assert applied(rule(RANDOM, host="reviews", namespace="prod")) == "prod/r"


def test_an_unexported_exact_rule_does_not_fall_back_to_the_wildcard_next_to_it():
    hidden = rule(RANDOM + ", exportTo: ['.']", namespace="prod")
    wildcard = rule(RANDOM, name="w", namespace="prod", host="*.svc.cluster.local")
    root = rule(RANDOM, namespace="istio-system")
    assert applied(hidden, wildcard) == ""
    assert applied(hidden, wildcard, root) == "istio-system/r"
    assert applied(hidden, namespace="prod") == "prod/r"


def test_rules_of_third_namespaces_do_not_apply():
    assert applied(rule(RANDOM, namespace="third")) == ""


def test_a_rule_whose_selector_chooses_us_beats_those_without():
    plain = rule(RANDOM, name="a")
    ours = rule(RANDOM + ", workloadSelector: {matchLabels: {app: web}}", name="b")
    assert applied(plain, ours, labels={"app": "web", "x": "y"}) == "default/b"
    assert applied(plain, ours, labels={"app": "other"}) == "default/a"
    assert applied(ours) == ""


# --- merging


def test_subsets_of_rules_for_one_host_are_united_and_the_oldest_policy_counts():
    first = rule("subsets: [{name: v1, labels: {v: '1'}}]", name="b", created="2024-01-01T00:00:00Z")
    second = rule(
        f"subsets: [{{name: v1, labels: {{v: '9'}}}}, {{name: v2}}], {RANDOM}", name="a", created="2024-02-01T00:00:00Z"
    )
    third = rule(ROUND_ROBIN, name="c", created="2024-03-01T00:00:00Z")
    workload = f"{API}\nkind: WorkloadEntry\nmetadata: {{name: w, namespace: prod}}\n"
    workload += "spec: {address: 10.0.0.1, labels: {app: reviews, v: '1'}}\n"
    snapshot = plan(SERVICE, workload, first, second, third)
    assert len(snapshot.clusters[f"outbound|80|v1|{HOST}"].endpoints) == 1
    assert snapshot.clusters[f"outbound|80|v2|{HOST}"].balancer is Balancer.RANDOM
    assert snapshot.clusters[f"outbound|80||{HOST}"].rule == "default/b"


def test_rules_with_other_exports_do_not_merge():
    found = cluster(
        rule("subsets: [{name: v1}], exportTo: ['.']", name="a"),
        rule(RANDOM + ", exportTo: [x]", name="b"),
        subset="v1",
    )
    assert found.balancer is Balancer.LEAST_REQUEST


def test_a_rule_exported_to_more_adds_to_the_narrower_one_and_stands_for_itself():
    narrow = rule("subsets: [{name: v1}], exportTo: ['.', other]", name="a", namespace="prod")
    wide = rule(RANDOM + ", exportTo: ['.', other, default]", name="b", namespace="prod")
    assert cluster(narrow, wide, subset="v1", namespace="other").balancer is Balancer.RANDOM
    assert applied(narrow, wide, namespace="default") == "prod/b"


# --- inheritance


BY_RULE = "trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {connectTimeout: 1s}}}"
BY_PORT = """trafficPolicy: {
  connectionPool: {tcp: {connectTimeout: 1s}},
  portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}"""
BY_SUBSET = (
    BY_RULE
    + """, subsets: [
  {name: plain},
  {name: own, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}},
  {name: port, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN},
    portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {connectTimeout: 2s}}}]}}]"""
)


@pytest.mark.parametrize(
    ("spec", "port", "subset", "balancer", "timeout"),
    [
        (BY_RULE, 80, "", Balancer.RANDOM, 1.0),
        # a port's entry replaces all of the level it stands in
        (BY_PORT, 80, "", Balancer.RANDOM, CONNECT_TIMEOUT),
        (BY_PORT, 81, "", Balancer.LEAST_REQUEST, 1.0),
        # a subset's blocks replace the rule's, the others are inherited
        (BY_SUBSET, 80, "plain", Balancer.RANDOM, 1.0),
        (BY_SUBSET, 80, "own", Balancer.ROUND_ROBIN, 1.0),
        # of a subset's port entry the absent blocks replace too
        (BY_SUBSET, 80, "port", Balancer.LEAST_REQUEST, 2.0),
        (BY_SUBSET, 81, "port", Balancer.ROUND_ROBIN, 1.0),
    ],
)
def test_inheritance(spec, port, subset, balancer, timeout):
    found = cluster(rule(spec), port=port, subset=subset)
    assert (found.balancer, found.connect_timeout) == (balancer, timeout)


def test_a_subset_without_policy_on_a_port_with_an_entry_has_the_entrys():
    spec = BY_PORT + ", subsets: [{name: s}]"
    assert cluster(rule(spec), subset="s").balancer is Balancer.RANDOM
    assert cluster(rule(spec), subset="s", port=81).balancer is Balancer.LEAST_REQUEST


def test_blocks_are_atomic():
    spec = "trafficPolicy: {connectionPool: {tcp: {connectTimeout: 1s}}}, subsets: [{name: s, trafficPolicy: "
    spec += "{connectionPool: {http: {idleTimeout: 5s}}}}]"
    found = cluster(rule(spec), subset="s")
    assert (found.connect_timeout, found.idle_timeout) == (CONNECT_TIMEOUT, 5.0)


@pytest.mark.parametrize(
    ("simple", "balancer"),
    [
        ("LEAST_REQUEST", Balancer.LEAST_REQUEST),
        ("LEAST_CONN", Balancer.LEAST_REQUEST),
        ("UNSPECIFIED", Balancer.LEAST_REQUEST),
        ("ROUND_ROBIN", Balancer.ROUND_ROBIN),
        ("RANDOM", Balancer.RANDOM),
    ],
)
def test_algorithms(simple, balancer):
    assert cluster(rule(f"trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}")).balancer is balancer


def test_passthrough_calls_the_host_itself_whatever_its_endpoints():
    made = cluster(rule("trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}"))
    assert made.resolution is Resolution.DYNAMIC
    assert [(each.address, each.port) for each in made.endpoints] == [(made.host, made.port)]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("http: {idleTimeout: 5s}, tcp: {idleTimeout: 6s}", 5.0),
        ("tcp: {idleTimeout: 6s}", 6.0),
        ("tcp: {idleTimeout: 0s}", math.inf),
        ("tcp: {connectTimeout: 6s}", IDLE_TIMEOUT),
    ],
)
def test_idle_timeouts(pool, expected):
    assert cluster(rule(f"trafficPolicy: {{connectionPool: {{{pool}}}}}")).idle_timeout == expected


def test_every_port_and_subset_is_a_cluster_and_knows_where_it_was_written():
    snapshot = plan(SERVICE, rule("subsets: [{name: v1}, {name: v2}]"))
    assert list(snapshot.clusters) == [
        f"outbound|{port}|{subset}|{HOST}" for port in (80, 81) for subset in ("", "v1", "v2")
    ]
    found = snapshot.clusters[f"outbound|81|v2|{HOST}"]
    assert (found.host, found.port, found.subset) == (HOST, 81, "v2")
    assert found.origin.path == "spec.subsets[1]"


def test_a_subset_that_chooses_nobody_is_a_cluster_without_endpoints():
    assert cluster(rule("subsets: [{name: v9, labels: {v: '9'}}]"), subset="v9").endpoints == ()


def test_wildcards_that_cover_a_host():
    assert list(covering("a.b")) == ["a.b", "*.b", "*b", "*"]
    assert list(covering("*.b")) == ["*.b", "*b", "*"]
