"""Gateway listeners: ports, hosts, merging, httpsRedirect (gateway-service-entry-sidecar.md, 1)."""

import itertools

import pytest
from support.plans import API, REVIEWS, built, found_route, host_of, plan, request, routes_of, virtual_service

from meshproxy.plan.rewrite import Redirect

SERIAL = itertools.count()  # names of ports are unique in a Gateway


def server(hosts="['*']", *, port=8080, protocol="HTTP", more=""):
    return f"{{port: {{number: {port}, name: p{next(SERIAL)}, protocol: {protocol}}}, hosts: {hosts}{more}}}"


def gateway(*servers, name="gw", namespace="default", selector="{}"):
    meta = f"{{name: {name}, namespace: {namespace}}}"
    servers = ", ".join(servers or (server(),))
    return f"{API}\nkind: Gateway\nmetadata: {meta}\nspec: {{selector: {selector}, servers: [{servers}]}}\n"


def bound(name="it", *, match="", hosts="['a.com']", gateways="[gw]", **more):
    block = f"match: [{match}]\n  " if match else ""
    rule = f"- name: {name}\n  {block}route: [{{destination: {{host: reviews}}}}]\n"
    return virtual_service(rule, name=name, hosts=hosts, gateways=gateways, **more)


LISTENER = "0.0.0.0_8080"


def names(snapshot, host="a.com", listener=LISTENER):
    return [route.name for route in routes_of(snapshot, host, listener)]


def addresses(snapshot):
    return {each.name: (each.host, each.port, each.server_port) for each in snapshot.listeners if each.is_gateway}


# --- listeners


@pytest.mark.parametrize(
    ("port", "options", "opened"),
    [
        (8080, {}, ("0.0.0.0", 8080)),
        (80, {}, ("0.0.0.0", 8080)),
        (443, {}, ("0.0.0.0", 8443)),
        (80, {"privileged_ports": True}, ("0.0.0.0", 80)),
        (80, {"binds": ("80=127.0.0.1:7000",)}, ("127.0.0.1", 7000)),
        (80, {"binds": ("80=[::1]:0",), "privileged_ports": True}, ("::1", 0)),
    ],
)
def test_ports_below_1024_open_at_8000_more_unless_told_otherwise(port, options, opened):
    snapshot = plan(gateway(server(port=port)), **options)
    assert addresses(snapshot) == {f"0.0.0.0_{port}": (*opened, port)}


def test_one_listener_per_bind_and_port():
    snapshot = plan(gateway(server(), server(port=8081), server(more=", bind: 127.0.0.2")), gateway(name="gx"))
    assert list(addresses(snapshot)) == ["0.0.0.0_8080", "0.0.0.0_8081", "127.0.0.2_8080"]


@pytest.mark.parametrize(
    ("labels", "served"), [({}, True), ({"istio": "ingress", "x": "y"}, True), ({"istio": "other"}, False)]
)
def test_gateways_are_chosen_by_our_labels_and_all_where_we_have_none(labels, served):
    snapshot = plan(gateway(selector="{istio: ingress}"), labels=labels)
    assert bool(addresses(snapshot)) is served


def test_an_empty_selector_chooses_every_workload():
    assert addresses(plan(gateway(), labels={"a": "b"}))


@pytest.mark.parametrize("protocol", ["HTTP", "http2", "GRPC"])
def test_plain_http_protocols_are_served(protocol):
    assert addresses(plan(gateway(server(protocol=protocol))))


def test_tls_and_tcp_servers_have_filter_chains():
    tls = ", tls: {mode: SIMPLE, credentialName: c}"
    snapshot, findings = built(
        gateway(server(protocol="HTTPS", port=8443, more=tls), server(protocol="TCP", port=9000))
    )
    secure, plain = (each for each in snapshot.listeners if each.is_gateway)
    assert [(chain.is_tls, bool(chain.http)) for chain in secure.streams.chains] == [(True, True)]
    assert [each.scheme for each in secure.behind] == [b"https"]
    assert plain.streams.chains == ()  # no rule speaks of it
    assert not findings


def test_the_first_server_on_a_port_decides_what_it_speaks():
    (listener,) = (
        each for each in plan(gateway(server(protocol="TCP"), name="a"), gateway(name="b")).listeners if each.is_gateway
    )
    assert listener.streams is not None
    assert listener.gateways == ("default/a",)


# --- routing


def test_hosts_are_the_narrower_of_both_sides():
    snapshot = plan(REVIEWS, gateway(server("['*.com', b.org]")), bound(hosts="[a.com, '*.org', c.net]"))
    assert names(snapshot, "a.com") == names(snapshot, "b.org") == ["it"]
    assert routes_of(snapshot, "b.com", LISTENER) == routes_of(snapshot, "c.org", LISTENER) == ()
    assert host_of(snapshot, "c.net", LISTENER) is None


def test_without_virtual_service_nothing_is_routed():
    assert host_of(plan(REVIEWS, gateway()), "reviews.default.svc.cluster.local", LISTENER) is None


@pytest.mark.parametrize(
    ("host", "namespace", "binds"),
    [
        ("a.com", "other", True),
        ("'*/a.com'", "other", True),
        ("other/a.com", "other", True),
        ("other/*", "other", True),
        ("default/a.com", "other", False),
        ("./a.com", "other", False),
        ("./a.com", "default", True),
    ],
)
def test_the_namespace_of_a_server_host_says_whose_virtual_services_may_bind(host, namespace, binds):
    service = bound(namespace=namespace, gateways="[default/gw]")
    assert (names(plan(REVIEWS, gateway(server(f"[{host}]")), service)) == ["it"]) is binds


@pytest.mark.parametrize(
    ("name", "binds"), [("gw", True), ("default/gw", True), ("other/gw", False), ("gx", False), ("mesh", False)]
)
def test_gateways_are_named_with_or_without_namespace(name, binds):
    assert (names(plan(REVIEWS, gateway(), bound(gateways=f"[{name}]"))) == ["it"]) is binds


def test_a_virtual_service_hidden_from_the_gateways_namespace_does_not_bind():
    assert names(plan(REVIEWS, gateway(), bound(namespace="other", gateways="[default/gw]", exportTo="['.']"))) == []


def test_virtual_services_of_one_host_are_joined_and_catch_alls_come_last():
    snapshot = plan(REVIEWS, gateway(), bound("a"), bound("b", match="{uri: {prefix: /b}}"), bound("c"))
    assert names(snapshot) == ["b", "a", "c"]
    assert found_route(snapshot, request("/b", host="a.com:1234"), LISTENER).name == "b"
    assert found_route(snapshot, request("/x", host="A.com"), LISTENER).name == "a"


def test_virtual_services_of_two_gateways_on_one_port_come_together():
    snapshot = plan(
        REVIEWS, gateway(name="gw"), gateway(name="gx"), bound("a"), bound("b", hosts="[b.com]", gateways="[gx]")
    )
    assert names(snapshot, "a.com") == ["a"] and names(snapshot, "b.com") == ["b"]


def test_there_is_no_fall_through_from_the_narrower_host():
    snapshot = plan(REVIEWS, gateway(), bound("a", match="{uri: {prefix: /a}}"), bound("wild", hosts="['*.com']"))
    assert found_route(snapshot, request("/x", host="a.com"), LISTENER) is None
    assert found_route(snapshot, request("/x", host="b.com"), LISTENER).name == "wild"


@pytest.mark.parametrize(
    ("match", "acts"),
    [
        ("{port: 8080}", True),
        ("{port: 9080}", False),
        ("{gateways: [gw]}", True),
        ("{gateways: [default/gw]}", True),
        ("{gateways: [mesh]}", False),
    ],
)
def test_match_port_is_the_servers_and_match_gateways_names_it(match, acts):
    assert (names(plan(REVIEWS, gateway(), bound(match=match))) == ["it"]) is acts


@pytest.mark.parametrize(
    ("ports", "port"),
    [("[{name: http, port: 9080}]", 9080), ("[{name: a, port: 80}, {name: b, port: 81}]", 8080)],
)
def test_a_destination_without_port_gets_its_services_only_one_else_the_listeners(ports, port):
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: reviews}}\nspec: {{ports: {ports}}}\n"
    snapshot, findings = built(service, gateway(), bound())
    (route,) = routes_of(snapshot, "a.com", LISTENER)
    assert route.action.destinations[0].port == port
    assert [each.code for each in findings] == ([] if port == 9080 else ["IST0112"])


# --- httpsRedirect

REDIRECT = ", tls: {httpsRedirect: true}"


@pytest.mark.parametrize("hosts", ["['a.com']", "['*.com']", "['*']", "[default/a.com]"])
def test_https_redirect_answers_everything_with_or_without_virtual_service(hosts):
    redirect = Redirect(status=301, scheme=b"https", keep_host=True)
    for texts in ((), (REVIEWS, bound())):
        (route,) = routes_of(plan(gateway(server(hosts, more=REDIRECT)), *texts), "a.com", LISTENER)
        assert route.action == redirect and route.catches_all


def test_hosts_beside_a_redirecting_one_are_routed():
    servers = (server("['a.com']", more=REDIRECT), server("['b.com']"))
    snapshot = plan(REVIEWS, gateway(*servers), bound(hosts="[a.com, b.com]"))
    assert names(snapshot, "b.com") == ["it"]
    assert names(snapshot, "a.com") == [""]


def test_a_second_redirecting_server_with_a_host_of_the_first_is_dropped_whole():
    first = gateway(server("[a.com]", more=REDIRECT), name="a")
    second = gateway(server("[a.com, b.com]", more=REDIRECT), name="b")
    assert host_of(plan(first, second), "b.com", LISTENER) is None
