"""Every row of Istio's validation of ServiceEntry and WorkloadEntry, with the place of the finding (marked «)."""

import pytest

from meshproxy.model.problem import Level
from tests.support.written import assert_accepted, assert_found, object_of, read

HEAD = "hosts: [a.com]\nports: [{number: 80, name: http, protocol: HTTP}]\n"
STATIC = HEAD + "resolution: STATIC\n"
DNS = HEAD + "resolution: DNS\n"
DYNAMIC = "hosts: ['*.a.com']\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: DYNAMIC_DNS\n"

ERRORS = [
    ("«location: MESH_INTERNAL", "spec", "hosts is required"),
    ("hosts: [«'*']", "spec.hosts[0]", "too wide"),
    ("hosts: [«a_b]", "spec.hosts[0]", "not a host name"),
    (STATIC + "workloadSelector: {labels: {a: b}}\nendpoints: «[]", "spec.endpoints", "exclude each other"),
    (HEAD + "addresses: [«a.b]", "spec.addresses[0]", "CIDR"),
    (DNS + "addresses: [«10.0.0.0/8]", "spec.addresses[0]", "only for resolution NONE and STATIC"),
    ("hosts: [a.com]\nports: [«null]", "spec.ports[0]", "must not be null"),
    (
        "hosts: [a.com]\nports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: «a, protocol: HTTP}]",
        "spec.ports[1].name",
        "twice",
    ),
    (
        "hosts: [a.com]\nports: [{number: 1, name: a, protocol: HTTP}, {number: «1, name: b, protocol: HTTP}]",
        "spec.ports[1].number",
        "twice",
    ),
    ("hosts: [a.com]\nports: [{number: «0, name: a, protocol: HTTP}]", "spec.ports[0].number", "range"),
    ("hosts: [a.com]\nports: [«{number: 1, protocol: HTTP}]", "spec.ports[0]", "name is required"),
    (
        "hosts: [a.com]\nports: [{number: 1, name: a, protocol: «FTP}]\nresolution: STATIC",
        "spec.ports[0].protocol",
        "is not a protocol",
    ),
    (
        "hosts: [a.com]\nports: [{number: 1, name: a, protocol: HTTP, targetPort: «65536}]",
        "spec.ports[0].targetPort",
        "range",
    ),
    (HEAD + "endpoints: «[{address: 1.2.3.4}]", "spec.endpoints", "resolution NONE has no endpoints"),
    (STATIC + "endpoints: [{address: «b.com}]", "spec.endpoints[0].address", "not an IP address"),
    (STATIC + "endpoints: [«{labels: {a: b}}]", "spec.endpoints[0].address", "needs an address"),
    (STATIC + "endpoints: [{address: 'unix:///a', ports: «{http: 1}}]", "spec.endpoints[0].ports", "no ports"),
    (STATIC + "endpoints: [{address: «'unix://a'}]", "spec.endpoints[0].address", "absolute path"),
    (
        STATIC + "endpoints: [{address: 1.2.3.4, ports: {grpc: «1}}]",
        "spec.endpoints[0].ports.grpc",
        "not a port of this",
    ),
    (STATIC + "endpoints: [{address: 1.2.3.4, ports: {http: «0}}]", "spec.endpoints[0].ports.http", "range"),
    (STATIC + "endpoints: [«null]", "spec.endpoints[0]", "must not be null"),
    ("hosts: [«'*.a.com']\nresolution: DNS", "spec.hosts[0]", "cannot be looked up"),
    (DNS + "endpoints: [{address: «a_b}]", "spec.endpoints[0].address", "not a host name"),
    (DNS + "endpoints: [{address: «'unix:///a'}]", "spec.endpoints[0].address", "host name or an IP"),
    (
        HEAD + "resolution: DNS_ROUND_ROBIN\nendpoints: «[{address: a.b}, {address: c.d}]",
        "spec.endpoints",
        "one endpoint at most",
    ),
    ("hosts: [«a.com]\nresolution: DYNAMIC_DNS", "spec.hosts[0]", "needs wildcard hosts"),
    (DYNAMIC + "addresses: «[1.2.3.4]", "spec.addresses", "has no addresses"),
    (DYNAMIC + "endpoints: «[{address: 1.2.3.4}]", "spec.endpoints", "has no endpoints"),
    (
        "hosts: ['*.a.com']\nports: [{number: 1, name: a, protocol: «HTTPS}]\nresolution: DYNAMIC_DNS",
        "spec.ports[0].protocol",
        "needs the protocol",
    ),
    (
        "hosts: [a.com, b.com]\nports: [{number: 1, name: a, protocol: «TCP}]\nresolution: STATIC",
        "spec.ports[0].protocol",
        "several hosts",
    ),
    (HEAD + "exportTo: «['~', a]", "spec.exportTo", "excludes other entries"),
    (HEAD + "resolution: «LOGICAL", "spec.resolution", "is none of"),
]
WARNINGS = [
    ("hosts: [«'*foo.com']", "spec.hosts[0]", "partial wildcard"),
    (STATIC + "workloadSelector: «{}", "spec.workloadSelector", "whole namespace"),
    (HEAD + "workloadSelector: «{labels: {a: b}}", "spec.workloadSelector", "selects no workloads"),
    ("hosts: [a.com]\nports: [{number: 1, name: a, protocol: «TCP}]", "spec.ports[0].protocol", "needs addresses"),
    (STATIC + "endpoints: [«{network: n}]", "spec.endpoints[0].address", "only the gateway of n"),
]
ACCEPTED = [
    HEAD,
    STATIC + "endpoints: [{address: 1.2.3.4, ports: {http: 8080}, weight: 3, labels: {version: v1}}, {address: '::1'}]",
    STATIC + "endpoints: [{address: 'unix:///var/run/a.sock'}]",
    DNS + "endpoints: [{address: b.com}, {address: 1.2.3.4}]",
    DYNAMIC,
    HEAD + "exportTo: ['~']",
    "hosts: [short]\nports: [{number: 1, name: a}]\nresolution: STATIC\naddresses: [10.0.0.0/8, 240.0.0.1]",
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS, ids=[path for _, path, _ in ERRORS])
def test_what_the_webhook_refuses_is_an_error_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("ServiceEntry", spec, Level.ERROR, path, message)


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS, ids=[path for _, path, _ in WARNINGS])
def test_what_the_webhook_warns_of_is_a_warning_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("ServiceEntry", spec, Level.WARNING, path, message)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_the_webhook_accepts_is_accepted(spec: str) -> None:
    assert_accepted("ServiceEntry", spec)


def test_several_hosts_that_share_addresses_on_a_tcp_port_are_a_warning_beside_the_error() -> None:
    spec = "hosts: [a.com, b.com]\nports: [{number: 1, name: a, protocol: TCP}]\nresolution: DNS\naddresses: [1.2.3.4]"
    _, problems = read(object_of("ServiceEntry", spec))
    assert {(problem.level, problem.origin.path) for problem in problems} == {
        (Level.ERROR, "spec.ports[0].protocol"),
        (Level.WARNING, "spec.hosts"),
    }


WORKLOAD_ERRORS = [
    ("«labels: {a: b}", "spec.address", "needs an address"),
    ("address: «a_b", "spec.address", "not a host name"),
    ("address: «'unix://a'", "spec.address", "absolute path"),
    ("address: 1.2.3.4\nports: {«a_b: 1}", "spec.ports.a_b", "not a DNS label"),
    ("address: 1.2.3.4\nlabels: {a: «'b c'}", "spec.labels.a", "not a label value"),
]


@pytest.mark.parametrize(("spec", "path", "message"), WORKLOAD_ERRORS)
def test_a_workload_entry_needs_an_address_one_can_reach(spec: str, path: str, message: str) -> None:
    assert_found("WorkloadEntry", spec, Level.ERROR, path, message)


@pytest.mark.parametrize("spec", ["address: 1.2.3.4\nlocality: a/b/c", "address: vm.example.com", "address: unix:///a"])
def test_a_workload_entry_takes_ip_name_and_socket(spec: str) -> None:
    assert_accepted("WorkloadEntry", spec)
