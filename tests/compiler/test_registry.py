"""Which services a workload sees, by which names, and what their ports speak."""

import pytest
from support.plans import API, host_of, listener, plan

from meshproxy.compiler.protocols import Protocol, by_name, by_word


def service(name="reviews", *, namespace="default", spec="ports: [{name: http, port: 9080}]", annotations="{}"):
    return f"""
    apiVersion: v1
    kind: Service
    metadata: {{name: {name}, namespace: {namespace}, annotations: {annotations}}}
    spec: {{{spec}}}
    """


def entry(host, *, name="e", namespace="default", more=""):
    return f"""
    {API}
    kind: ServiceEntry
    metadata: {{name: {name}, namespace: {namespace}}}
    spec: {{hosts: [{host}], resolution: STATIC, ports: [{{name: http, number: 80, protocol: HTTP}}]{more}}}
    """


def known(snapshot, host):
    found = host_of(snapshot, host)
    return found.name if found is not None else None


FQDN = "reviews.default.svc.cluster.local"


@pytest.mark.parametrize("name", ["reviews", "reviews.default", "reviews.default.svc", FQDN, f"{FQDN}."])
def test_names_of_a_service_in_our_namespace(name):
    snapshot = plan(service())
    for host in (name, f"{name}:9080", f"{name}:1234", name.upper()):
        assert known(snapshot, host) == f"{FQDN}:9080"


def test_the_bare_name_is_only_for_the_own_namespace():
    snapshot = plan(service(), namespace="other")
    assert known(snapshot, "reviews") is None
    assert known(snapshot, "reviews.default") == f"{FQDN}:9080"


def test_virtual_ips_are_names():
    snapshot = plan(
        service(spec="clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ports: [{name: http, port: 80}]")
    )
    assert (
        known(snapshot, "10.0.0.1:80")
        == known(snapshot, "[fd00::1]:80")
        == known(snapshot, "[fd00::1]")
        == f"{FQDN}:80"
    )


def test_pods_of_a_headless_service_are_names():
    snapshot = plan(service(spec="clusterIP: None, ports: [{name: http, port: 80}]"))
    assert known(snapshot, "reviews-0.reviews") == known(snapshot, f"reviews-0.{FQDN}:80") == f"{FQDN}:80"
    assert known(snapshot, "None") is None


def test_hosts_of_a_service_entry_are_taken_as_written():
    snapshot = plan(entry("api.example.com", more=", addresses: [10.1.0.1, 10.2.0.0/16]"))
    assert known(snapshot, "api.example.com") == known(snapshot, "api.example.com.:80") == "api.example.com:80"
    assert known(snapshot, "10.1.0.1") == "api.example.com:80"
    assert known(snapshot, "10.2.0.0") is None
    assert known(snapshot, "api") is None


def test_a_wildcard_host_serves_what_it_covers():
    snapshot = plan(entry("'*.example.com'"))
    assert known(snapshot, "a.example.com:80") == known(snapshot, "a.b.example.com") == "*.example.com:80"
    assert known(snapshot, "example.com") is None


@pytest.mark.parametrize(
    ("export_to", "seen"),
    [(".", False), ("*", True), ("other", True), ("third", False), ("~", False), ("third, other", True)],
)
def test_exports_of_a_service(export_to, seen):
    annotations = f'{{networking.istio.io/exportTo: "{export_to}"}}'
    assert (known(plan(service(annotations=annotations), namespace="other"), FQDN) is not None) is seen


@pytest.mark.parametrize(
    ("export_to", "seen"), [("['.']", False), ("['*']", True), ("[other]", True), ("[third]", False)]
)
def test_exports_of_a_service_entry(export_to, seen):
    snapshot = plan(entry("a.com", more=f", exportTo: {export_to}"), namespace="other")
    assert (known(snapshot, "a.com") is not None) is seen


def test_kubernetes_wins_over_a_service_entry_of_the_same_host():
    snapshot = plan(entry(FQDN), service())
    assert known(snapshot, "reviews") == f"{FQDN}:9080"


def test_ports_of_two_entries_of_one_namespace_come_together():
    other = entry("a.com", name="f").replace("number: 80", "number: 81")
    snapshot = plan(entry("a.com"), other)
    assert known(snapshot, "a.com:81") == "a.com:81"
    assert known(snapshot, "a.com") == "a.com:80"


def test_our_namespaces_entry_wins_over_anothers():
    other = entry("a.com", namespace="aaa").replace("number: 80", "number: 81")
    assert known(plan(entry("a.com"), other), "a.com:81") == "a.com:80"


def test_a_mapped_host_that_nobody_declares_is_a_service():
    snapshot = plan(maps=("reviews:v2=127.0.0.1:9082",))
    assert known(snapshot, "reviews:9080") == f"{FQDN}:80"
    assert "outbound|80|v2|" + FQDN in snapshot.clusters


@pytest.mark.parametrize(
    ("name", "port", "app_protocol", "expected"),
    [
        ("http", 80, "", Protocol.HTTP),
        ("http-web", 80, "", Protocol.HTTP),
        ("HTTP-web", 80, "", Protocol.HTTP),
        ("http2", 80, "", Protocol.HTTP),
        ("grpc-x", 80, "", Protocol.HTTP),
        ("grpc-web-x", 80, "", Protocol.HTTP),
        ("https-x", 443, "", Protocol.TLS),
        ("tls", 443, "", Protocol.TLS),
        ("tcp-x", 1, "", Protocol.TCP),
        ("mongo", 1, "", Protocol.TCP),
        ("redis", 1, "", Protocol.TCP),
        ("web", 80, "", Protocol.SNIFFED),
        ("httpfoo", 80, "", Protocol.SNIFFED),
        ("", 80, "", Protocol.SNIFFED),
        ("", 3306, "", Protocol.TCP),
        ("http", 3306, "", Protocol.HTTP),
        ("tcp", 80, "http", Protocol.HTTP),
        ("http", 80, "unknown", Protocol.SNIFFED),
        ("http", 80, "tls", Protocol.TLS),
        ("tcp", 80, "kubernetes.io/h2c", Protocol.HTTP),
        ("tcp", 80, "kubernetes.io/ws", Protocol.HTTP),
        ("tcp", 80, "kubernetes.io/wss", Protocol.TLS),
    ],
)
def test_protocols_by_port_name_and_app_protocol(name, port, app_protocol, expected):
    assert by_name(name, port, app_protocol, "TCP") is expected


def test_udp_is_udp_whatever_it_is_called():
    assert by_name("http", 80, "http", "UDP") is Protocol.UDP


def test_protocols_of_entries():
    assert [by_word(word) for word in ("HTTP", "http2", "GRPC-WEB", "TLS", "MONGO", "")] == [
        Protocol.HTTP,
        Protocol.HTTP,
        Protocol.HTTP,
        Protocol.TLS,
        Protocol.TCP,
        Protocol.SNIFFED,
    ]


def test_tcp_and_tls_ports_get_no_virtual_host():
    spec = "ports: [{name: tcp, port: 1}, {name: https, port: 2}, {name: dns, port: 53, protocol: UDP}]"
    assert listener(plan(service(spec=spec))).virtual_hosts.hosts == ()


def test_a_sniffed_port_may_be_http():
    assert known(plan(service(spec="ports: [{name: web, port: 80}]")), "reviews") == f"{FQDN}:80"
