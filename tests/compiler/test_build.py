"""The snapshot as a whole: same input, same plan; it pickles; what does not act is said where it stands."""

import pickle

import pytest
from support.plans import API, REVIEWS, built, plan, virtual_service

from meshproxy.compiler.options import parse_address, parse_bind, parse_map
from meshproxy.model.problem import Level

EVERYTHING = (
    REVIEWS,
    virtual_service("""
    - name: all
      match: [{uri: {regex: '/a.*'}, headers: {x: {prefix: y}}, ignoreUriCase: true, queryParams: {q: {}}}]
      route:
      - {destination: {host: reviews, subset: v1}, weight: 1, headers: {request: {set: {a: "%REQ(b)%"}}}}
      - {destination: {host: reviews}, weight: 2}
      rewrite: {uriRegexRewrite: {match: a, rewrite: b}, authority: c}
      timeout: 1s
      retries: {attempts: 1, retryOn: 5xx}
      fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}
      mirrors: [{destination: {host: reviews}}]
      corsPolicy: {allowOrigins: [{regex: '.*'}]}
    - match: [{uri: {prefix: /r}}]
      redirect: {uri: /x}
    - directResponse: {status: 200, body: {string: hello}}
    """),
    f"""
{API}
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, subsets: [{{name: v1, labels: {{version: v1}}}}]}}
""",
    f"""
{API}
kind: Gateway
metadata: {{name: gw}}
spec: {{servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"], tls: {{httpsRedirect: true}}}}]}}
""",
)


def test_the_same_input_gives_the_same_plan():
    assert built(*EVERYTHING) == built(*EVERYTHING)


def test_a_plan_pickles_with_everything_in_it():
    snapshot = plan(*EVERYTHING, maps=("reviews:v1=127.0.0.1:1",))
    copy = pickle.loads(pickle.dumps(snapshot))
    assert copy == snapshot
    assert copy.listeners[0].virtual_hosts.find(b"reviews").name == "reviews.default.svc.cluster.local:9080"


def test_kinds_are_counted_and_the_digest_is_kept():
    snapshot = plan(*EVERYTHING, digest="d")
    assert snapshot.counts == {"VirtualService": 1, "DestinationRule": 1, "Gateway": 1, "Service": 1}
    assert snapshot.digest == "d"


def test_nothing_at_all_is_an_empty_mesh_listener():
    snapshot, findings = built()
    assert ([each.name for each in snapshot.listeners], snapshot.clusters, findings) == (["mesh"], {}, ())


def policy(text):
    return f"{API}\nkind: DestinationRule\nmetadata: {{name: r}}\nspec: {{host: reviews, trafficPolicy: {{{text}}}}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "loadBalancer: {zoneAwareLbSetting: {enabled: true}}",
        "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}",
        "connectionPool: {http: {maxConcurrentStreams: 1}}",
        "tunnel: {protocol: POST, targetHost: a.b, targetPort: 1}",
        "portLevelSettings: [{port: {number: 80}, connectionPool: {http: {maxConcurrentStreams: 1}}}]",
    ],
)
def test_policies_that_do_not_act_yet_are_findings_at_their_line(text):
    _, findings = built(REVIEWS, policy(text))
    assert [(each.code, each.level, each.origin.line) for each in findings] == [("MPX0001", Level.WARNING, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "loadBalancer: {simple: ROUND_ROBIN}",
        "connectionPool: {tcp: {connectTimeout: 1s}, http: {h2UpgradePolicy: DO_NOT_UPGRADE}}",
        "connectionPool: {http: {maxRetries: 0, idleTimeout: 1s}}",
        "tls: {mode: DISABLE}",
        "loadBalancer: {consistentHash: {useSourceIp: true}}",
        "loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 1s}",
        "loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: true}}",
        "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}",
        "outlierDetection: {}",
        "tls: {mode: SIMPLE}",
        "proxyProtocol: {version: V1}",
    ],
)
def test_what_acts_or_asks_for_nothing_is_no_finding(text):
    assert built(REVIEWS, policy(text))[1] == ()


@pytest.mark.parametrize(
    ("api_version", "kind", "said"),
    [
        ("security.istio.io/v1", "AuthorizationPolicy", True),
        ("security.istio.io/v1", "RequestAuthentication", True),
        ("networking.istio.io/v1alpha3", "EnvoyFilter", True),
        ("telemetry.istio.io/v1", "Telemetry", True),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", True),
        ("apps/v1", "Deployment", False),
        ("v1", "ConfigMap", False),
    ],
)
def test_an_object_that_would_change_the_mesh_and_does_not_act_is_a_finding(api_version: str, kind: str, said: bool):
    _, problems = built(f"\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    assert [(each.code, kind in each.message) for each in problems] == [("MPX0001", True)] * said


def test_what_is_read_for_findings_only_is_not_counted():
    kinds = ("v1 ConfigMap", "apps/v1 Deployment", "gateway.networking.k8s.io/v1 Gateway")
    objects = ["apiVersion: {}\nkind: {}\nmetadata: {{name: a}}\n".format(*each.split()) for each in kinds]
    assert built(REVIEWS, *objects)[0].counts == built(REVIEWS)[0].counts


def test_a_source_subnet_is_a_finding():
    text = f"""
{API}
kind: VirtualService
metadata: {{name: v}}
spec:
  hosts: [a.com]
  tcp: [{{match: [{{sourceSubnet: 10.0.0.0/8}}], route: [{{destination: {{host: a.com}}}}]}}]
"""
    assert [(each.code, each.origin.line) for each in built(text)[1]] == [("MPX0001", 7)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reviews=127.0.0.1:1", ("reviews", "", (("127.0.0.1", 1),))),
        ("reviews:v2=127.0.0.1:1,[::1]:2", ("reviews", "v2", (("127.0.0.1", 1), ("::1", 2)))),
        ("a.com=unix:///run/a.sock", ("a.com", "", (("unix:///run/a.sock", 0),))),
    ],
)
def test_maps(text, expected):
    assert parse_map(text) == expected


def test_binds():
    assert parse_bind("80=127.0.0.1:8081") == (80, ("127.0.0.1", 8081))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_map, "reviews"),
        (parse_map, "=1.1.1.1:1"),
        (parse_map, "a="),
        (parse_map, "a=b"),
        (parse_bind, "x=a:1"),
        (parse_address, "1.1.1.1:99999"),
        (parse_address, ":1"),
    ],
)
def test_what_is_no_address_is_a_value_error(parse, text):
    with pytest.raises(ValueError):
        parse(text)
