"""Every row of Istio's validation of a DestinationRule, with the place of the finding (marked «)."""

import pytest

from meshproxy.model.problem import Level
from tests.support.written import assert_accepted, assert_found, object_of, read

POLICY = "host: a\ntrafficPolicy:\n  "
HASH = POLICY + "loadBalancer: {consistentHash: "
LOCALITY = POLICY + "outlierDetection: {}\n  loadBalancer: {localityLbSetting: "
AT_LOCALITY = "spec.trafficPolicy.loadBalancer.localityLbSetting"
AT_HASH = "spec.trafficPolicy.loadBalancer.consistentHash"

ERRORS = [
    ("«subsets: []", "spec", "host is required"),
    ("host: «a_b", "spec.host", "not a host name"),
    ("host: «''", "spec.host", "must not be empty"),
    ("host: a\nsubsets: [{name: v1}, {name: «v1}]", "spec.subsets[1].name", "stands here twice"),
    ("host: a\nsubsets: [«null]", "spec.subsets[0]", "must not be null"),
    ("host: a\nsubsets: [«{labels: {a: b}}]", "spec.subsets[0]", "name is required"),
    ("host: a\nsubsets: [{name: «v.1}]", "spec.subsets[0].name", "not a DNS label"),
    ("host: a\nsubsets: [{name: v1, labels: {version: «1.0}}]", "spec.subsets[0].labels.version", 'quote it as "1.0"'),
    ("host: a\nsubsets: [{name: v1, trafficPolicy: «{}}]", "spec.subsets[0].trafficPolicy", "is empty"),
    ("host: a\nexportTo: «[b]\nworkloadSelector: {matchLabels: {a: b}}", "spec.exportTo", "in its own namespace"),
    ("host: a\nworkloadSelector: {matchLabels: {a: «'*'}}", "spec.workloadSelector.matchLabels.a", "no wildcards"),
    ("host: a\nworkloadSelector: {matchLabels: {«'': b}}", "spec.workloadSelector.matchLabels", "must not be empty"),
    ("host: a\ntrafficPolicy: «{}", "spec.trafficPolicy", "is empty"),
    (
        POLICY + "tunnel: {targetHost: b.c, targetPort: 1}\n  proxyProtocol: «{}",
        "spec.trafficPolicy.proxyProtocol",
        "excl",
    ),
    (
        POLICY + "tunnel: {targetHost: b.c, targetPort: 1, protocol: «GET}",
        "spec.trafficPolicy.tunnel.protocol",
        "CONNECT",
    ),
    (POLICY + "tunnel: {targetHost: «b_c, targetPort: 1}", "spec.trafficPolicy.tunnel.targetHost", "not a host name"),
    (POLICY + "tunnel: {targetHost: b.c, targetPort: «0}", "spec.trafficPolicy.tunnel.targetPort", "range"),
    (POLICY + "portLevelSettings: [«{tls: {}}]", "spec.trafficPolicy.portLevelSettings[0]", "port is required"),
    (POLICY + "portLevelSettings: [«{port: {number: 1}}]", "spec.trafficPolicy.portLevelSettings[0]", "is empty"),
    (
        POLICY + "portLevelSettings: [{port: {number: 1}, tls: {}, «tunnel: {}}]",
        "spec.trafficPolicy.portLevelSettings[0].tunnel",
        "unknown field",
    ),
    (
        POLICY + "loadBalancer: {simple: «ROUNDROBIN}",
        "spec.trafficPolicy.loadBalancer.simple",
        'did you mean "ROUND_ROBIN"?',
    ),
    (POLICY + "loadBalancer: {simple: RANDOM, consistentHash: «{useSourceIp: true}}", AT_HASH, "exclude each other"),
    (HASH + "{httpCookie: «{ttl: 0s}}}", AT_HASH + ".httpCookie", "name is required"),
    (HASH + "{httpCookie: {name: a, ttl: «-1s}}}", AT_HASH + ".httpCookie.ttl", "must not be negative"),
    (
        HASH + "{httpCookie: {name: a, attributes: [{name: b}, {name: «b}]}}}",
        AT_HASH + ".httpCookie.attributes[1].name",
        "twice",
    ),
    (HASH + "{httpHeaderName: a, useSourceIp: «true}}", AT_HASH + ".useSourceIp", "exclude each other"),
    (HASH + "{useSourceIp: true, maglev: «{}}}", AT_HASH + ".maglev", "tableSize is required"),
    (HASH + "{useSourceIp: true, maglev: {tableSize: «65536}}}", AT_HASH + ".maglev.tableSize", "not a prime"),
    (HASH + "{useSourceIp: true, maglev: {tableSize: «5000011}}}", AT_HASH + ".maglev.tableSize", "not a prime"),
    (
        LOCALITY + "{distribute: [{from: a, to: {b: 100}}], failover: «[{from: a, to: b}]}}",
        AT_LOCALITY + ".failover",
        "exclude",
    ),
    (LOCALITY + "{distribute: [{from: a, to: «{b: 50}}]}}", AT_LOCALITY + ".distribute[0].to", "must add up to 100"),
    (LOCALITY + "{distribute: [{from: a, to: {b: 100, c: «0}}]}}", AT_LOCALITY + ".distribute[0].to.c", "1 to 100"),
    (LOCALITY + "{distribute: [{from: a, to: {b: 50, b/c: «50}}]}}", AT_LOCALITY + ".distribute[0].to.b/c", "overlaps"),
    (
        LOCALITY + "{distribute: [{from: a/*, to: {b: 100}}, {from: «a/b, to: {b: 100}}]}}",
        AT_LOCALITY + ".distribute[1].from",
        "overlaps",
    ),
    (LOCALITY + "{distribute: [{from: «a/*/c, to: {b: 100}}]}}", AT_LOCALITY + ".distribute[0].from", "at the end"),
    (
        LOCALITY + "{distribute: [{from: «a//c, to: {b: 100}}]}}",
        AT_LOCALITY + ".distribute[0].from",
        "must not be empty",
    ),
    (LOCALITY + "{failover: [{from: a, to: «a}]}}", AT_LOCALITY + ".failover[0].to", "another region"),
    (LOCALITY + "{failover: [{from: «a/b, to: c}]}}", AT_LOCALITY + ".failover[0].from", "not a region"),
    (
        LOCALITY + "{failover: [{from: a, to: b}], failoverPriority: [«topology.kubernetes.io/zone]}}",
        AT_LOCALITY + ".failoverPriority[0]",
        "excludes failover",
    ),
    (
        POLICY + "loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: «{}}",
        "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting",
        "exclude",
    ),
    (POLICY + "loadBalancer: {warmup: «{}}", "spec.trafficPolicy.loadBalancer.warmup", "duration is required"),
    (
        POLICY + "loadBalancer: {warmup: {duration: 1s, minimumPercent: «101}}",
        "spec.trafficPolicy.loadBalancer.warmup.minimumPercent",
        "0 to 100",
    ),
    (
        POLICY + "loadBalancer: {warmup: {duration: 1s, aggression: «0}}",
        "spec.trafficPolicy.loadBalancer.warmup.aggression",
        "greater than 0",
    ),
    (POLICY + "connectionPool: «{}", "spec.trafficPolicy.connectionPool", "needs tcp or http"),
    (
        POLICY + "connectionPool: {tcp: {maxConnections: «-1}}",
        "spec.trafficPolicy.connectionPool.tcp.maxConnections",
        "negative",
    ),
    (
        POLICY + "connectionPool: {tcp: {connectTimeout: «0s}}",
        "spec.trafficPolicy.connectionPool.tcp.connectTimeout",
        "1ms",
    ),
    (
        POLICY + "connectionPool: {http: {idleTimeout: «0s}}",
        "spec.trafficPolicy.connectionPool.http.idleTimeout",
        "1ms",
    ),
    (
        POLICY + "connectionPool: {http: {maxRetries: «-1}}",
        "spec.trafficPolicy.connectionPool.http.maxRetries",
        "negative",
    ),
    (
        POLICY + "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: «true}}",
        "spec.trafficPolicy.connectionPool.http.useClientProtocol",
        "exclude",
    ),
    (
        POLICY + "connectionPool: {http: {http2KeepAlive: «{interval: 1s}}}",
        "spec.trafficPolicy.connectionPool.http.http2KeepAlive",
        "timeout is required",
    ),
    (POLICY + "outlierDetection: {interval: «0s}", "spec.trafficPolicy.outlierDetection.interval", "1ms"),
    (
        POLICY + "outlierDetection: {maxEjectionPercent: «101}",
        "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        "0 to 100",
    ),
    (
        POLICY + "outlierDetection: {consecutive5xxErrors: «-1}",
        "spec.trafficPolicy.outlierDetection.consecutive5xxErrors",
        "range",
    ),
    (
        POLICY + "outlierDetection: {consecutiveLocalOriginFailures: «1}",
        "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
        "needs split",
    ),
    (
        POLICY + "tls: «{mode: MUTUAL, privateKey: /a}",
        "spec.trafficPolicy.tls.clientCertificate",
        "needs a clientCertificate",
    ),
    (
        POLICY + "tls: {mode: SIMPLE, credentialName: a, caCertificates: «/a}",
        "spec.trafficPolicy.tls.caCertificates",
        "exclude",
    ),
    (
        POLICY + "tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: «[a]}",
        "spec.trafficPolicy.tls.subjectAltNames",
        "exclude",
    ),
    (
        POLICY + "tls: {mode: SIMPLE, credentialName: «'configmap://there/a'}",
        "spec.trafficPolicy.tls.credentialName",
        "namespace",
    ),
    (POLICY + "retryBudget: {percent: «101}", "spec.trafficPolicy.retryBudget.percent", "0 to 100"),
]
WARNINGS = [
    ("host: a\nworkloadSelector: «{}", "spec.workloadSelector", "whole namespace"),
    (HASH + "{useSourceIp: true, minimumRingSize: «5}}", AT_HASH + ".minimumRingSize", "deprecated"),
    (
        POLICY + "outlierDetection: {consecutiveErrors: «5}",
        "spec.trafficPolicy.outlierDetection.consecutiveErrors",
        "not used",
    ),
    (
        POLICY + "loadBalancer: {localityLbSetting: {failover: «[{from: a, to: b}]}}",
        AT_LOCALITY + ".failover",
        "does nothing",
    ),
]
ACCEPTED = [
    "host: '*'",
    "host: '*.local'\nsubsets: [{name: v1, labels: {version: v1}}, {name: v2, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]",
    POLICY + "outlierDetection: {}",
    POLICY + "tls: {}",
    POLICY + "connectionPool: {tcp: {idleTimeout: 0s, connectTimeout: 30ms, tcpKeepalive: {time: 7200s}}, http: {}}",
    POLICY + "tls: {mode: MUTUAL, credentialName: a}",
    HASH + "{httpCookie: {name: a, ttl: 0s}, ringHash: {minimumRingSize: '5'}}}",
    LOCALITY + "{distribute: [{from: a/*, to: {a/b: 80, a/c: 20}}]}}",
    "host: a\nexportTo: [.]\nworkloadSelector: {matchLabels: {app: a}}",
    POLICY + "tls: {mode: SIMPLE, credentialName: 'configmap://a'}",
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS, ids=[path for _, path, _ in ERRORS])
def test_what_the_webhook_refuses_is_an_error_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("DestinationRule", spec, Level.ERROR, path, message)


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS, ids=[path for _, path, _ in WARNINGS])
def test_what_the_webhook_warns_of_is_a_warning_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("DestinationRule", spec, Level.WARNING, path, message)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_the_webhook_accepts_is_accepted(spec: str) -> None:
    assert_accepted("DestinationRule", spec)


def test_wrappers_are_none_where_absent_and_numbers_where_written() -> None:
    catalog, _ = read(
        object_of("DestinationRule", POLICY + "outlierDetection: {consecutive5xxErrors: 0, interval: 1.5s}")
    )
    policy = catalog.destination_rules[0].traffic_policy
    assert policy is not None
    detection = policy.outlier_detection
    assert detection is not None
    assert (detection.consecutive_5xx_errors, detection.consecutive_gateway_errors) == (0, None)
    assert (detection.interval, detection.base_ejection_time) == (1.5, None)
