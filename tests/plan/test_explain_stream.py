"""The ladder of a connection is the tables' decision: it ends where `find` does, and every rung before has a reason."""

from __future__ import annotations

import ipaddress
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gateways import gateway, on_gateway, server, tcp_service, to
from support.plans import plan
from support.proxy import document, service_entry

from meshproxy.control.asked import Asked, AskedError
from meshproxy.control.asked_stream import decision_on
from meshproxy.plan.connect_table import ConnectTable
from meshproxy.plan.explain import Decision
from meshproxy.plan.explain_stream import CLOSED, Connection, Speaks, StreamDecision, explain_stream
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Destination, Forward
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.stream_table import Chain, StreamRoute, StreamTable

EDGE = "default/edge"


def text(*documents: object) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def asked(url: str, *documents: object, method: str = "GET", gateway: str = "", **options) -> Decision | StreamDecision:
    snapshot = plan(text(*documents), **options)
    return decision_on(snapshot, Asked(url=url, method=method, gateway=gateway))


def reasons(decision: Decision | StreamDecision) -> list[str]:
    return [rung.reason for rung in decision.considered]


def sent(decision: Decision | StreamDecision) -> list[tuple[str, int]]:
    return [(target.to.cluster, target.to.weight) for target in decision.targets]


def ended(decision: Decision | StreamDecision) -> tuple[int, str, str]:
    assert decision.reply is not None
    return decision.reply.status, decision.reply.flag, decision.reply.cause


# ---- every ladder


NAMES = ["a.test", "b.test", "x.a.test", "y.x.a.test", "A.test".lower()]
PATTERNS = st.lists(st.sampled_from([*NAMES, "*.a.test", "*.test", "*.x.a.test", "*"]), max_size=3, unique=True)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "fd00::/8"]).map(ipaddress.ip_network),
    max_size=2,
    unique=True,
)
ROUTE = StreamRoute(name="", action=Forward((Destination(cluster="c", host="h"),), 1))


def chain(names: list[str], networks: list[ipaddress.IPv4Network], *, is_tls: bool, goes: str) -> Chain:
    # names are asked of TLS alone: the compiler gives them to no other chain
    return Chain(
        server_names=tuple(names) if is_tls else (),
        networks=tuple(networks),
        is_tls=is_tls,
        tunnel=ROUTE if goes == "tunnel" else None,
        http="behind" if goes == "http" else "",
    )


CHAINS = st.builds(
    chain, PATTERNS, NETWORKS, is_tls=st.booleans(), goes=st.sampled_from(["tunnel", "tunnel", "http", ""])
)
CONNECTIONS = st.builds(
    Connection,
    host=st.sampled_from([*NAMES, "c.example", "10.2.0.1", "10.1.0.1", "10.1.1.1", "192.0.2.1", "fd00::1"]),
    port=st.just(443),
    speaks=st.sampled_from([Speaks.TLS, Speaks.BYTES]),
    connects=st.booleans(),
)


@settings(max_examples=500)
@given(st.lists(CHAINS, max_size=6).map(tuple), CONNECTIONS)
def test_every_rung_before_the_last_has_a_reason_and_the_last_is_what_the_table_finds(
    chains: tuple[Chain, ...], connection: Connection
):
    table = StreamTable(chains)
    is_tls = table.needs_hello and connection.speaks is Speaks.TLS
    name = connection.server_name if is_tls else ""
    found = table.find(name, is_tls=is_tls, destination=connection.host if connection.connects else "")
    listener = Listener(name="l", host="", port=443, server_port=443, is_gateway=True, streams=table)
    if connection.connects:  # what stands behind a CONNECT is another kind of table; here it is the same
        listener = Listener(name="l", host="", port=0, server_port=0, connect=ConnectTable((), table))
    made = explain_stream(Snapshot(listeners=(listener,)), listener, connection)
    got = reasons(made)
    if found is None:
        assert all(got)
        assert len(got) == len(chains)
    else:
        assert all(got[:-1])
        assert got[-1] == ""
        assert made.considered[-1].of is found
    if found is None or not (found.tunnel or found.http):
        assert made.chain is None
        assert ended(made)[:2] == (CLOSED, "NR")
    else:
        assert made.chain is found


# ---- gateways


HTTPD = tcp_service("httpd.test", (1, "v1"), number=443, protocol="TLS")
NGINX = tcp_service("nginx.test", (2, "v1"), number=443, protocol="TLS")
PASSED = gateway(server(443, "TLS", ["*.test"], tls={"mode": "PASSTHROUGH"}))
RULES = on_gateway(
    "passed",
    ["*.test"],
    tls=[
        {"match": [{"port": 8443, "sniHosts": ["*.test"]}], "route": [to("httpd.test")]},
        {"match": [{"sniHosts": ["*.test"], "sourceLabels": {"app": "web"}}], "route": [to("httpd.test")]},
        {"match": [{"sniHosts": ["*.test"], "gateways": ["mesh"]}], "route": [to("httpd.test")]},
        {"match": [{"sniHosts": ["*.test"]}], "route": [to("httpd.test")]},
        {"match": [{"sniHosts": ["nginx.test"]}], "route": [to("nginx.test")]},
    ],
)


def test_a_passed_server_says_why_each_match_before_does_not_take_it():
    made = asked("tls://nginx.test", HTTPD, NGINX, PASSED, RULES, gateway=EDGE)
    assert reasons(made) == [
        "port: wanted 8443, got 443, the port of the gateway",
        "sourceLabels: wanted app=web, got a workload without labels",
        "gateways: wanted mesh, got default/edge",
        "sniHosts: *.test covers nginx.test, but nginx.test is more exact",
        "",
    ]
    assert sent(made) == [("outbound|443||nginx.test", 1)]
    assert made.reply is None


def test_each_reason_has_the_line_of_its_condition():
    written = text(HTTPD, NGINX, PASSED, RULES)
    made = asked("tls://nginx.test", HTTPD, NGINX, PASSED, RULES, gateway=EDGE)
    lines = [written.splitlines()[rung.line[1] - 1].strip() for rung in made.considered if rung.line is not None]
    assert lines[:2] == ["- port: 8443", "app: web"]
    assert all(rung.line is not None and rung.line[0] == "0.yaml" for rung in made.considered[:-1])


@pytest.mark.parametrize(
    ("url", "status", "flag", "cause"),
    [
        ("tls://nginx.tset:443", CLOSED, "NR", "no server is for nginx.tset; did you mean nginx.test?"),
        ("tls://10.0.0.1:443", CLOSED, "NR", "no server is for a client without SNI"),
        ("tcp://nginx.test:443", CLOSED, "NR", "the connection is not TLS"),
        ("http://nginx.test:443", CLOSED, "NR", "the connection is not TLS"),
        ("tls://nginx.test:444", CLOSED, "", "nothing listens on port 444: Gateway default/edge has 443"),
    ],
)
def test_a_connection_nobody_takes_is_closed_with_its_cause(url: str, status: int, flag: str, cause: str):
    assert ended(asked(url, HTTPD, NGINX, PASSED, RULES, gateway=EDGE)) == (status, flag, cause)


def test_auto_passthrough_goes_by_the_names_that_istio_gives_clusters():
    auto = gateway(server(15443, "TLS", ["*.test"], tls={"mode": "AUTO_PASSTHROUGH"}))
    made = asked("tls://outbound_.443_._.nginx.test:15443", HTTPD, NGINX, auto, gateway=EDGE)
    assert reasons(made) == ["SNI: wanted outbound_.443_._.httpd.test, got outbound_.443_._.nginx.test", ""]
    assert sent(made) == [("outbound|443||nginx.test", 1)]


def test_https_says_which_server_it_meets_and_then_climbs_the_rules():
    tls = {"mode": "SIMPLE", "credentialName": "c"}
    servers = gateway(server(443, "HTTPS", ["a.test"], tls=tls), server(443, "HTTPS", ["b.test"], tls=tls))
    rule = on_gateway("b", ["b.test"], http=[{"route": [to("b.test")]}])
    made = asked("https://b.test/x", service_entry("b.test", 1), servers, rule, gateway=EDGE)
    assert isinstance(made, Decision)
    assert made.front is not None
    assert reasons(made.front) == ["hosts: wanted a.test, got b.test", ""]
    assert made.virtual_host is not None
    assert made.virtual_host.virtual_service == "default/b"
    nobody = asked("https://c.test/x", service_entry("b.test", 1), servers, rule, gateway=EDGE)
    assert ended(nobody)[:2] == (CLOSED, "NR")
    plain = asked("http://b.test:443/x", service_entry("b.test", 1), servers, rule, gateway=EDGE)
    assert ended(plain) == (CLOSED, "NR", "the connection is not TLS")


def test_https_to_a_server_that_passes_tls_on_is_a_connection():
    made = asked("https://nginx.test/x", HTTPD, NGINX, PASSED, RULES, gateway=EDGE)
    assert isinstance(made, StreamDecision)
    assert sent(made) == [("outbound|443||nginx.test", 1)]


def test_tls_to_a_plain_port_is_no_http():
    made = asked("tls://a.test:80", gateway(server(80, "HTTP", ["*"])), gateway=EDGE)
    assert ended(made)[:2] == (400, "DPE")


def test_terminated_bytes_go_by_tcp_rules():
    tls = {"mode": "SIMPLE", "credentialName": "c"}
    rule = on_gateway(
        "a", ["a.test"], tcp=[{"match": [{"port": 1}], "route": [to("x.test")]}, {"route": [to("n.test")]}]
    )
    made = asked("tls://a.test", gateway(server(443, "TLS", ["a.test"], tls=tls)), rule, gateway=EDGE)
    assert reasons(made) == ["port: wanted 1, got 443, the port of the gateway", ""]
    assert made.chain is not None and made.chain.tls is not None
    assert ended(made)[:2] == (CLOSED, "NC")


def test_weights_and_a_destination_that_cannot_be_had():
    routes = [{**to("echo.test", subset="v1"), "weight": 3}, {**to("echo.test", subset="v9"), "weight": 1}]
    subsets = document(
        "DestinationRule",
        "echo",
        {"host": "echo.test", "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v9")]},
    )
    made = asked(
        "tcp://echo.test:9000",
        tcp_service("echo.test", (1, "v1")),
        subsets,
        gateway(server(9000, "TCP", ["*"])),
        on_gateway("echo", ["*"], tcp=[{"route": routes}]),
        gateway=EDGE,
    )
    assert sent(made) == [("outbound|9000|v1|echo.test", 3), ("outbound|9000|v9|echo.test", 1)]
    assert [target.flag for target in made.targets] == ["", "UH"]
    assert made.reply is None


# ---- CONNECT


MONGO = tcp_service("mongo.test", (1, "v1"), number=27017)
WEB = service_entry("web.test", 1)
SUBNETS = document(
    "VirtualService",
    "mongo",
    {
        "hosts": ["mongo.test"],
        "tcp": [{"match": [{"destinationSubnets": ["10.0.0.0/8"]}], "route": [to("mongo.test", subset="v1")]}],
    },
)


def test_a_tcp_port_is_reached_by_connect():
    made = asked("tcp://mongo.test:27017", MONGO, SUBNETS)
    assert isinstance(made, StreamDecision)
    assert made.found_by == "mongo.test is one of its names"
    assert reasons(made) == ["destinationSubnets: wanted 10.0.0.0/8, got the name mongo.test", ""]
    assert sent(made) == [("outbound|27017||mongo.test", 1)]


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("tcp://mongo.test:1", "mongo.test has no port 1; it has 27017"),
        ("tcp://mnogo.test:27017", "no service has mnogo.test:27017; did you mean mongo.test?"),
        ("tcp://web.test:1", "web.test has no port 1; it has 80"),
    ],
)
def test_whom_nobody_has_gets_404_nr(url: str, cause: str):
    assert ended(asked(url, MONGO, WEB)) == (404, "NR", cause)


def test_a_gateway_that_has_what_the_mesh_lacks_is_named():
    assert ended(asked("tls://b.test", PASSED, RULES)) == (
        404,
        "NR",
        "no service has b.test:443; Gateway default/edge has it",
    )


def test_allow_any_lets_it_through():
    made = asked("tcp://else.example:5", MONGO, outbound_traffic_policy="ALLOW_ANY")
    assert made.found_by == "no service has else.example:5, and ALLOW_ANY lets it through"
    assert sent(made) == [("PassthroughCluster", 1)]


def test_a_connect_to_an_http_port_is_http_again():
    made = asked("web.test:80", WEB, method="CONNECT")
    assert made.chain is not None
    assert (made.chain.http, made.reply) == ("mesh", None)
    assert ended(asked("tls://web.test:80", WEB))[:2] == (400, "DPE")


@pytest.mark.parametrize(
    ("url", "method", "speaks"),
    [
        ("nginx.test:443", "CONNECT", Speaks.TLS),
        ("tcp://nginx.test:443", "CONNECT", Speaks.BYTES),
        ("mongo.test:27017", "CONNECT", Speaks.BYTES),
        ("https://nginx.test/x", "GET", Speaks.TLS),
    ],
)
def test_a_client_is_taken_to_speak_what_the_port_is_for(url: str, method: str, speaks: Speaks):
    rule = document("VirtualService", "n", {"hosts": ["nginx.test"], "tls": [RULES["spec"]["tls"][4]]})
    made = asked(url, NGINX, MONGO, rule, method=method)
    assert isinstance(made, StreamDecision)
    assert made.connection.speaks is speaks


def test_a_gateway_is_no_forward_proxy():
    assert ended(asked("a.test:443", PASSED, method="CONNECT", gateway=EDGE))[:2] == (501, "DPE")


@pytest.mark.parametrize(
    ("url", "method", "gateway", "said"),
    [
        ("tcp://mongo.test", "GET", "", "which port"),
        ("mongo.test", "CONNECT", "", "which port"),
        ("tls://a.test", "GET", "default/none", "no Gateway default/none is served here; there is default/edge"),
    ],
)
def test_what_cannot_be_asked(url: str, method: str, gateway: str, said: str):
    with pytest.raises(AskedError, match=said):
        asked(url, MONGO, PASSED, method=method, gateway=gateway)


# ---- generated configurations


def generated(dice: random.Random) -> tuple[list[object], list[str]]:
    """Services with tls and tcp rules on the mesh and on a gateway, and hosts to ask for."""
    hosts = [f"s{number}.test" for number in range(6)]
    documents: list[object] = [gateway(server(443, "TLS", ["*"], tls={"mode": "PASSTHROUGH"}))]
    for number, host in enumerate(hosts):
        protocol = "TLS" if number % 2 else "TCP"
        documents.append(tcp_service(host, (number + 1, "v1"), number=443, protocol=protocol))
    # the wildcard governs those that have no rules of their own
    for host, patterns in [(host, [host]) for host in hosts[:4]] + [("*.test", [*hosts, "*.test", "*.x.test"])]:
        spec = {"hosts": [host], "gateways": ["mesh", "edge"]}
        spec["tls"] = [rule(dice, hosts, patterns) for _ in range(dice.randint(1, 4))]
        spec["tcp"] = [rule(dice, hosts, []) for _ in range(dice.randint(1, 4))]
        documents.append(document("VirtualService", f"of-{host.replace('*.', 'any-').replace('.', '-')}", spec))
    return documents, [*hosts, "x.test", "a.x.test", "nobody.example", "10.1.0.1", "10.2.0.1", "fd00::1"]


def rule(dice: random.Random, hosts: list[str], patterns: list[str]) -> dict[str, object]:
    match: dict[str, object] = {}
    if dice.random() < 0.4:
        match["destinationSubnets"] = dice.sample(["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"], 1)
    if dice.random() < 0.3:
        match["port"] = dice.choice([443, 444])
    if dice.random() < 0.3:
        match["gateways"] = [dice.choice(["mesh", "edge"])]
    if patterns:
        match["sniHosts"] = dice.sample(patterns, dice.randint(1, min(2, len(patterns))))
    return {"match": [match], "route": [to(dice.choice(hosts))]}


@pytest.mark.parametrize("seed", range(20))
def test_explain_says_of_generated_tables_what_they_decide(seed: int):
    dice = random.Random(seed)
    documents, hosts = generated(dice)
    snapshot = plan(text(*documents))
    mesh, edge = snapshot.listeners
    assert edge.streams is not None
    for _ in range(40):
        host = dice.choice(hosts)
        speaks = dice.choice(["tls", "tcp"])
        through = dice.choice(["", EDGE])
        bracketed = f"[{host}]" if ":" in host else host
        made = decision_on(snapshot, Asked(url=f"{speaks}://{bracketed}:443", gateway=through))
        assert isinstance(made, StreamDecision)
        table = edge.streams if through else mesh.connected(host, 443)
        if table is None:
            assert ended(made)[:2] == (404, "NR")
            continue
        is_tls = speaks == "tls" and table.needs_hello
        name = host if is_tls and host not in hosts[-3:] else ""
        found = table.find(name, is_tls=is_tls, destination="" if through else host)
        assert made.chain is found
        assert [target.to for target in made.targets] == list(found.tunnel.action.destinations if found else ())
        assert all(rung.reason for rung in made.considered[: -1 if found else None])
