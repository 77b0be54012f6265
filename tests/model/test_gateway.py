"""Every row of Istio's validation of a Gateway, with the place of the finding (marked «)."""

import pytest

from meshproxy.model.problem import Level
from tests.support.written import assert_accepted, assert_found, object_of, read

HTTP = "servers:\n- port: {number: 80, name: http, protocol: HTTP}\n  hosts: ['*']\n  "
HTTPS = "servers:\n- port: {number: 443, name: https, protocol: HTTPS}\n  hosts: ['*']\n  "
AT = "spec.servers[0]"


def with_host(host: str) -> str:
    return f"servers:\n- port: {{number: 80, name: http, protocol: HTTP}}\n  hosts: [{host}]"


def with_port(port: str) -> str:
    return f"servers:\n- hosts: ['*']\n  port: {port}"


ERRORS = [
    ("«selector: {a: b}", "spec", "servers is required"),
    ("servers: «[]", "spec.servers", "must not be empty"),
    ("servers: [«null]", AT, "must not be null"),
    ("servers:\n- «hosts: ['*']", AT, "port is required"),
    ("servers:\n- «port: {number: 80, name: http, protocol: HTTP}", AT, "hosts is required"),
    (with_host("«bookinfo"), AT + ".hosts[0]", "is a short name"),
    (with_host("«'*foo.com'"), AT + ".hosts[0]", "partial wildcard"),
    (with_host("«a_b/foo.com"), AT + ".hosts[0]", "the namespace of"),
    (with_host("«/foo.com"), AT + ".hosts[0]", "namespace/host"),
    (with_host("«ns/foo_bar.com"), AT + ".hosts[0]", "not a host name"),
    (with_port("{number: 80, name: http, protocol: «FTP}"), AT + ".port.protocol", "is not a protocol"),
    (with_port("«{number: 80, name: http}"), AT + ".port", "protocol is required"),
    (with_port("«{number: 80, protocol: HTTP}"), AT + ".port", "name is required"),
    (with_port("«{name: http, protocol: HTTP}"), AT + ".port.number", "needs a number"),
    (with_port("{number: 80, name: http, protocol: HTTP, targetPort: «1}"), AT + ".port.targetPort", "no effect"),
    (HTTP + "bind: «a.b", AT + ".bind", "not an IP address"),
    (with_port("{number: «80, name: http, protocol: HTTP}\n  bind: unix:///a"), AT + ".port.number", "port number 0"),
    (with_port("{number: 0, name: http, protocol: HTTP}\n  bind: «unix://a"), AT + ".bind", "absolute path"),
    (
        HTTP + "name: a\n" + HTTP.replace("servers:\n", "").replace("name: http", "name: «http"),
        "spec.servers[1].port.name",
        "twice",
    ),
    ("servers:\n- «port: {number: 443, name: https, protocol: HTTPS}\n  hosts: ['*']", AT + ".tls", "needs tls"),
    (HTTP + "tls: «{mode: SIMPLE, credentialName: a}", AT + ".tls", "only have tls.httpsRedirect"),
    (
        with_port("{number: 1, name: tcp, protocol: TCP}\n  tls: «{mode: PASSTHROUGH}"),
        AT + ".tls",
        "write TLS or HTTPS",
    ),
    (HTTPS + "tls: {mode: ISTIO_MUTUAL, credentialName: «a}", AT + ".tls.credentialName", "remove credentialName"),
    (HTTPS + "tls: «{mode: SIMPLE, credentialName: a, credentialNames: [b]}", AT + ".tls", "write one of"),
    (HTTPS + "tls: «{mode: SIMPLE, serverCertificate: /a}", AT + ".tls.privateKey", "needs a privateKey"),
    (HTTPS + "tls: «{mode: MUTUAL, serverCertificate: /a, privateKey: /b}", AT + ".tls.caCertificates", "needs caCert"),
    (
        HTTPS + "tls: {mode: SIMPLE, tlsCertificates: [«{privateKey: /a}]}",
        AT + ".tls.tlsCertificates[0].serverCertificate",
        "needs a",
    ),
    (
        HTTPS + "tls: {mode: SIMPLE, serverCertificate: /a, privateKey: /b, caCrl: «/c}",
        AT + ".tls.caCrl",
        "mode SIMPLE",
    ),
    (HTTPS + "tls: {mode: «simple, credentialName: a}", AT + ".tls.mode", 'did you mean "SIMPLE"?'),
]
WARNINGS = [
    (HTTPS + "tls: {mode: PASSTHROUGH, credentialName: «a}", AT + ".tls.credentialName", "uses no certificates"),
    (
        HTTPS + "tls: {mode: SIMPLE, credentialName: a, httpsRedirect: «true}",
        AT + ".tls.httpsRedirect",
        "only for HTTP",
    ),
    (
        HTTPS + "tls: {mode: SIMPLE, credentialName: a, minProtocolVersion: «TLSV1_0}",
        AT + ".tls.minProtocolVersion",
        "cipherSuites",
    ),
    (
        HTTPS + "tls: {mode: SIMPLE, credentialName: a, cipherSuites: [«RC4]}",
        AT + ".tls.cipherSuites[0]",
        "not a cipher",
    ),
    (
        HTTPS + "tls: {mode: SIMPLE, credentialName: a, cipherSuites: [AES128-SHA, «AES128-SHA]}",
        AT + ".tls.cipherSuites[1]",
        "twice",
    ),
]
ACCEPTED = [
    HTTP + "tls: {httpsRedirect: true}",
    HTTPS + "tls: {mode: PASSTHROUGH}",
    HTTPS + "tls: {mode: MUTUAL, credentialName: a}",
    HTTPS + "tls: {mode: SIMPLE, serverCertificate: /a, privateKey: /b}",
    with_host("'*'"),
    with_host("'*/*', ./a.com, ns/*.a.com, 1.2.3.4"),
    with_port("{number: 1, name: a, protocol: grpc-WEB}"),
    with_port("{number: 0, name: a, protocol: http}\n  bind: unix://@a"),
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS, ids=[path for _, path, _ in ERRORS])
def test_what_the_webhook_refuses_is_an_error_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("Gateway", spec, Level.ERROR, path, message)


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS, ids=[path for _, path, _ in WARNINGS])
def test_what_the_webhook_warns_of_is_a_warning_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("Gateway", spec, Level.WARNING, path, message)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_the_webhook_accepts_is_accepted(spec: str) -> None:
    assert_accepted("Gateway", spec)


def test_the_name_of_a_gateway_has_no_dots() -> None:
    _, problems = read(object_of("Gateway", HTTP).replace("name: it", "name: a.b"))
    assert ["not a DNS label" in problem.message for problem in problems] == [True]
    assert problems[0].origin.line == 4
