"""Certificates from files and directories: taken up while requests run, refused when they are broken, told of when they
are missing or old. And the PROXY protocol on gateways."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import authority, chain_of, client_context, connected, issue, secret, write_credential
from support.gateways import Edge, gateway, on_gateway, server, tcp_service, to
from support.proxy import service_entry
from support.raw import Raw, fetch
from support.upstream import Peer, Upstream
from support.wait import eventually

NAMED, FILES, MESH, PROXIED, PROXIED_TLS, PROXIED_TCP = 443, 8443, 15443, 8081, 8444, 9000
PROXY_PROTOCOL = {"proxy.istio.io/config": '{"gatewayTopology": {"proxyProtocol": {}}}'}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as web:
        yield web


def rule(name: str, host: str, gateways: str = "edge") -> Any:
    made = on_gateway(name, [host], http=[{"route": [to("web.test")]}])
    made["spec"]["gateways"] = [gateways]
    return made


def serial(edge: Edge, port: int, name: str) -> str:
    with connected(edge.at[port], name) as sock:
        return str((sock.getpeercert() or {})["serialNumber"])


def write_files(directory: Path, leaf: Any) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("cert.pem", chain_of(leaf)), ("key.pem", leaf.private_key_pem.bytes())):
        fresh = directory / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(directory / name)


def config(upstream: Upstream, files: Path) -> list[Any]:
    by_path = {"serverCertificate": str(files / "cert.pem"), "privateKey": str(files / "key.pem")}
    return [
        service_entry("web.test", upstream.port),
        gateway(
            server(NAMED, "HTTPS", ["a.test"], tls={"mode": "SIMPLE", "credentialName": "a"}),
            server(FILES, "HTTPS", ["f.test"], tls={"mode": "SIMPLE", **by_path}),
            server(MESH, "HTTPS", ["m.test"], tls={"mode": "ISTIO_MUTUAL"}),
        ),
        rule("a", "a.test"),
        rule("f", "f.test"),
        rule("m", "m.test"),
    ]


@pytest.fixture
def served(upstream: Upstream, tmp_path: Path) -> Iterator[tuple[Edge, Path]]:
    credentials, files = tmp_path / "credentials", tmp_path / "files"
    write_credential(credentials / "a", issue("a.test"))
    write_credential(credentials / "default", issue("m.test"), authority("mesh"))
    write_files(files, issue("f.test"))
    arguments = ("--credentials", str(credentials))
    with Edge(config(upstream, files), *arguments, ports=(NAMED, FILES, MESH)) as edge:
        yield edge, tmp_path


def test_certificates_are_rotated_under_load_without_a_failed_request(served: tuple[Edge, Path]):
    edge, directory = served
    stop, failures, done = threading.Event(), [], [0]

    def ask() -> None:
        while not stop.is_set():
            try:
                with connected(edge.at[NAMED], "a.test") as sock:
                    for _ in range(5):
                        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
                        done[0] += 1
            except (OSError, AssertionError) as error:
                failures.append(error)

    kept = connected(edge.at[NAMED], "a.test")
    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(2):
        before = serial(edge, NAMED, "a.test"), serial(edge, FILES, "f.test")
        write_credential(directory / "credentials" / "a", issue("a.test"))
        write_files(directory / "files", issue("f.test"))
        eventually(lambda before=before: serial(edge, NAMED, "a.test") != before[0], "the new credential")
        eventually(lambda before=before: serial(edge, FILES, "f.test") != before[1], "the new file")
    stop.set()
    for asker in askers:
        asker.join()
    with kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
    assert not failures
    assert done[0]


def test_a_key_that_does_not_belong_to_its_certificate_is_refused_and_the_old_one_serves(served: tuple[Edge, Path]):
    edge, directory = served
    before = serial(edge, NAMED, "a.test")
    other = issue("a.test")
    (directory / "credentials" / "a" / "tls.key").write_bytes(other.private_key_pem.bytes())
    edge.process.line("reload refused")
    assert any("the certificate a cannot be used: key values mismatch" in line for line in edge.process.lines)
    assert serial(edge, NAMED, "a.test") == before
    write_credential(directory / "credentials" / "a", other)
    eventually(lambda: serial(edge, NAMED, "a.test") != before, "the whole pair")


def test_istio_mutual_asks_for_certificates_of_the_mesh(served: tuple[Edge, Path]):
    edge, _ = served
    context = client_context(certificate=issue("client.test", ca=authority("mesh")))
    with connected(edge.at[MESH], "m.test", context) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: m.test\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_end_of_each_certificate_is_a_metric(served: tuple[Edge, Path]):
    edge, _ = served
    text = fetch(edge.admin, "localhost", "/stats/prometheus").body.decode()
    assert 'meshproxy_certificate_expiration_timestamp_seconds{certificate="a"}' in text


def test_several_workers_serve_tls_and_take_new_certificates_up(upstream: Upstream, tmp_path: Path):
    write_credential(tmp_path / "credentials" / "a", issue("a.test"))
    write_files(tmp_path / "files", issue("f.test"))
    arguments = ("--credentials", str(tmp_path / "credentials"), "--workers", "2")
    with Edge(config(upstream, tmp_path / "files"), *arguments, ports=(NAMED, FILES)) as edge:
        before = {serial(edge, NAMED, "a.test") for _ in range(6)}
        assert len(before) == 1
        write_credential(tmp_path / "credentials" / "a", issue("a.test"))
        eventually(lambda: serial(edge, NAMED, "a.test") not in before, "the new credential")
        # all serve it before any says so
        eventually(lambda: any(line.startswith("reload:") for line in edge.process.lines), "the reload")
        assert before.isdisjoint(serial(edge, NAMED, "a.test") for _ in range(6))


def test_keys_are_not_shown(served: tuple[Edge, Path]):
    edge, _ = served
    text = fetch(edge.admin, "localhost", "/config_dump").body.decode()
    assert '"a.test"' in text
    assert "PRIVATE KEY" not in text


def test_what_is_missing_or_old_is_told_at_its_line(upstream: Upstream, tmp_path: Path):
    documents = [
        *config(upstream, tmp_path / "nowhere"),
        secret("old", issue("old.test", expired=True)),
        gateway(server(8500, "HTTPS", ["old.test"], tls={"mode": "SIMPLE", "credentialName": "old"}), name="old"),
    ]
    with Edge(documents, ports=(NAMED, FILES, MESH, 8500)) as edge:
        said = "\n".join(edge.process.lines)
    for message in ("has the name a:", "cert.pem cannot be read", "has the name default", "old has expired"):
        assert message in said
    assert "config.yaml:" in said


# ---- PROXY protocol


@pytest.fixture(scope="module")
def proxied() -> Iterator[Edge]:
    def greet(peer: Peer) -> None:
        peer.send(peer.receive())

    with Upstream() as web, Upstream(greet) as raw:
        documents = [
            service_entry("web.test", web.port),
            tcp_service("raw.test", (raw.port, "v1")),
            secret("a", issue("a.test")),
            gateway(
                server(PROXIED, "HTTP", ["*"]),
                server(PROXIED_TLS, "HTTPS", ["a.test"], tls={"mode": "SIMPLE", "credentialName": "a"}),
                server(PROXIED_TCP, "TCP", ["*"]),
                annotations=PROXY_PROTOCOL,
            ),
            rule("any", "*"),
            on_gateway("raw", ["*"], tcp=[{"match": [{"port": PROXIED_TCP}], "route": [to("raw.test")]}]),
        ]
        with Edge(documents, ports=(PROXIED, PROXIED_TLS, PROXIED_TCP)) as edge:
            yield edge


HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"


def test_the_header_says_who_the_client_is(proxied: Edge):
    with Raw(proxied.at[PROXIED]) as client:
        client.send(HEADER)
        reply = client.get("a.test", "/plain")
    assert ["x-forwarded-for", "192.0.2.1"] in reply.json["headers"]
    entry = proxied.logged(lambda entry: entry["path"] == "/plain")
    assert entry["downstream_remote_address"] == "192.0.2.1:1234"


def test_the_header_comes_before_tls(proxied: Edge):
    with socket.create_connection(proxied.at[PROXIED_TLS], timeout=10) as sock:
        sock.sendall(HEADER)
        context = client_context()
        with context.wrap_socket(sock, server_hostname="a.test") as secure:
            secure.sendall(b"GET /secure HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            assert b"192.0.2.1" in secure.recv(65536)


def test_the_header_comes_before_bytes(proxied: Edge):
    with Raw(proxied.at[PROXIED_TCP]) as client:
        assert client.send(HEADER, b"hello").exactly(5) == b"hello"
    entry = proxied.logged(lambda entry: entry["bytes_received"] == 5)
    assert entry["downstream_remote_address"] == "192.0.2.1:1234"


def test_who_sends_no_header_is_closed(proxied: Edge):
    with Raw(proxied.at[PROXIED]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.rest() == b""
    entry = proxied.logged(lambda entry: entry["response_flags"] == "DPE")
    assert "PROXY" in entry["response_code_details"]
