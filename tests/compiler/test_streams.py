"""tls and tcp rules to filter chains and tunnels; what a CONNECT leads to; what a Sidecar lets through."""

from __future__ import annotations

import pytest
import yaml
from support.gateways import gateway, on_gateway, server, tcp_service, to
from support.plans import built, plan
from support.proxy import document, service_entry

from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.stream_table import Chain, StreamTable


def text(*documents: object) -> str:
    return yaml.safe_dump_all(documents)


def edge_of(snapshot: Snapshot) -> Listener:
    (listener,) = (each for each in snapshot.listeners if each.is_gateway)
    return listener


def clusters(chain: Chain | None) -> list[tuple[str, int]]:
    assert chain is not None and chain.tunnel is not None
    return [(each.cluster, each.weight) for each in chain.tunnel.action.destinations]


def chains(*documents: object) -> tuple[Chain, ...]:
    streams = edge_of(plan(text(*documents))).streams
    assert streams is not None
    return streams.chains


ECHO = tcp_service("echo.test", (1, "v1"))
PASSED = server(443, "TLS", ["*.test"], tls={"mode": "PASSTHROUGH"})


def tls_rule(*names: str, host: str = "echo.test", **match: object) -> dict[str, object]:
    return {"match": [{"sniHosts": list(names), **match}], "route": [to(host)]}


# ---- tcp


def test_a_gateway_has_one_tcp_rule_for_a_port():
    found = chains(
        ECHO,
        gateway(server(9000, "TCP", ["*"])),
        on_gateway("a", ["*"], tcp=[{"match": [{"port": 1}], "route": [to("a.test")]}, {"route": [to("echo.test")]}]),
        on_gateway("b", ["*"], tcp=[{"route": [to("b.test")]}]),
    )
    assert [clusters(each) for each in found] == [[("outbound|9000||echo.test", 1)]]


def test_weights_and_subsets():
    routes = [{**to("echo.test", subset="v1"), "weight": 3}, {**to("echo.test", subset="v2"), "weight": 0}]
    routes.append({**to("other.test", port={"number": 7}), "weight": 1})
    (found,) = chains(ECHO, gateway(server(9000, "TCP", ["*"])), on_gateway("a", ["*"], tcp=[{"route": routes}]))
    assert clusters(found) == [("outbound|9000|v1|echo.test", 3), ("outbound|7||other.test", 1)]


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"port": 9000}, True),
        ({"port": 9001}, False),
        ({"gateways": ["edge"]}, True),
        ({"gateways": ["mesh"]}, False),
        ({"sourceLabels": {"app": "x"}}, False),
        ({"gateways": ["edge"], "sourceLabels": {"app": "x"}}, True),
        ({"sourceNamespace": "default"}, True),
        ({"sourceNamespace": "other"}, False),
    ],
)
def test_what_does_not_depend_on_the_connection_is_decided_here(match: dict[str, object], applies: bool):
    found = chains(
        ECHO,
        gateway(server(9000, "TCP", ["*"])),
        on_gateway("a", ["*"], tcp=[{"match": [match], "route": [to("echo.test")]}]),
    )
    assert bool(found) is applies


def test_of_plain_tcp_servers_on_a_port_the_first_is_served():
    snapshot = plan(text(gateway(server(9000, "TCP", ["*"])), gateway(server(9000, "TCP", ["a.test"]), name="later")))
    assert edge_of(snapshot).gateways == ("default/edge",)


# ---- tls


def test_passthrough_has_a_chain_for_every_match_in_order():
    found = chains(
        ECHO,
        gateway(PASSED),
        on_gateway("a", ["*.test"], tls=[tls_rule("A.test", "b.test"), tls_rule("*.test", host="c.test")]),
    )
    assert [each.server_names for each in found] == [("a.test", "b.test"), ("*.test",)]
    assert all(each.is_tls and each.tls is None for each in found)


def test_a_service_of_another_host_is_not_bound():
    assert chains(gateway(PASSED), on_gateway("a", ["a.example"], tls=[tls_rule("a.example")])) == ()


def test_auto_passthrough_names_every_cluster_of_its_hosts():
    subsets = document(
        "DestinationRule", "echo", {"host": "echo.test", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
    )
    auto = server(15443, "TLS", ["*.test"], tls={"mode": "AUTO_PASSTHROUGH"})
    found = chains(ECHO, tcp_service("echo.example", (1, "v1")), subsets, gateway(auto))
    assert [each.server_names for each in found] == [
        ("outbound_.9000_._.echo.test",),
        ("outbound_.9000_.v1_.echo.test",),
    ]


def test_terminated_tls_goes_on_by_tcp_rules_or_as_http():
    tls = {"mode": "SIMPLE", "credentialName": "c"}
    found = chains(
        ECHO,
        gateway(server(443, "TLS", ["a.test"], tls=tls), server(443, "HTTPS", ["b.test"], tls=tls)),
        on_gateway("a", ["a.test"], tcp=[{"route": [to("echo.test")]}]),
    )
    assert [(each.server_names, bool(each.tunnel), bool(each.http)) for each in found] == [
        (("a.test",), True, False),
        (("b.test",), False, True),
    ]


def test_a_server_that_repeats_a_host_of_an_earlier_one_is_dropped():
    tls = {"mode": "SIMPLE", "credentialName": "c"}
    one, other = (server(443, "HTTPS", ["a.test", name], tls=tls) for name in ("b.test", "c.test"))
    other["port"]["name"] = "again"
    assert [each.server_names for each in chains(gateway(one, other))] == [("a.test", "b.test")]


def test_the_annotation_for_the_proxy_protocol():
    config = {"proxy.istio.io/config": "gatewayTopology:\n  proxyProtocol: {}\n"}
    snapshot = plan(text(gateway(server(8080, "HTTP", ["*"]), annotations=config)))
    streams = edge_of(snapshot).streams
    assert streams is not None and streams.proxy_protocol
    assert edge_of(plan(text(gateway(server(8080, "HTTP", ["*"]))))).streams is None
    _, findings = built(text(gateway(server(8080, "HTTP", ["*"]), annotations={"proxy.istio.io/config": "{"})))
    assert [each.code for each in findings] == ["IST0133"]


# ---- CONNECT


def connects(snapshot: Snapshot, host: str, port: int) -> StreamTable | None:
    connect = snapshot.listeners[0].connect
    assert connect is not None
    return connect.find(host, port)


def test_a_service_without_rules_is_connected_to_itself():
    table = connects(plan(text(ECHO)), "echo.test", 9000)
    assert table is not None and [clusters(each) for each in table.chains] == [[("outbound|9000||echo.test", 1)]]


def test_tls_rules_come_before_the_service():
    rules = document("VirtualService", "a", {"hosts": ["echo.test"], "tls": [tls_rule("echo.test", host="other.test")]})
    table = connects(
        plan(text(tcp_service("echo.test", (1, "v1"), number=443, protocol="TLS"), rules)), "echo.test", 443
    )
    assert table is not None
    assert clusters(table.find("echo.test", is_tls=True)) == [("outbound|443||other.test", 1)]
    assert clusters(table.find("x.test", is_tls=True)) == [("outbound|443||echo.test", 1)]
    assert clusters(table.find()) == [("outbound|443||echo.test", 1)]


def test_tcp_rules_by_network():
    rule = {"match": [{"destinationSubnets": ["10.1.0.0/16"]}], "route": [to("near.test")]}
    rules = document("VirtualService", "a", {"hosts": ["echo.test"], "tcp": [rule, {"route": [to("far.test")]}]})
    table = connects(plan(text(ECHO, rules)), "echo.test", 9000)
    assert table is not None
    assert clusters(table.find(destination="10.1.2.3")) == [("outbound|9000||near.test", 1)]
    assert clusters(table.find(destination="10.2.0.1")) == [("outbound|9000||far.test", 1)]


def test_http_ports_are_not_connected_past_their_rules():
    assert connects(plan(text(service_entry("web.test", 1))), "web.test", 80) is None


# ---- what a workload sees


def sidecar(
    name: str = "default", namespace: str = "default", selector: dict[str, str] | None = None, **spec: object
) -> object:
    made = document("Sidecar", name, {**spec, **({"workloadSelector": {"labels": selector}} if selector else {})})
    made["metadata"]["namespace"] = namespace
    return made


def seen(*documents: object, **options: object) -> set[str]:
    snapshot = plan(text(*documents), **options)
    return {host.name.rpartition(":")[0] for host in snapshot.listeners[0].virtual_hosts.hosts}


def egress(*hosts: str) -> dict[str, object]:
    return {"egress": [{"hosts": list(hosts)}]}


SERVICES = (service_entry("a.test", 1), service_entry("b.test", 2))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["*/*"], {"a.test", "b.test"}),
        (["./a.test"], {"a.test"}),
        (["default/*.test"], {"a.test", "b.test"}),
        (["other/*"], set()),
        (["~/*"], set()),
        (["*/*", "~*/b.test"], {"a.test"}),
        (["~/b.test"], {"a.test"}),
    ],
)
def test_egress_hosts(hosts: list[str], expected: set[str]):
    assert seen(*SERVICES, sidecar(**egress(*hosts))) == expected


def test_where_an_imported_rule_sends_to_is_imported():
    rules = document("VirtualService", "a", {"hosts": ["a.test"], "http": [{"route": [to("b.test")]}]})
    assert seen(*SERVICES, rules, sidecar(**egress("./a.test"))) == {"a.test", "b.test"}


def test_which_sidecar_is_ours():
    root = sidecar("root", "istio-system", **egress("*/b.test"))
    own = sidecar("own", **egress("./a.test"))
    picked = sidecar("picked", selector={"app": "x"}, **egress("~/*"))
    assert seen(*SERVICES, root) == {"b.test"}
    assert seen(*SERVICES, root, own) == {"a.test"}
    assert seen(*SERVICES, root, own, picked, labels={"app": "x"}) == set()
    assert seen(*SERVICES, root, own, picked, labels={"app": "y"}) == {"a.test"}


def test_gateways_see_everything():
    snapshot = plan(
        text(
            *SERVICES,
            sidecar(**egress("~/*")),
            gateway(server(8080, "HTTP", ["*"])),
            on_gateway("a", ["a.test"], http=[{"route": [to("a.test")]}]),
        )
    )
    assert [host.domains for host in edge_of(snapshot).virtual_hosts.hosts] == [("a.test",)]


@pytest.mark.parametrize(
    ("policy", "option", "any_host"),
    [
        (None, "REGISTRY_ONLY", False),
        (None, "ALLOW_ANY", True),
        ({}, "ALLOW_ANY", False),
        ({"mode": "ALLOW_ANY"}, "REGISTRY_ONLY", True),
        ({"mode": "REGISTRY_ONLY"}, "ALLOW_ANY", False),
    ],
)
def test_hosts_that_nobody_has(policy: dict[str, str] | None, option: str, any_host: bool):
    documents = [*SERVICES] + ([sidecar(outboundTrafficPolicy=policy)] if policy is not None else [])
    snapshot = plan(text(*documents), outbound_traffic_policy=option)
    assert ("PassthroughCluster" in snapshot.clusters) is any_host
    assert (snapshot.listeners[0].virtual_hosts.find(b"unknown.test") is not None) is any_host
    assert (connects(snapshot, "unknown.test", 443) is not None) is any_host
