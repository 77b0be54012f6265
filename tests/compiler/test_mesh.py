"""The mesh listener: which VirtualService governs a host, on which ports (virtual-service.md, 4.7)."""

import pytest
from support.plans import API, REVIEWS, TWO_PORTS, host_of, listener, plan, routes_of, virtual_service

FQDN = "reviews.default.svc.cluster.local"


def rules(name, match=""):
    block = f"match: [{match}]\n  " if match else ""
    return f"- name: {name}\n  {block}route: [{{destination: {{host: reviews, port: {{number: 9080}}}}}}]\n"


def names(snapshot, host="reviews"):
    return [route.name for route in routes_of(snapshot, host)]


def created(text, stamp):
    return text.replace("metadata: {", f'metadata: {{creationTimestamp: "{stamp}", ')


def test_the_first_virtual_service_of_a_host_has_it_entirely():
    first = virtual_service(rules("a", "{uri: {prefix: /a}}"), name="a")
    second = virtual_service(rules("b"), name="b")
    assert names(plan(REVIEWS, second, first)) == ["a"]


def test_the_oldest_is_the_first():
    a = created(virtual_service(rules("a"), name="a"), "2024-02-01T00:00:00Z")
    b = created(virtual_service(rules("b"), name="b"), "2024-01-01T00:00:00Z")
    assert names(plan(REVIEWS, a, b)) == ["b"]


def test_private_ones_come_before_those_exported_to_us_and_these_before_public_ones():
    public = virtual_service(rules("public"), name="a", hosts=f"[{FQDN}]")
    named = virtual_service(rules("named"), name="b", namespace="other", hosts=f"[{FQDN}]", exportTo="[default]")
    private = virtual_service(rules("private"), name="c", hosts=f"[{FQDN}]", exportTo="['.']")
    assert names(plan(REVIEWS, public, named, private)) == ["private"]
    assert names(plan(REVIEWS, public, named)) == ["named"]


@pytest.mark.parametrize(
    ("export_to", "seen"), [("['.']", False), ("[third]", False), ("[default]", True), ("['*']", True)]
)
def test_exports(export_to, seen):
    service = virtual_service(rules("it"), namespace="other", hosts=f"[{FQDN}]", exportTo=export_to)
    assert (names(plan(REVIEWS, service)) == ["it"]) is seen


@pytest.mark.parametrize(("gateways", "seen"), [("[mesh]", True), ("[gw, mesh]", True), ("[gw]", False)])
def test_only_those_of_the_gateway_mesh_act_here(gateways, seen):
    assert (names(plan(REVIEWS, virtual_service(rules("it"), gateways=gateways))) == ["it"]) is seen


def test_a_wildcard_governs_the_services_it_covers_unless_a_closer_host_does():
    wildcard = virtual_service(rules("wild"), name="a", hosts="['*.svc.cluster.local']")
    closer = virtual_service(rules("closer"), name="b", hosts="['*.default.svc.cluster.local']")
    exact = virtual_service(rules("exact"), name="c")
    assert names(plan(REVIEWS, wildcard)) == ["wild"]
    assert names(plan(REVIEWS, wildcard, closer)) == ["closer"]
    assert names(plan(REVIEWS, wildcard, closer, exact)) == ["exact"]


def test_a_wildcard_that_covers_a_service_serves_no_other_name():
    snapshot = plan(REVIEWS, virtual_service(rules("wild"), hosts="['*.default.svc.cluster.local']"))
    assert host_of(snapshot, "absent.default.svc.cluster.local") is None


def test_a_wildcard_that_covers_no_service_is_a_virtual_host_of_its_own():
    snapshot = plan(REVIEWS, virtual_service(rules("wild"), hosts="['*.example.com']"))
    assert names(snapshot, "a.example.com") == names(snapshot, "a.example.com:80") == ["wild"]
    assert host_of(snapshot, "a.example.com").port == 80


def test_a_host_that_is_no_service_is_served_on_port_80_under_its_full_name():
    service = virtual_service(rules("it", "{port: 80}"), hosts="[absent]")
    snapshot = plan(service)
    assert names(snapshot, "absent.default.svc.cluster.local:80") == ["it"]
    assert host_of(snapshot, "absent") is None


def test_a_host_that_is_no_service_joins_the_ports_of_those_that_are():
    snapshot = plan(TWO_PORTS, virtual_service(rules("it"), hosts="[two, api.example.com]"))
    assert [host_of(snapshot, f"api.example.com:{port}").port for port in (8080, 8081)] == [8080, 8081]
    assert host_of(snapshot, "api.example.com").port == 8080


def test_a_partly_qualified_host_takes_just_that_name_away():
    snapshot = plan(REVIEWS, virtual_service(rules("it"), hosts="[reviews.default]"))
    assert names(snapshot, "reviews.default") == ["it"]
    assert names(snapshot, "reviews") == names(snapshot, FQDN) == ["default"]


def test_every_http_port_is_a_virtual_host_and_the_first_has_the_bare_names():
    snapshot = plan(TWO_PORTS)
    assert [(each.name, each.port) for each in listener(snapshot).virtual_hosts.hosts] == [
        ("two.default.svc.cluster.local:8080", 8080),
        ("two.default.svc.cluster.local:8081", 8081),
    ]
    assert host_of(snapshot, "two").port == host_of(snapshot, "two:9999").port == 8080
    assert host_of(snapshot, "two:8081").port == 8081


def test_match_port_is_the_services_port():
    service = virtual_service(rules("a", "{port: 8080}") + rules("b", "{port: 8081}"), hosts="[two]")
    snapshot = plan(TWO_PORTS, service)
    assert names(snapshot, "two:8080") == names(snapshot, "two") == ["a"]
    assert names(snapshot, "two:8081") == ["b"]


def test_a_virtual_service_that_acts_on_one_port_only_leaves_the_other_to_the_default():
    snapshot = plan(TWO_PORTS, virtual_service(rules("a", "{port: 8081}"), hosts="[two]"))
    assert names(snapshot, "two:8080") == ["default"]
    assert names(snapshot, "two:8081") == ["a"]


def test_every_domain_belongs_to_one_virtual_host():
    entry = f"{API}\nkind: ServiceEntry\nmetadata: {{name: e}}\nspec: {{hosts: [a.com, A.com.], resolution: STATIC, "
    entry += "ports: [{name: http, number: 80, protocol: HTTP}]}\n"
    hosts = listener(plan(entry)).virtual_hosts.hosts
    domains = [domain for host in hosts for domain in host.domains]
    assert len(domains) == len(set(domains))


def test_virtual_hosts_name_their_virtual_service_and_where_it_is():
    found = host_of(plan(REVIEWS, virtual_service(rules("a"))), "reviews")
    assert (found.virtual_service, found.origin.file) == ("default/reviews", "1.yaml")
    found = host_of(plan(REVIEWS), "reviews")
    assert (found.virtual_service, found.origin.file) == ("", "0.yaml")


def test_the_listener_is_where_the_options_say():
    mesh = listener(plan(mesh_host="127.0.0.2", mesh_port=0))
    assert (mesh.name, mesh.host, mesh.port, mesh.is_gateway) == ("mesh", "127.0.0.2", 0, False)
