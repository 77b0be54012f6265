"""The packaged scenarios of `config/` and Istio's own samples, as they are, with local servers in place of services."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import authority, client_context, connected, issue, names_of, write_credential
from support.gateways import Edge
from support.raw import Raw
from support.upstream import Gone, Peer, Upstream
from support.wait import PATIENCE

ROOT = Path(__file__).parents[2]
CONFIG, SAMPLES = ROOT / "config", ROOT / "tests" / "samples"


def scenario(name: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in (CONFIG / name).glob("*.yaml")}


def samples(*names: str) -> dict[str, str]:
    """In this order: of two that define the same the later one counts."""
    return {f"{number}.yaml": (SAMPLES / f"{name}.yaml").read_text() for number, name in enumerate(names)}


class TlsUpstream(Upstream):
    """HTTP over TLS, with a certificate for `names`."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issue(*names).configure_cert(self._context)

    def _run(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            peer.sock = self._context.wrap_socket(peer.sock, server_side=True)
            super()._run(peer)


def version(name: bytes) -> Upstream:
    def script(peer: Peer) -> None:
        with contextlib.suppress(Gone):
            while True:
                peer.send(name + b" " + peer.receive())
        peer.half_close()

    return Upstream(script)


def get(sock: ssl.SSLSocket, host: str, path: str = "/") -> bytes:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return sock.recv(65536)


@pytest.fixture
def web() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


# ---- config/


def test_ingress_tls(web: Upstream, tmp_path: Path):
    clients = authority("clients")
    write_credential(tmp_path / "httpbin-cert", issue("httpbin.example.com"))
    write_credential(tmp_path / "helloworld-cert", issue("helloworld.example.com"), clients)
    maps = [f"--map={name}=127.0.0.1:{web.port}" for name in ("httpbin", "helloworld")]
    with Edge(scenario("ingress-tls"), "--credentials", str(tmp_path), *maps, ports=(80, 443)) as edge:
        with Raw(edge.at[80]) as client:
            assert client.get("httpbin.example.com", "/status/200").get("location") is not None
        with connected(edge.at[443], "httpbin.example.com") as sock:
            assert names_of(sock) == ["httpbin.example.com"]
            assert b'"target": "/status/200"' in get(sock, "httpbin.example.com", "/status/200")
        with connected(edge.at[443], "httpbin.example.com") as sock:
            assert get(sock, "httpbin.example.com", "/else").startswith(b"HTTP/1.1 404")
        context = client_context(certificate=issue("me.test", ca=clients))
        with connected(edge.at[443], "helloworld.example.com", context) as sock:
            assert (names_of(sock), sock.version()) == (["helloworld.example.com"], "TLSv1.3")
            assert get(sock, "helloworld.example.com").startswith(b"HTTP/1.1 200")


def test_passthrough():
    with TlsUpstream("nginx.example.com") as nginx, TlsUpstream("a.httpd.example.com") as httpd:
        maps = [f"--map=nginx=127.0.0.1:{nginx.port}", f"--map=httpd=127.0.0.1:{httpd.port}"]
        with Edge(scenario("passthrough"), *maps, ports=(443,)) as edge:
            for name in ("nginx.example.com", "a.httpd.example.com"):
                with connected(edge.at[443], name) as sock:
                    assert names_of(sock) == [name]
                    assert get(sock, name).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "files", [scenario("tcp-echo"), samples("tcp-echo__tcp-echo-all-v1", "tcp-echo__tcp-echo-20-v2")]
)
def test_tcp_echo(files: dict[str, str]):
    with version(b"one") as one, version(b"two") as two:
        maps = [f"--map=tcp-echo:v1=127.0.0.1:{one.port}", f"--map=tcp-echo:v2=127.0.0.1:{two.port}"]
        with Edge(files, *maps, ports=(31400,)) as edge:
            count = 200
            seen: Counter[bytes] = Counter()
            for _ in range(count):
                with Raw(edge.at[31400]) as client:
                    seen[client.send(b"hello").exactly(9)] += 1
    assert set(seen) == {b"one hello", b"two hello"}
    assert abs(seen[b"two hello"] - count * 0.2) <= 5 * (count * 0.2 * 0.8) ** 0.5


def test_egress_tls(tmp_path: Path):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    files = {
        name: text.replace("/etc/ssl/certs/ca-certificates.crt", str(tmp_path / "ca.pem"))
        for name, text in scenario("egress-tls").items()
    }
    with TlsUpstream("api.example.com") as api, Edge(files, f"--map=api.example.com=127.0.0.1:{api.port}") as edge:
        with Raw(edge.address) as client:
            client.send(b"GET http://api.example.com/plain HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            assert client.reply().json["target"] == "/plain"
            assert client.get("other.example.com").status == 404
        if shutil.which("curl") is not None:
            host, port = edge.address
            asked = ["curl", "-sS", "--cacert", str(tmp_path / "ca.pem"), "-x", f"http://{host}:{port}"]
            asked.append("https://api.example.com/tunnelled")
            said = subprocess.run(asked, capture_output=True, timeout=PATIENCE, check=True).stdout
            assert b'"target": "/tunnelled"' in said


# ---- Istio's samples


@pytest.mark.parametrize(
    ("sample", "port", "service", "path"),
    [
        ("bookinfo__networking__bookinfo-gateway", 8080, "productpage", "/productpage"),
        ("httpbin__httpbin-gateway", 80, "httpbin", "/anything"),
        ("helloworld__helloworld-gateway", 80, "helloworld", "/hello"),
        ("websockets__route", 80, "tornado", "/"),
    ],
)
def test_a_sample_gateway(web: Upstream, sample: str, port: int, service: str, path: str):
    arguments = ("--labels", "istio=ingressgateway", "--map", f"{service}=127.0.0.1:{web.port}")
    with Edge(samples(sample), *arguments, ports=(port,)) as edge, Raw(edge.at[port]) as client:
        reply = client.get("anything.example.com", path)
        assert (reply.status, reply.json["target"]) == (200, path)


def test_the_websockets_sample_upgrades():
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome")
        peer.send(peer.receive())

    arguments = ("--labels", "istio=ingressgateway")
    with (
        Upstream(script) as tornado,
        Edge(samples("websockets__route"), *arguments, f"--map=tornado=127.0.0.1:{tornado.port}", ports=(80,)) as edge,
        Raw(edge.at[80]) as client,
    ):
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
        assert client.exactly(7) == b"welcome"
        assert client.send(b"ping").exactly(4) == b"ping"


def test_the_external_sample():
    with TlsUpstream("github.com") as github, version(b"git") as ssh:
        maps = [f"--map=github.com=127.0.0.1:{github.port}", f"--map=dummy.github.com=127.0.0.1:{ssh.port}"]
        with Edge(samples("external__github"), *maps) as edge:
            with Raw(edge.address) as client:
                client.send(b"CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\n\r\n").until(b"\r\n\r\n")
                with client_context().wrap_socket(client.sock, server_hostname="github.com") as sock:
                    assert get(sock, "github.com").startswith(b"HTTP/1.1 200")
            with Raw(edge.address) as client:  # an address of the entry's networks
                client.send(b"CONNECT 140.82.112.4:22 HTTP/1.1\r\nHost: 140.82.112.4:22\r\n\r\n").until(b"\r\n\r\n")
                assert client.send(b"hello").exactly(9) == b"git hello"
            with Raw(edge.address) as client:
                client.send(b"CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: 192.0.2.1:22\r\n\r\n")
                assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_the_sample_that_originates_tls(tmp_path: Path):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with TlsUpstream("www.googleapis.com") as google:
        edge = Edge(
            samples("bookinfo__networking__egress-rule-google-apis"),
            f"--map=www.googleapis.com=127.0.0.1:{google.port}",
            env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        )
        with edge, Raw(edge.address) as client:
            reply = client.get("www.googleapis.com", "/books")
            assert (reply.status, reply.json["target"]) == (200, "/books")
