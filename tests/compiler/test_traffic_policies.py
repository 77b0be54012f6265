"""The blocks of a traffic policy: inheritance, what each becomes in the plan, hashes of routes, localities, TLS."""

import math

import pytest
from support.plans import API, built, plan, routes_of, virtual_service

from meshproxy.compiler.options import Credentials
from meshproxy.plan.hashing import CookieHash, HeaderHash, Maglev, QueryHash, RingHash, SourceIpHash
from meshproxy.plan.limits import ConnectionPolicy, Keepalive, Limits, RetryBudget
from meshproxy.plan.outlier import OutlierDetection
from meshproxy.plan.slow_start import Warmup
from meshproxy.plan.upstream_tls import ProxyProtocol, Tunnel, UpstreamTls

HOST = "reviews.default.svc.cluster.local"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{name: http, port: 80}, {name: http-b, port: 81}]}
"""


def rule(policy, subsets="", *, host="reviews", **more):
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        f"{API}\nkind: DestinationRule\nmetadata: {{name: r}}\n"
        f"spec: {{host: {host}, trafficPolicy: {{{policy}}}, subsets: [{subsets}]{extra}}}\n"
    )


def subset(policy="", name="v1"):
    return f"{{name: {name}, labels: {{version: {name}}}{f', trafficPolicy: {{{policy}}}' if policy else ''}}}"


def cluster(*texts, port=80, subset="", **options):
    return plan(SERVICE, *texts, **options).clusters[f"outbound|{port}|{subset}|{HOST}"]


# --- inheritance

OUTLIER, POOL, TLS = "outlierDetection: {}", "connectionPool: {tcp: {maxConnections: 7}}", "tls: {mode: SIMPLE}"
BALANCER, TUNNEL = "loadBalancer: {simple: RANDOM}", "tunnel: {targetHost: a.b, targetPort: 1}"
BUDGET, PROXY = "retryBudget: {percent: 5}", "proxyProtocol: {version: V2}"


def present(found):
    """Which blocks have left a trace."""
    traces = {
        "lb": found.balancer.value == "RANDOM",
        "pool": found.limits is not None,
        "outlier": found.outlier is not None,
        "tls": found.tls is not None,
        "tunnel": found.tunnel is not None,
        "proxy": found.proxy_protocol is not None,
        "budget": found.retry_budget is not None,
    }
    return {name for name, there in traces.items() if there}


ALL = ", ".join((BALANCER, POOL, OUTLIER, TLS, TUNNEL, BUDGET))
EVERY = {"lb", "pool", "outlier", "tls", "tunnel", "budget"}


@pytest.mark.parametrize(
    ("policy", "own", "port", "name", "expected"),
    [
        (ALL, "", 80, "", EVERY),
        (ALL, "", 80, "v1", EVERY),
        # a port's entry replaces everything, what it has no field for too
        (f"{ALL}, portLevelSettings: [{{port: {{number: 80}}, {OUTLIER}}}]", "", 80, "", {"outlier"}),
        (f"{ALL}, portLevelSettings: [{{port: {{number: 80}}, {OUTLIER}}}]", "", 81, "", EVERY),
        # a subset replaces block by block
        (f"{BALANCER}, {POOL}", OUTLIER, 80, "v1", {"lb", "pool", "outlier"}),
        (f"{BALANCER}, {POOL}", OUTLIER, 80, "", {"lb", "pool"}),
        (f"{BALANCER}, {BUDGET}", PROXY, 80, "v1", {"lb", "budget", "proxy"}),
        # a subset's port entry replaces the four blocks of a port even where it lacks them
        (ALL, f"{POOL}, portLevelSettings: [{{port: {{number: 80}}, {TLS}}}]", 80, "v1", {"tls", "tunnel", "budget"}),
        (ALL, f"{POOL}, portLevelSettings: [{{port: {{number: 80}}, {TLS}}}]", 81, "v1", EVERY),
        # on top of what the rule has for the port
        (
            f"{ALL}, portLevelSettings: [{{port: {{number: 80}}, {BALANCER}}}]",
            OUTLIER,
            80,
            "v1",
            {"lb", "outlier"},
        ),
    ],
)
def test_inheritance(policy, own, port, name, expected):
    assert present(cluster(rule(policy, subset(own)), port=port, subset=name)) == expected


def test_blocks_are_taken_whole():
    found = cluster(
        rule(
            "connectionPool: {http: {http2MaxRequests: 5}}",
            subset("connectionPool: {tcp: {maxConnections: 1}}"),
        ),
        subset="v1",
    )
    assert found.limits == Limits(connections=1)


# --- blocks


def test_connection_pool():
    written = """connectionPool: {
      tcp: {maxConnections: 1, connectTimeout: 2s, maxConnectionDuration: 1h, idleTimeout: 3s,
            tcpKeepalive: {probes: 4, time: 5s, interval: 500ms}},
      http: {http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRequestsPerConnection: 8, maxRetries: 9,
             idleTimeout: 10s}}"""
    found = cluster(rule(written))
    assert found.limits == Limits(connections=1, pending=6, requests=7, retries=9)
    keepalive = Keepalive(probes=4, time=5, interval=1)
    assert found.connections == ConnectionPolicy(requests=8, duration=3600, keepalive=keepalive)
    assert (found.connect_timeout, found.idle_timeout) == (2, 10)
    assert not found.plain


def test_zero_is_no_limit():
    found = cluster(rule("connectionPool: {tcp: {maxConnections: 0}, http: {maxRetries: 0, http2MaxRequests: 0}}"))
    assert (found.limits, found.connections) == (None, None)
    assert found.plain


def test_tcp_idle_time_out_counts_where_http_has_none_and_zero_is_never():
    assert cluster(rule("connectionPool: {tcp: {idleTimeout: 3s}}")).idle_timeout == 3
    assert cluster(rule("connectionPool: {tcp: {idleTimeout: 0s}}")).idle_timeout == math.inf


def test_an_empty_outlier_detection_has_envoys_defaults():
    assert cluster(rule("outlierDetection: {}")).outlier == OutlierDetection()


def test_outlier_detection():
    written = """outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, interval: 3s,
      baseEjectionTime: 4s, maxEjectionPercent: 50, minHealthPercent: 60, splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 7, outlierDetectionHttpErrorCodes: [404]}"""
    found = cluster(rule(written))
    assert found.panic_threshold == 60
    assert found.outlier == OutlierDetection(
        consecutive_5xx=0,
        consecutive_gateway=2,
        split=True,
        consecutive_local_origin=7,
        interval=3,
        base_ejection_time=4,
        max_ejection_percent=50,
        error_codes=frozenset((404,)),
    )


@pytest.mark.parametrize(
    ("written", "table", "policy"),
    [
        ("{httpHeaderName: X-User}", RingHash(1024), HeaderHash(b"x-user")),
        ("{useSourceIp: true, minimumRingSize: 64}", RingHash(64), SourceIpHash()),
        ("{httpQueryParameterName: q, ringHash: {minimumRingSize: 9}}", RingHash(9), QueryHash(b"q")),
        ("{httpQueryParameterName: q, ringHash: {}}", RingHash(1024), QueryHash(b"q")),
        ("{httpCookie: {name: c}, maglev: {tableSize: 1021}}", Maglev(1021), CookieHash(name=b"c")),
        (
            "{httpCookie: {name: c, ttl: 90s, path: /p, attributes: [{name: SameSite, value: Lax}, {name: Secure}]}}",
            RingHash(1024),
            CookieHash(name=b"c", ttl=90, path=b"/p", attributes=((b"SameSite", b"Lax"), (b"Secure", b""))),
        ),
        ("{httpCookie: {name: c, ttl: 0s}}", RingHash(1024), CookieHash(name=b"c", ttl=0)),
    ],
)
def test_consistent_hash(written, table, policy):
    snapshot = plan(SERVICE, rule(f"loadBalancer: {{consistentHash: {written}}}"))
    assert snapshot.clusters[f"outbound|80||{HOST}"].hashing == table
    (route,) = routes_of(snapshot)
    assert route.hashes == (policy,)
    assert not route.plain


def test_streams_are_hashed_by_the_client_s_address_alone():
    def hashes_source(written):
        return cluster(rule(f"loadBalancer: {{consistentHash: {written}}}")).hashes_source

    assert hashes_source("{useSourceIp: true}")
    assert not hashes_source("{httpHeaderName: x}")


def test_warmup():
    def warmup(written):
        return cluster(rule(f"loadBalancer: {{{written}}}")).warmup

    assert warmup("warmup: {duration: 30s}") == warmup("warmupDurationSecs: 30s") == Warmup(duration=30)
    full = "simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 0, aggression: 2}"
    assert warmup(full) == Warmup(duration=30, minimum=0, aggression=2)
    assert warmup("simple: RANDOM, warmup: {duration: 30s}") is None


def test_retry_budget_tunnel_and_proxy_protocol():
    found = cluster(rule("retryBudget: {percent: 50, minRetryConcurrency: 1, budgetInterval: 2s}, proxyProtocol: {}"))
    assert found.retry_budget == RetryBudget(percent=50, minimum=1, window=2)
    assert found.proxy_protocol is ProxyProtocol.V1
    assert cluster(rule("retryBudget: {}, " + PROXY)).retry_budget == RetryBudget()
    assert cluster(rule("tunnel: {targetHost: '::1', targetPort: 8}")).tunnel == Tunnel("CONNECT", "[::1]:8")


# --- hash policies of routes

HASH_A, HASH_B = (f"loadBalancer: {{consistentHash: {{httpHeaderName: {name}}}}}" for name in "ab")


def hashes(policy, subsets, destinations, retries=""):
    text = virtual_service(
        f"- route: [{destinations}]{f', retries: {retries}' if retries else ''}".replace("- ", "- {") + "}"
    )
    return routes_of(plan(SERVICE, rule(policy, subsets), text))[0]


@pytest.mark.parametrize(
    ("policy", "subsets", "destination", "expected"),
    [
        (HASH_A, "", "{host: reviews}", b"a"),
        (HASH_A, subset(HASH_B), "{host: reviews, subset: v1}", b"b"),
        (HASH_A, subset(), "{host: reviews, subset: v1}", b"a"),
        (f"{HASH_A}, portLevelSettings: [{{port: {{number: 80}}, {HASH_B}}}]", "", "{host: reviews}", b"a"),
        (
            f"{HASH_A}, portLevelSettings: [{{port: {{number: 80}}, {HASH_B}}}]",
            "",
            "{host: reviews, port: {number: 80}}",
            b"b",
        ),
    ],
)
def test_which_hash_acts_on_a_route(policy, subsets, destination, expected):
    route = hashes(policy, subsets, f"{{destination: {destination}}}")
    assert route.hashes == (HeaderHash(expected),)


def test_every_weighted_destination_adds_its_hash():
    subsets = f"{subset(HASH_A)}, {subset(HASH_B, name='v2')}"
    destinations = ", ".join(
        f"{{destination: {{host: reviews, subset: v{n}}}, weight: {weight}}}" for n, weight in ((1, 50), (2, 50))
    )
    route = hashes("loadBalancer: {simple: RANDOM}", subsets, destinations)
    assert route.hashes == (HeaderHash(b"a"), HeaderHash(b"b"))
    assert route.retry.avoid_previous_hosts


def test_retries_of_a_hashed_request_stay_where_they_are_unless_told_otherwise():
    one = "{destination: {host: reviews}}"
    assert not hashes(HASH_A, "", one).retry.avoid_previous_hosts
    assert not hashes(HASH_A, "", one, "{attempts: 2}").retry.avoid_previous_hosts
    assert hashes(HASH_A, "", one, "{attempts: 2, retryIgnorePreviousHosts: true}").retry.avoid_previous_hosts
    assert not routes_of(plan(SERVICE, rule(HASH_A)))[0].retry.avoid_previous_hosts


# --- localities


def entry(*endpoints, annotations=""):
    listed = ", ".join(
        f"{{address: 10.0.0.{n}, locality: '{locality}'{', labels: {' + labels + '}' if labels else ''}}}"
        for n, (locality, labels) in enumerate(endpoints, 1)
    )
    return (
        f"{API}\nkind: ServiceEntry\nmetadata: {{name: e, annotations: {{{annotations}}}}}\n"
        "spec: {hosts: [x.test], resolution: STATIC, location: MESH_INTERNAL, ports: [{number: 80, name: http, "
        f"protocol: HTTP}}], endpoints: [{listed}]}}\n"
    )


def localized(*endpoints, policy, labels=None, **more):
    here = {"istio-locality": "r1.z1.s1"} if labels is None else labels
    found = plan(entry(*endpoints, **more), rule(policy, host="x.test"), labels=here).clusters["outbound|80||x.test"]
    priorities = {endpoint.address.rpartition(".")[2]: endpoint.priority for endpoint in found.endpoints}
    return priorities, dict(found.locality_weights)


PLACES = [("r1/z1/s1", ""), ("r1/z1/s2", ""), ("r1/z2", ""), ("r2/z1", ""), ("r3", "")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("outlierDetection: {}", [0, 1, 2, 3, 3]),
        ("loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r3}]}}, outlierDetection: {}", [0, 1, 2, 4, 3]),
        ("loadBalancer: {localityLbSetting: {enabled: false}}, outlierDetection: {}", [0, 0, 0, 0, 0]),
        ("loadBalancer: {simple: RANDOM}", [0, 0, 0, 0, 0]),  # without detection nobody ever fails over
    ],
)
def test_failover_by_distance(policy, expected):
    priorities, weights = localized(*PLACES, policy=policy)
    assert (list(priorities.values()), weights) == (expected, {})


def test_priorities_have_no_gaps():
    assert localized(PLACES[0], PLACES[4], policy="outlierDetection: {}")[0] == {"1": 0, "2": 1}


def test_failover_priority_counts_leading_labels_that_agree():
    endpoints = [("r1", "a: x, b: y"), ("r1", "a: x, b: n"), ("r1", "a: n, b: y"), ("r9", "a: x, b: y, c: '1'")]
    policy = "loadBalancer: {localityLbSetting: {failoverPriority: [a, b]}}, outlierDetection: {}"
    assert localized(*endpoints, policy=policy, labels={"a": "x", "b": "y"})[0] == {"1": 0, "2": 1, "3": 2, "4": 0}
    policy = policy.replace("[a, b]", "[c=1, a]")
    assert localized(*endpoints, policy=policy, labels={"a": "x"})[0] == {"1": 1, "2": 1, "3": 1, "4": 0}


def test_topology_labels_are_known_without_being_written():
    policy = """loadBalancer: {localityLbSetting: {failoverPriority:
      [topology.kubernetes.io/region, topology.kubernetes.io/zone]}}, outlierDetection: {}"""
    assert list(localized(*PLACES, policy=policy)[0].values()) == [0, 0, 1, 2, 2]


def test_distribute_splits_by_the_first_rule_for_where_we_are():
    policy = """loadBalancer: {localityLbSetting: {distribute: [
      {from: 'r9/*', to: {r1: 100}}, {from: 'r1/z1/*', to: {'r1/z1/*': 80, r3: 20}}]}}"""
    priorities, weights = localized(*PLACES, policy=policy)
    assert weights == {"r1/z1/s1": 40, "r1/z1/s2": 40, "r3": 20}
    assert list(priorities) == ["1", "2", "5"]


def test_distribute_that_speaks_of_elsewhere_changes_nothing():
    policy = "loadBalancer: {localityLbSetting: {distribute: [{from: r9, to: {r1: 100}}]}}"
    assert localized(*PLACES, policy=policy) == ({str(n): 0 for n in range(1, 6)}, {})


def test_prefer_close_needs_no_outlier_detection():
    annotations = "networking.istio.io/traffic-distribution: PreferClose"
    found, _ = localized(*PLACES, policy="loadBalancer: {simple: RANDOM}", annotations=annotations)
    assert list(found.values()) == [0, 1, 2, 3, 3]


def test_subsets_may_name_where_an_endpoint_is():
    where = "{name: z, labels: {topology.kubernetes.io/zone: z1}}"
    found = plan(entry(*PLACES), rule("loadBalancer: {simple: RANDOM}", where, host="x.test"))
    assert [each.locality for each in found.clusters["outbound|80|z|x.test"].endpoints] == [
        "r1/z1/s1",
        "r1/z1/s2",
        "r2/z1",
    ]


# --- TLS


def tls(written, **more):
    return cluster(rule(f"tls: {{{written}}}", **more)).tls


def test_disabled_tls_is_plain_text():
    assert tls("mode: DISABLE") is None
    assert tls("mode: SIMPLE, credentialName: x") is None  # a sidecar takes it with a workloadSelector only


def test_simple_tls_verifies_the_chain_and_the_hosts_name():
    assert tls("mode: SIMPLE") == UpstreamTls(mode="SIMPLE", verify_host=True)
    assert tls("mode: SIMPLE, sni: a.b") == UpstreamTls(mode="SIMPLE", sni="a.b")
    named = tls("mode: SIMPLE, subjectAltNames: [a.b], caCertificates: /ca.pem")
    assert named == UpstreamTls(mode="SIMPLE", names=("a.b",), ca="/ca.pem")
    assert tls("mode: SIMPLE, insecureSkipVerify: true") == UpstreamTls(mode="SIMPLE", verify=False)


def test_mutual_tls_presents_a_certificate():
    found = tls("mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, sni: x")
    assert (found.certificate, found.key, found.ca) == ("/c.pem", "/k.pem", "/ca.pem")


def test_istio_mutual_uses_the_workloads_certificates():
    found = cluster(rule("tls: {mode: ISTIO_MUTUAL}", subset()), subset="v1").tls
    assert (found.certificate, found.key, found.ca) == tuple(
        f"/etc/certs/{name}.pem" for name in ("cert-chain", "key", "root-cert")
    )
    assert found.sni == f"outbound_.80_.v1_.{HOST}"
    assert found.alpn[0] == "istio-http/1.1"


def test_names_of_the_service_entry_count_where_the_rule_has_none():
    text = entry(("r1", "")).replace("hosts:", "subjectAltNames: [spiffe://x], hosts:")
    found = plan(text, rule("tls: {mode: SIMPLE}", host="x.test")).clusters["outbound|80||x.test"].tls
    assert found.names == ("spiffe://x",)
    assert not found.verify_host


SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {tls.crt: CHAIN, tls.key: KEY, ca.crt: ROOT}
"""


def test_a_credential_is_taken_from_a_secret_and_never_shown():
    texts = (
        SERVICE,
        SECRET,
        rule("tls: {mode: MUTUAL, credentialName: cred}", workloadSelector="{matchLabels: {a: b}}"),
    )
    found = plan(*texts, labels={"a": "b"}).clusters[f"outbound|80||{HOST}"].tls
    assert (found.certificate.content, found.key.content, found.ca.content) == (b"CHAIN", b"KEY", b"ROOT")
    assert "KEY" not in repr(found)


def test_what_cannot_be_read_is_a_finding_where_certificates_are_looked_at():
    texts = (SERVICE, rule("tls: {mode: SIMPLE, caCertificates: /nowhere/ca.pem}"))
    _, problems = built(*texts, credentials=Credentials())
    (found,) = [problem for problem in problems if "cannot be read" in problem.message]
    assert (found.code, found.origin.path) == ("MPX0141", "spec.trafficPolicy.tls.caCertificates")
    assert not [problem for problem in built(*texts)[1] if "cannot be read" in problem.message]
    _, problems = built(SERVICE, rule("tls: {mode: ISTIO_MUTUAL}"), credentials=Credentials())
    assert [problem for problem in problems if "/etc/certs/key.pem" in problem.message]
