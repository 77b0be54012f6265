"""TLS to upstreams through the whole proxy: certificates right and wrong, and what client and log are told."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.policies import governed
from support.proxy import Proxy
from support.raw import Reply, fetch
from support.upstream import Peer, Script, Upstream, always, echo, reserve

CA = trustme.CA()
EXPIRED = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)


class TlsUpstream(Upstream):
    """An upstream that shakes hands before its script. `names` keeps the SNI of each connection."""

    def __init__(self, certificate: trustme.LeafCert, *, asks: bool = False) -> None:
        super().__init__(always(echo))
        self.names: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        if asks:
            CA.configure_trust(self.context)
            self.context.verify_mode = ssl.CERT_REQUIRED

    def _run(self, peer: Peer) -> None:
        try:
            peer.sock = self.context.wrap_socket(peer.sock, server_side=True)
        except (ssl.SSLError, OSError):
            peer.close()
            return
        super()._run(peer)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("pem")
    client = CA.issue_cert("client.test")
    CA.cert_pem.write_to_path(where / "ca.pem")
    client.cert_chain_pems[0].write_to_path(where / "chain.pem")
    client.private_key_pem.write_to_path(where / "key.pem")
    return where


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, TlsUpstream]]:
    certificates = {
        "right": CA.issue_cert("right.test"),
        "expired": CA.issue_cert("expired.test", not_before=EXPIRED, not_after=EXPIRED.replace(month=2)),
        "name": CA.issue_cert("other.test"),
        "unknown": trustme.CA().issue_cert("unknown.test"),
        "roots": CA.issue_cert("roots.test"),
        "skip": trustme.CA().issue_cert("other.test"),
        "asks": CA.issue_cert("asks.test"),
        "mutual": CA.issue_cert("mutual.test"),
        "istio": CA.issue_cert("istio.test"),
    }
    made = {
        name: TlsUpstream(certificate, asks=name in ("asks", "mutual")) for name, certificate in certificates.items()
    }
    for upstream in made.values():
        upstream.listen()
    yield made
    for upstream in made.values():
        upstream.stop()


@pytest.fixture(scope="module")
def proxy(upstreams: dict[str, TlsUpstream], directory: Path) -> Iterator[Proxy]:
    simple = {"mode": "SIMPLE", "caCertificates": str(directory / "ca.pem")}
    files = {"clientCertificate": str(directory / "chain.pem"), "privateKey": str(directory / "key.pem")}
    settings: dict[str, dict[str, Any]] = {
        **dict.fromkeys(upstreams, simple),
        "roots": {"mode": "SIMPLE"},
        "skip": {"mode": "SIMPLE", "insecureSkipVerify": True},
        "mutual": {**simple, **files, "mode": "MUTUAL", "sni": "mutual.test"},
        "istio": {"mode": "ISTIO_MUTUAL"},
    }
    documents = [
        document
        for name in upstreams
        for document in governed(f"{name}.test", upstreams[name].port, tls=settings[name])
    ]
    plain = reserve()
    documents += governed("refused.test", plain.getsockname()[1], tls=simple)
    with Proxy(documents) as running:
        yield running
    plain.close()


def get(proxy: Proxy, name: str) -> Reply:
    return fetch(proxy.address, f"{name}.test")


def test_the_right_certificate_and_the_host_as_sni(proxy: Proxy, upstreams: dict[str, TlsUpstream]) -> None:
    assert [get(proxy, "right").status for _ in range(2)] == [200, 200]
    assert upstreams["right"].names == ["right.test"]  # one connection for both


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("expired", "certificate has expired"),
        ("name", "it is for other.test, not for name.test"),
        ("unknown", "unable to get local issuer certificate"),
        ("roots", "unable to get local issuer certificate"),
        ("asks", "certificate required"),
        ("istio", "/etc/certs/"),
    ],
)
def test_a_connection_that_cannot_be_trusted_is_503_and_the_cause_is_told(proxy: Proxy, name: str, cause: str) -> None:
    reply = get(proxy, name)
    assert reply.status == 503
    assert reply.body.startswith(b"upstream connect error or disconnect/reset before headers. ")
    assert cause.encode() in reply.body
    (entry,) = proxy.log.of(f"{name}.test")
    assert "UF" in entry["response_flags"].split(",")
    assert cause.replace(" ", "_") in entry["upstream_transport_failure_reason"]


def test_no_check_where_that_is_asked_for(proxy: Proxy) -> None:
    assert get(proxy, "skip").status == 200


def test_a_client_certificate_is_presented(proxy: Proxy) -> None:
    assert get(proxy, "mutual").status == 200


def test_a_certificate_that_is_renewed_is_used_without_a_reload(directory: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    trusted = directory / "renewed.pem"
    old.cert_pem.write_to_path(trusted)
    upstream = TlsUpstream(new.issue_cert("renewed.test"))
    upstream.listen()
    tls = {"mode": "SIMPLE", "caCertificates": str(trusted)}
    try:
        with Proxy(governed("renewed.test", upstream.port, tls=tls)) as proxy:
            assert get(proxy, "renewed").status == 503
            fresh = directory / "fresh.pem"
            new.cert_pem.write_to_path(fresh)
            fresh.rename(trusted)
            assert get(proxy, "renewed").status == 200
    finally:
        upstream.stop()


def test_what_listens_without_tls_is_told(directory: Path) -> None:
    stop = threading.Event()

    def answer(peer: Peer) -> None:
        peer.receive()
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        stop.wait(5)

    script: Script = answer
    with Upstream(script) as upstream:
        tls = {"mode": "SIMPLE", "caCertificates": str(directory / "ca.pem")}
        with Proxy(governed("plain.test", upstream.port, tls=tls)) as proxy:
            reply = get(proxy, "plain")
            assert (reply.status, b"TLS_error: wrong version number" in reply.body) == (503, True)
        stop.set()
