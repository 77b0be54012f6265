"""A DestinationRule's policies in the export: a real Envoy takes every one of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import trustme
from support.envoy import executable
from support.plans import API, plan

from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.listeners import Log

DETECTION = """outlierDetection: {consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, interval: 3s,
  consecutiveLocalOriginFailures: 7, minHealthPercent: 60, outlierDetectionHttpErrorCodes: [404, 503]}"""
POOL = """connectionPool: {tcp: {maxConnections: 1, maxConnectionDuration: 1h,
  tcpKeepalive: {probes: 4, time: 5s, interval: 1s}},
  http: {http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRequestsPerConnection: 8, maxRetries: 9}}"""
COOKIE = "{name: c, ttl: 90s, path: /p, attributes: [{name: SameSite, value: Lax}]}"
POLICIES = {
    "detection": DETECTION,
    "failover": "outlierDetection: {}",
    "one-code": "outlierDetection: {outlierDetectionHttpErrorCodes: [404]}",
    "pool": POOL,
    "ring": "loadBalancer: {consistentHash: {httpHeaderName: x}}",
    "maglev": "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1021}}}",
    "cookie": f"loadBalancer: {{consistentHash: {{httpCookie: {COOKIE}}}}}",
    "query": "loadBalancer: {consistentHash: {httpQueryParameterName: q, ringHash: {minimumRingSize: 9}}}",
    "warmup": "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 1, aggression: 2}}",
    "distribute": "loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {r1: 80, r2: 20}}]}}",
    "budget": "retryBudget: {percent: 50, minRetryConcurrency: 1}, proxyProtocol: {version: V2}",
    "simple": "tls: {mode: SIMPLE}",
    "named": "tls: {mode: SIMPLE, caCertificates: CA, subjectAltNames: [a.b, 'spiffe://x'], sni: a.b}",
    "skip": "tls: {mode: SIMPLE, insecureSkipVerify: true}, proxyProtocol: {version: V1}",
    "mutual": "tls: {mode: MUTUAL, clientCertificate: CHAIN, privateKey: KEY, caCertificates: CA}",
}


def exported(directory: Path) -> dict:
    texts = []
    for name, policy in POLICIES.items():
        for file in ("CA", "CHAIN", "KEY"):
            policy = policy.replace(f" {file}", f" {directory / file}")
        places = "{address: 10.0.0.1, locality: r1}, {address: 10.0.0.2, locality: r2}"
        texts.append(
            f"{API}\nkind: ServiceEntry\nmetadata: {{name: {name}}}\n"
            f"spec: {{hosts: [{name}.test], resolution: STATIC, location: MESH_INTERNAL, endpoints: [{places}], "
            "ports: [{number: 80, name: http, protocol: HTTP}]}\n"
        )
        texts.append(
            f"{API}\nkind: DestinationRule\nmetadata: {{name: {name}}}\n"
            f"spec: {{host: {name}.test, trafficPolicy: {{{policy}}}}}\n"
        )
    snapshot = plan(*texts, labels={"istio-locality": "r1"})
    return export_bootstrap(snapshot, admin=("127.0.0.1", 0), log=Log("/dev/null", "%RESPONSE_CODE%\n"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("pem")
    ca = trustme.CA()
    leaf = ca.issue_cert("client.test")
    ca.cert_pem.write_to_path(where / "CA")
    leaf.cert_chain_pems[0].write_to_path(where / "CHAIN")
    leaf.private_key_pem.write_to_path(where / "KEY")
    return where


@pytest.mark.skipif(executable() is None, reason="there is no Envoy here")
def test_envoy_accepts_every_policy(directory: Path) -> None:
    config = directory / "envoy.json"
    config.write_text(json.dumps(exported(directory)))
    command = [executable() or "", "--mode", "validate", "-c", str(config), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_exported_is_what_was_asked_for(directory: Path) -> None:
    clusters = {each["name"].split("|")[3]: each for each in exported(directory)["static_resources"]["clusters"]}
    (threshold,) = clusters["pool.test"]["circuit_breakers"]["thresholds"]
    limits = {name: value for name, value in threshold.items() if name.startswith("max_")}
    assert limits == {"max_connections": 1, "max_pending_requests": 6, "max_requests": 7, "max_retries": 9}
    assert clusters["ring.test"]["lb_policy"] == "RING_HASH"
    assert clusters["maglev.test"]["maglev_lb_config"] == {"table_size": 1021}
    weights = [each["load_balancing_weight"] for each in clusters["distribute.test"]["load_assignment"]["endpoints"]]
    assert weights == [80, 20]
    places = clusters["failover.test"]["load_assignment"]["endpoints"]
    assert [each.get("priority", 0) for each in places] == [0, 1]
    detection = clusters["detection.test"]["outlier_detection"]
    assert (detection["consecutive_5xx"], detection["consecutive_gateway_failure"]) == (5, 2)
    assert clusters["detection.test"]["common_lb_config"]["healthy_panic_threshold"] == {"value": 60}
    assert clusters["mutual.test"]["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"]
