"""What a DestinationRule asks for byte streams: an endpoint for each address, TLS, a forward proxy, a PROXY header."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.gateways import Edge, gateway, on_gateway, server, tcp_service, to
from support.policies import rule
from support.raw import Raw
from support.upstream import Gone, Peer, Upstream

HASHED, TUNNELLED, REFUSED, SECURE, TOLD = 9301, 9302, 9303, 9304, 9305
PORTS = (HASHED, TUNNELLED, REFUSED, SECURE, TOLD)
CA = trustme.CA()


def named(name: bytes):
    def script(peer: Peer) -> None:
        peer.send(name + b"\n")
        peer.wait_gone()

    return script


def echo(peer: Peer) -> None:
    while True:
        peer.send(peer.receive())


def forward_proxy(peer: Peer) -> None:
    """Is the target itself, once it has been asked."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += peer.receive()
    line = data.partition(b"\r\n")[0]
    status = b"200 OK" if line == b"CONNECT far.test:7777 HTTP/1.1" else b"403 Forbidden"
    peer.send(b"HTTP/1.1 " + status + b"\r\n\r\n")
    echo(peer)


class TlsEcho(Upstream):
    def _run(self, peer: Peer) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert("secure.test").configure_cert(context)
        try:
            peer.sock = context.wrap_socket(peer.sock, server_side=True)
            echo(peer)
        except (OSError, Gone):
            peer.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    trusted: Path = tmp_path_factory.mktemp("pem") / "ca.pem"
    CA.cert_pem.write_to_path(trusted)
    made = {
        "hashed": [Upstream(named(b"%d" % number)).listen() for number in range(4)],
        "tunnelled": [Upstream(forward_proxy).listen()],
        "refused": [Upstream(forward_proxy).listen()],
        "secure": [TlsEcho().listen()],
        "told": [Upstream(echo).listen()],
    }
    policies = {
        "hashed": {"loadBalancer": {"consistentHash": {"useSourceIp": True}}},
        "tunnelled": {"tunnel": {"targetHost": "far.test", "targetPort": 7777}},
        "refused": {"tunnel": {"targetHost": "elsewhere.test", "targetPort": 1}},
        "secure": {"tls": {"mode": "SIMPLE", "caCertificates": str(trusted), "sni": "secure.test"}},
        "told": {"proxyProtocol": {"version": "V1"}},
    }
    config = [gateway(*(server(number, "TCP", ["*"]) for number in PORTS))]
    for number, (name, upstreams) in zip(PORTS, made.items(), strict=True):
        host = f"{name}.test"
        config.append(tcp_service(host, *((upstream.port, "v1") for upstream in upstreams)))
        config.append(rule(host, **policies[name]))
        routes = [{"match": [{"port": number}], "route": [to(host)]}]
        config.append(on_gateway(f"tcp-{number}", ["*"], tcp=routes))
    with Edge(config, ports=PORTS) as proxy:
        yield proxy
    for upstreams in made.values():
        for upstream in upstreams:
            upstream.stop()


def test_an_address_keeps_its_endpoint(edge: Edge) -> None:
    found = set()
    for _ in range(20):
        with Raw(edge.at[HASHED]) as client:
            found.add(client.until(b"\n"))
    assert len(found) == 1


def test_through_a_forward_proxy(edge: Edge) -> None:
    with Raw(edge.at[TUNNELLED]) as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"


def test_a_forward_proxy_that_refuses_closes_the_connection(edge: Edge) -> None:
    with Raw(edge.at[REFUSED]) as client:
        client.send(b"hello")
        assert client.closed()


def test_tls_to_the_endpoint(edge: Edge) -> None:
    with Raw(edge.at[SECURE]) as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"


def test_the_endpoint_is_told_the_client_s_address(edge: Edge) -> None:
    with Raw(edge.at[TOLD]) as client:
        port = client.sock.getsockname()[1]
        client.send(b"hello")
        line = client.until(b"\r\n")
        assert line.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d " % port)
        assert client.exactly(5) == b"hello"
