"""The mesh listener as a forward proxy: what can be reached through it, by which rules, and what cannot."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from support.certificates import authority, client_context, issue
from support.gateways import Edge, tcp_service, to
from support.proxy import document, service_entry, virtual_service
from support.raw import Raw
from support.upstream import Gone, Peer, Upstream
from support.wait import PATIENCE


def echo(peer: Peer) -> None:
    with contextlib.suppress(Gone):
        while True:
            peer.send(peer.receive())
    peer.half_close()


def named(name: bytes) -> Any:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(name)

    return script


class TlsUpstream(Upstream):
    """HTTP over TLS."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issue(*names).configure_cert(self._context)

    def _run(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            peer.sock = self._context.wrap_socket(peer.sock, server_side=True)
            super()._run(peer)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, Upstream]]:
    made: dict[str, Upstream] = {
        "web": Upstream().listen(),
        "echo": Upstream(echo).listen(),
        "v1": Upstream(named(b"v1")).listen(),
        "v2": Upstream(named(b"v2")).listen(),
        "tls": TlsUpstream("secure.test", "api.secure.test").listen(),
        "other": TlsUpstream("api.secure.test").listen(),
    }
    yield made
    for upstream in made.values():
        upstream.stop()


def config(upstreams: dict[str, Upstream]) -> list[Any]:
    port = {name: upstream.port for name, upstream in upstreams.items()}
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    return [
        service_entry("reviews.test", port["web"]),
        tcp_service("echo.test", (port["echo"], "v1")),
        tcp_service("shift.test", (port["v1"], "v1"), (port["v2"], "v2")),
        tcp_service("secure.test", (port["tls"], "v1"), number=443, protocol="TLS"),
        tcp_service("*.secure.test", (port["tls"], "v1"), number=443, protocol="TLS"),
        tcp_service("other.test", (port["other"], "v1"), number=443, protocol="TLS"),
        document("DestinationRule", "shift", {"host": "shift.test", "subsets": subsets}),
        document(
            "VirtualService", "shift", {"hosts": ["shift.test"], "tcp": [{"route": [to("shift.test", subset="v2")]}]}
        ),
        document(
            "VirtualService",
            "echo",
            {
                "hosts": ["echo.test"],
                "tcp": [{"match": [{"destinationSubnets": ["10.0.0.0/8"]}], "route": [to("nobody.test")]}],
            },
        ),
        document(
            "VirtualService",
            "secure",
            {
                "hosts": ["*.secure.test"],
                "tls": [{"match": [{"sniHosts": ["api.secure.test"], "port": 443}], "route": [to("other.test")]}],
            },
        ),
        virtual_service(
            "reviews.test", {"headers": {"request": {"set": {"x-ruled": "yes"}}}, "route": [to("reviews.test")]}
        ),
        document(
            "ServiceEntry",
            "numbers",
            {
                "hosts": ["numbers.test"],
                "addresses": ["127.0.0.0/8"],
                "ports": [{"number": port["echo"], "name": "tcp", "protocol": "TCP"}],
                "resolution": "NONE",
            },
        ),
        document(
            "ServiceEntry",
            "names",
            {
                "hosts": ["localhost"],
                "ports": [{"number": port["web"], "name": "http", "protocol": "HTTP"}],
                "resolution": "DNS",
            },
        ),
    ]


@pytest.fixture(scope="module")
def edge(upstreams: dict[str, Upstream]) -> Iterator[Edge]:
    with Edge(config(upstreams)) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def open_edge(upstreams: dict[str, Upstream]) -> Iterator[Edge]:
    with Edge(config(upstreams), "--outbound-traffic-policy", "ALLOW_ANY") as proxy:
        yield proxy


def connect(edge: Edge, authority: str) -> tuple[Raw, int]:
    client = Raw(edge.address)
    client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    head = client.until(b"\r\n\r\n")
    return client, int(head.split(b" ")[1])


def test_explain_asks_the_running_proxy_of_a_connection(edge: Edge):
    client, status = connect(edge, "shift.test:9000")
    with client:
        assert status == 200
        client.send(b"?")
        assert client.exactly(2) == b"v2"
    host, port = edge.admin
    query = urlencode({"url": "tcp://shift.test:9000", "format": "json"})
    with urlopen(f"http://{host}:{port}/explain?{query}", timeout=PATIENCE) as response:
        said = json.load(response)
    assert (said["action"], said["virtual_service"], said["rule"]) == ("tcp", "default/shift", 0)
    (to,) = said["destinations"]
    assert (to["subset"], to["endpoints"][0]["live"]["requests"] >= 1) == ("v2", True)


def test_an_absolute_target_names_the_service(edge: Edge):
    with Raw(edge.address) as client:
        client.send(b"GET http://reviews.test/x HTTP/1.1\r\nHost: whatever\r\n\r\n")
        reply = client.reply()
    assert (reply.status, reply.json["target"]) == (200, "/x")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("arguments", [["http://reviews.test/x"], ["-p", "http://reviews.test/x"]])
def test_curl_by_http_proxy(edge: Edge, arguments: list[str]):
    host, port = edge.address
    environment = {**os.environ, "http_proxy": f"http://{host}:{port}", "no_proxy": ""}
    said = subprocess.run(
        ["curl", "-sS", *arguments], env=environment, capture_output=True, timeout=PATIENCE, check=True
    )
    assert b'"target": "/x"' in said.stdout
    assert b'"x-ruled", "yes"' in said.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_by_https_proxy(edge: Edge, tmp_path: Any):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    host, port = edge.address
    asked = [
        "curl",
        "-sS",
        "--cacert",
        str(tmp_path / "ca.pem"),
        "-x",
        f"http://{host}:{port}",
        "https://secure.test/y",
    ]
    said = subprocess.run(asked, capture_output=True, timeout=PATIENCE, check=True).stdout
    assert b'"target": "/y"' in said


def test_connect_to_a_tcp_port(edge: Edge):
    client, status = connect(edge, "echo.test:9000")
    assert status == 200
    with client:
        assert client.send(b"hello").exactly(5) == b"hello"
    entry = edge.logged(lambda entry: entry["authority"] == "echo.test:9000")
    assert (entry["method"], entry["upstream_cluster"], entry["bytes_sent"]) == (
        "CONNECT",
        "outbound|9000||echo.test",
        5,
    )


def test_bytes_sent_with_the_connect_are_not_lost(edge: Edge):
    with Raw(edge.address) as client:
        client.send(b"CONNECT echo.test:9000 HTTP/1.1\r\nHost: echo.test:9000\r\n\r\nearly")
        client.until(b"\r\n\r\n")
        assert client.exactly(5) == b"early"


def test_connect_follows_tcp_routes(edge: Edge):
    client, _ = connect(edge, "shift.test:9000")
    with client:
        assert client.send(b"?").exactly(2) == b"v2"


@pytest.mark.parametrize(("name", "cluster"), [("www.secure.test", "*.secure.test"), ("api.secure.test", "other.test")])
def test_connect_follows_tls_routes_by_server_name(edge: Edge, name: str, cluster: str):
    client, status = connect(edge, f"{name}:443")
    assert status == 200
    context = client_context()
    context.check_hostname = False
    with context.wrap_socket(client.sock, server_hostname=name) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    entry = edge.logged(lambda entry: entry["requested_server_name"] == name)
    assert entry["upstream_cluster"] == f"outbound|443||{cluster}"


def test_connect_to_an_http_port_is_http_under_its_rules(edge: Edge):
    client, status = connect(edge, "reviews.test:80")
    assert status == 200
    with client:
        reply = client.get("reviews.test", "/inside")
    assert ["x-ruled", "yes"] in reply.json["headers"]


def test_connect_to_an_address_of_a_service_entry(edge: Edge, upstreams: dict[str, Upstream]):
    client, status = connect(edge, f"127.0.0.1:{upstreams['echo'].port}")
    assert status == 200
    with client:
        assert client.send(b"hello").exactly(5) == b"hello"


@pytest.mark.parametrize("target", ["unknown.test:443", "unknown.test:80", "echo.test:1", "10.9.8.7:443", "echo.test"])
def test_nothing_outside_the_registry_is_connected_to(edge: Edge, target: str):
    client, status = connect(edge, target)
    client.close()
    assert status == 404
    assert edge.logged(lambda entry: entry["authority"] == target)["response_flags"] == "NR"


def test_nothing_outside_the_registry_is_asked(edge: Edge, upstreams: dict[str, Upstream]):
    with Raw(edge.address) as client:
        assert client.get(f"127.0.0.1:{upstreams['web'].port}").status == 404


def test_allow_any_calls_whoever_is_asked_for(open_edge: Edge, upstreams: dict[str, Upstream]):
    host = f"127.0.0.1:{upstreams['web'].port}"
    with Raw(open_edge.address) as client:
        assert client.get(host, "/any").json["target"] == "/any"
    entry = open_edge.logged(lambda entry: entry["path"] == "/any")
    assert (entry["upstream_cluster"], entry["route_name"]) == ("PassthroughCluster", "allow_any")
    client, status = connect(open_edge, f"127.0.0.1:{upstreams['v1'].port}")
    assert status == 200
    with client:
        assert client.send(b"?").exactly(2) == b"v1"


def test_a_name_is_looked_up(edge: Edge, upstreams: dict[str, Upstream]):
    with Raw(edge.address) as client:
        reply = client.get(f"localhost:{upstreams['web'].port}", "/looked-up")
    assert reply.json["target"] == "/looked-up"
    entry = edge.logged(lambda entry: entry["path"] == "/looked-up")
    assert entry["upstream_host"] == f"127.0.0.1:{upstreams['web'].port}"


def test_a_sidecar_limits_what_is_seen(upstreams: dict[str, Upstream]):
    sidecar = document("Sidecar", "default", {"egress": [{"hosts": ["./reviews.test"]}]})
    with Edge([*config(upstreams), sidecar]) as edge, Raw(edge.address) as client:
        assert client.get("reviews.test").status == 200
        assert client.get(f"localhost:{upstreams['web'].port}").status == 404
        other, status = connect(edge, "echo.test:9000")
        other.close()
        assert status == 404


def test_a_sidecar_allows_any(upstreams: dict[str, Upstream]):
    policy = {"egress": [{"hosts": ["./reviews.test"]}], "outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}
    with Edge([*config(upstreams), document("Sidecar", "default", policy)]) as edge, Raw(edge.address) as client:
        assert client.get(f"127.0.0.1:{upstreams['web'].port}").status == 200
