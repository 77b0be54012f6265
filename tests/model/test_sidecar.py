"""Every row of Istio's validation of a Sidecar, with the place of the finding (marked «)."""

import pytest

from meshproxy.model.problem import Level
from tests.support.written import assert_accepted, assert_found

INGRESS = "ingress:\n- port: {number: 80, protocol: HTTP}\n  "
TLS = "ingress:\n- port: {number: 443, protocol: HTTPS}\n  tls: "
EGRESS = "egress:\n- hosts: ['./*']\n  "

ERRORS = [
    ("«workloadSelector: {labels: {a: b}}", "spec", "a Sidecar needs"),
    ("ingress: [«null]", "spec.ingress[0]", "must not be null"),
    ("ingress: [«{bind: 1.2.3.4}]", "spec.ingress[0]", "port is required"),
    ("ingress: [{port: «{protocol: HTTP}}]", "spec.ingress[0].port.number", "from 1 to 65535"),
    ("ingress: [{port: {number: 1, protocol: «FTP}}]", "spec.ingress[0].port.protocol", "is not a protocol"),
    ("ingress: [{port: {number: 1, targetPort: «2}}]", "spec.ingress[0].port.targetPort", "no effect"),
    ("ingress: [{port: {number: 1}}, {port: {number: «1}}]", "spec.ingress[1].port.number", "has 1 already"),
    (INGRESS + "bind: «a", "spec.ingress[0].bind", "not an IP address"),
    (INGRESS + "defaultEndpoint: «'10.0.0.1:80'", "spec.ingress[0].defaultEndpoint", "is not 127.0.0.1:PORT"),
    (INGRESS + "defaultEndpoint: «'127.0.0.1:0'", "spec.ingress[0].defaultEndpoint", "is not 127.0.0.1:PORT"),
    (INGRESS + "tls: «{mode: SIMPLE, serverCertificate: /a, privateKey: /b}", "spec.ingress[0].tls", "needs a port"),
    (TLS + "{mode: «AUTO_PASSTHROUGH}", "spec.ingress[0].tls.mode", "not supported"),
    (TLS + "{mode: SIMPLE, credentialName: «a}", "spec.ingress[0].tls.credentialName", "not supported"),
    ("egress: [«null]", "spec.egress[0]", "must not be null"),
    ("egress: [{hosts: «[]}]", "spec.egress[0].hosts", "must not be empty"),
    ("egress: [«{hosts: ['a/*']}, {hosts: ['b/*']}]", "spec.egress[0]", "must be the last one"),
    (
        "egress: [{port: {number: 1}, hosts: ['a/*']}, {port: {number: «1}, hosts: ['b/*']}]",
        "spec.egress[1].port.number",
        "already",
    ),
    ("egress: [{port: «{protocol: HTTP}, hosts: ['a/*']}]", "spec.egress[0].port.number", "a port needs a number"),
    (
        EGRESS + "port: {number: 0}\n  bind: unix:///a\n  captureMode: «IPTABLES",
        "spec.egress[0].captureMode",
        "write NONE",
    ),
    (EGRESS + "port: {number: 1}\n  bind: «unix:///a", "spec.egress[0].bind", "not an IP address"),
    ("egress: [{hosts: [«a.com]}]", "spec.egress[0].hosts[0]", "namespace/dnsName"),
    ("egress: [{hosts: [«./a]}]", "spec.egress[0].hosts[0]", "is a short name"),
    ("egress: [{hosts: [«'./*a.com']}]", "spec.egress[0].hosts[0]", "partial wildcard"),
    ("egress: [{hosts: [«a.b/*]}]", "spec.egress[0].hosts[0]", "the namespace of"),
    ("outboundTrafficPolicy: {mode: «ALLOW_ANY_DYNAMIC_DNS}", "spec.outboundTrafficPolicy.mode", "mesh config"),
    (
        "outboundTrafficPolicy: {egressProxy: «{host: a.b, port: {number: 1}}}",
        "spec.outboundTrafficPolicy.egressProxy",
        "needs the mode",
    ),
    (
        "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: «{host: a.b}}",
        "spec.outboundTrafficPolicy.egressProxy.port",
        "needs a port",
    ),
    ("inboundConnectionPool: «{}", "spec.inboundConnectionPool", "needs tcp or http"),
]
WARNINGS = [
    ("workloadSelector: «{}\n" + EGRESS, "spec.workloadSelector", "whole namespace"),
    ("egress: [{hosts: [a/b.com, «a/b.com]}]", "spec.egress[0].hosts[1]", "named before"),
    ("egress: [{hosts: [a/*, «a/b.com]}]", "spec.egress[0].hosts[1]", "named before"),
    ("egress: [{hosts: «['*/*', a/b.com]}]", "spec.egress[0].hosts", "imports everything"),
    (
        "ingress: [{port: {number: 1, protocol: TCP}, connectionPool: {http: «{}}}]",
        "spec.ingress[0].connectionPool.http",
        "only the tcp settings",
    ),
]
ACCEPTED = [
    EGRESS,
    "egress: [{hosts: ['~/*']}]",
    "egress: [{hosts: ['*/*', '~ns1/*']}]",
    "egress: [{port: {number: 80, protocol: HTTP, name: a}, hosts: ['prod/*.a.com']}, {hosts: ['istio-system/*']}]",
    INGRESS + "defaultEndpoint: unix:///var/run/a.sock",
    INGRESS + "defaultEndpoint: '[::1]:80'",
    "outboundTrafficPolicy: {}",
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS, ids=[path for _, path, _ in ERRORS])
def test_what_the_webhook_refuses_is_an_error_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("Sidecar", spec, Level.ERROR, path, message)


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS, ids=[path for _, path, _ in WARNINGS])
def test_what_the_webhook_warns_of_is_a_warning_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("Sidecar", spec, Level.WARNING, path, message)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_the_webhook_accepts_is_accepted(spec: str) -> None:
    assert_accepted("Sidecar", spec)
