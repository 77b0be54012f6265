"""TLS that ends at a gateway: which certificate, which rules, and what becomes of clients that get it wrong."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from support.certificates import authority, client_context, connected, issue, names_of, secret
from support.gateways import Edge, gateway, on_gateway, server, to
from support.proxy import service_entry
from support.raw import Raw
from support.upstream import Upstream
from support.wait import PATIENCE

PLAIN, TLS, MUTUAL, OLD = 80, 443, 8443, 8444


def rules(name: str, host: str) -> Any:
    return on_gateway(name, [host], http=[{"route": [to("web.test")]}])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as web:
        yield web


@pytest.fixture(scope="module")
def edge(upstream: Upstream) -> Iterator[Edge]:
    clients = authority("clients")
    config = [
        service_entry("web.test", upstream.port),
        secret("a", issue("a.test")),
        secret("b", issue("*.b.test")),
        secret("m", issue("m.test"), clients),
        gateway(
            server(PLAIN, "HTTP", ["a.test"], tls={"httpsRedirect": True}),
            server(PLAIN, "HTTP", ["plain.test"]),
            server(TLS, "HTTPS", ["a.test"], tls={"mode": "SIMPLE", "credentialName": "a"}),
            server(TLS, "HTTPS", ["*.b.test"], tls={"mode": "SIMPLE", "credentialName": "b"}),
            server(TLS, "HTTPS", ["opt.test"], tls={"mode": "OPTIONAL_MUTUAL", "credentialName": "m"}),
            server(TLS, "HTTPS", ["none.test"], tls={"mode": "SIMPLE", "credentialName": "missing"}),
            server(MUTUAL, "HTTPS", ["m.test"], tls={"mode": "MUTUAL", "credentialName": "m"}),
            server(
                OLD,
                "HTTPS",
                ["a.test"],
                tls={"mode": "SIMPLE", "credentialName": "a", "maxProtocolVersion": "TLSV1_2"},
            ),
        ),
        *(rules(name, host) for name, host in (("a", "a.test"), ("b", "x.b.test"), ("m", "m.test"), ("o", "opt.test"))),
        rules("plain", "plain.test"),
    ]
    with Edge(config, ports=(PLAIN, TLS, MUTUAL, OLD)) as proxy:
        yield proxy


def get(sock: ssl.SSLSocket, host: str, path: str = "/") -> bytes:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("name", "certificate"), [("a.test", "a.test"), ("x.b.test", "*.b.test"), ("A.TEST", "a.test")]
)
def test_the_server_name_chooses_certificate_and_routes(edge: Edge, name: str, certificate: str):
    with connected(edge.at[TLS], name) as sock:
        assert names_of(sock) == [certificate]
        answer = get(sock, name.lower())
    assert status(answer) == 200
    assert b'"x-forwarded-proto", "https"' in answer.lower()
    assert b"server: istio-envoy" in answer.lower()


def test_the_server_name_is_logged(edge: Edge):
    with connected(edge.at[TLS], "a.test") as sock:
        get(sock, "a.test", "/logged")
    entry = edge.logged(lambda entry: entry["path"] == "/logged")
    assert entry["requested_server_name"] == "a.test"


def test_a_request_for_another_server_s_host_finds_no_route(edge: Edge):
    with connected(edge.at[TLS], "a.test") as sock:
        assert status(get(sock, "x.b.test")) == 404


def test_many_requests_on_one_connection(edge: Edge):
    with connected(edge.at[TLS], "a.test") as sock:
        for number in range(20):
            sock.sendall(f"GET /{number} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_large_body_comes_through_both_ways(edge: Edge):
    body = bytes(1 << 20)
    with connected(edge.at[TLS], "a.test") as sock:
        head = f"POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    assert b'"body": 1048576' in answer


def test_alpn_is_http_1_1(edge: Edge):
    with connected(edge.at[TLS], "a.test", client_context(alpn=["h2", "http/1.1"])) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_a_client_hello_in_pieces(edge: Edge):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with socket.create_connection(edge.at[TLS], timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        for byte in outgoing.read():
            sock.sendall(bytes((byte,)))
        while True:
            incoming.write(sock.recv(65536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
        assert ("DNS", "a.test") in client.getpeercert()["subjectAltName"]


# ---- clients that get it wrong


def test_a_server_name_of_nobody(edge: Edge):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(edge.at[TLS], "nobody.test")
    entry = edge.logged(lambda entry: entry["requested_server_name"] == "nobody.test")
    assert (entry["response_flags"], entry["response_code_details"]) == ("NR", "filter_chain_not_found")
    assert entry["connection_termination_details"] == "no_server_for_nobody.test"
    assert_serves(edge)


def test_plain_http_on_a_tls_port(edge: Edge):
    with Raw(edge.at[TLS]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.rest() == b""
    entry = edge.logged(lambda entry: entry["connection_termination_details"] == "the_connection_is_not_TLS")
    assert entry["response_flags"] == "NR"
    assert_serves(edge)


def test_tls_on_a_plain_port(edge: Edge):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(edge.at[PLAIN], "a.test")
    entry = edge.logged(lambda entry: entry["response_code"] == 400)
    assert (entry["response_flags"], entry["response_code_details"]) == ("DPE", "http1.codec_error")
    assert_serves(edge)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_expired_client_certificate(edge: Edge, version: ssl.TLSVersion):
    clients = authority("clients")
    context = client_context(certificate=issue("client.test", ca=clients, expired=True))
    context.minimum_version = context.maximum_version = version
    before = len(edge.log.entries())
    with pytest.raises((ssl.SSLError, ConnectionError)), connected(edge.at[MUTUAL], "m.test", context) as sock:
        get(sock, "m.test")
    entry = edge.logged(lambda entry: "expired" in (entry["connection_termination_details"] or ""))
    assert entry["response_flags"] == "DPE"
    assert entry["response_code_details"] == "tls_handshake_failed"
    assert len(edge.log.entries()) > before or version is ssl.TLSVersion.TLSv1_3
    assert_serves(edge)


def test_no_client_certificate_where_one_is_required(edge: Edge):
    with pytest.raises((ssl.SSLError, ConnectionError)), connected(edge.at[MUTUAL], "m.test") as sock:
        get(sock, "m.test")
    edge.logged(lambda entry: "did_not_return_a_certificate" in (entry["connection_termination_details"] or ""))


def test_a_client_certificate_of_our_ca(edge: Edge):
    context = client_context(certificate=issue("client.test", ca=authority("clients")))
    with connected(edge.at[MUTUAL], "m.test", context, check=False) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: m.test\r\nX-Forwarded-Client-Cert: forged\r\nConnection: close\r\n\r\n")
        answer = sock.recv(65536)
    assert status(answer) == 200
    assert b"forged" not in answer
    assert b"DNS=client.test" in answer
    assert b"Hash=" in answer


def test_what_a_client_says_of_its_certificate_is_dropped(edge: Edge):
    with Raw(edge.at[PLAIN]) as client:
        reply = client.get("plain.test", "/", "X-Forwarded-Client-Cert: forged")
    assert not [value for name, value in reply.json["headers"] if name.lower() == "x-forwarded-client-cert"]


@pytest.mark.parametrize("presents", [False, True])
def test_an_optional_client_certificate(edge: Edge, presents: bool):
    certificate = issue("client.test", ca=authority("clients")) if presents else None
    with connected(edge.at[TLS], "opt.test", client_context(certificate=certificate), check=False) as sock:
        assert status(get(sock, "opt.test")) == 200


def test_a_server_without_certificate_is_told_of_and_closes(edge: Edge):
    assert any("missing" in line for line in edge.process.lines)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(edge.at[TLS], "none.test")
    assert edge.logged(lambda entry: entry["requested_server_name"] == "none.test")["response_flags"] == "NR"


def test_the_highest_version_is_kept(edge: Edge):
    with connected(edge.at[OLD], "a.test") as sock:
        assert sock.version() == "TLSv1.2"
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(edge.at[OLD], "a.test", context)


def test_https_redirect(edge: Edge):
    with Raw(edge.at[PLAIN]) as client:
        reply = client.get("a.test", "/here?x=1")
    assert (reply.status, reply.get("location")) == (301, "https://a.test/here?x=1")
    with Raw(edge.at[PLAIN]) as client:
        assert client.get("plain.test").status == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.parametrize("name", ["a.test", "x.b.test"])
def test_openssl_s_client_sees_the_certificate_of_its_server_name(edge: Edge, name: str):
    host, port = edge.at[TLS]
    asked = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name]
    said = subprocess.run(asked, input=b"", capture_output=True, timeout=PATIENCE, check=False).stdout
    shown = subprocess.run(["openssl", "x509", "-noout", "-text"], input=said, capture_output=True, check=True).stdout
    assert f"DNS:{'a.test' if name == 'a.test' else '*.b.test'}".encode() in shown


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(edge: Edge, tmp_path: Any):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    host, port = edge.at[TLS]
    asked = ["curl", "-sS", "--cacert", str(tmp_path / "ca.pem"), "--resolve", f"a.test:{port}:{host}"]
    said = subprocess.run(
        [*asked, f"https://a.test:{port}/x"], capture_output=True, timeout=PATIENCE, check=True
    ).stdout
    assert b'"target": "/x"' in said


def assert_serves(edge: Edge) -> None:
    """The listeners are all there."""
    with connected(edge.at[TLS], "a.test") as sock:
        assert status(get(sock, "a.test")) == 200
    with Raw(edge.at[PLAIN]) as client:
        assert client.get("plain.test").status == 200
