"""TLS to upstreams: who is trusted, and in which words a connection fails. Certificates are trustme's."""

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from meshproxy.base.errors import Kind, ProxyError
from meshproxy.plan.cluster import Cluster, Endpoint
from meshproxy.plan.upstream_tls import Pem, ProxyProtocol, UpstreamTls
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import Purpose, open_connection
from meshproxy.upstream.tls import Contexts

NAME = "shop.test"


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(ca, tmp_path_factory):
    """Paths of our CA's certificate, a client's chain and its key."""
    directory = tmp_path_factory.mktemp("certificates")
    client = ca.issue_cert("client@shop.test")
    for name, blob in (
        ("ca", ca.cert_pem),
        ("chain", client.cert_chain_pems[0]),
        ("key", client.private_key_pem),
        ("both", client.private_key_and_cert_chain_pem),
    ):
        blob.write_to_path(directory / f"{name}.pem")
    return {path.stem: str(path) for path in directory.iterdir()}


class Reached(asyncio.Protocol):
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(exc)


class Answering(asyncio.Protocol):
    """Says `words`, if any, and keeps what it reads."""

    def __init__(self, transports, words, got):
        self.transports, self.words, self.got = transports, words, got

    def connection_made(self, transport):
        self.transports.append(transport)
        if self.words:
            transport.write(self.words)

    def data_received(self, data):
        self.got.append(data)


@contextlib.asynccontextmanager
async def listening(words=b"", got=None, context=None):
    transports = []
    got = [] if got is None else got
    loop = asyncio.get_running_loop()
    serving = await loop.create_server(lambda: Answering(transports, words, got), "127.0.0.1", 0, ssl=context)
    try:
        yield LiveEndpoint(Endpoint(address="127.0.0.1", port=serving.sockets[0].getsockname()[1]))
    finally:
        serving.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def server(ca, *names, asks=False, seen=None, **issued):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or (NAME,)), **issued).configure_cert(context)
    if asks:
        ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if seen is not None:
        context.sni_callback = lambda _sock, name, _context: seen.append(name)
    async with listening(context=context) as endpoint:
        yield endpoint


def shake_hands(listening_socket, context):
    """Of a blocking socket, which sends the alert before it closes; asyncio's servers do not."""
    accepted, _ = listening_socket.accept()
    with accepted, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(accepted, server_side=True)


async def reached(endpoint, tls, name=NAME, contexts=None, within=10.0):
    plan = Cluster(name="c", host="h", port=443, tls=tls, connect_timeout=within)
    connection = await open_connection(plan, endpoint, Purpose(name), contexts or Contexts(), Reached)
    connection.transport.abort()
    return connection


def simple(ca_file, **more):
    return UpstreamTls(mode="SIMPLE", ca=ca_file, verify_host=True, **more)


async def why(endpoint, tls, **more):
    with pytest.raises(ProxyError) as failed:
        await reached(endpoint, tls, **more)
    assert failed.value.kind is Kind.CONNECT_FAILURE
    return failed.value.cause


async def test_the_right_certificate(ca, files):
    seen = []
    async with server(ca, seen=seen) as endpoint:
        await reached(endpoint, simple(files["ca"]))
    assert seen == [NAME]


async def test_an_expired_one(ca, files):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    async with server(ca, not_before=past, not_after=past.replace(year=2021)) as endpoint:
        assert (
            await why(endpoint, simple(files["ca"])) == "TLS_error: certificate verify failed: certificate has expired"
        )


async def test_one_of_another_name(ca, files):
    async with server(ca, "other.test") as endpoint:
        expected = "TLS_error: certificate verify failed: it is for other.test, not for shop.test"
        assert await why(endpoint, simple(files["ca"])) == expected


async def test_one_of_a_ca_we_do_not_know(files):
    async with server(trustme.CA()) as endpoint:
        assert "unable to get local issuer certificate" in await why(endpoint, simple(files["ca"]))


async def test_without_a_ca_the_systems_roots_are_trusted_and_no_others(ca):
    async with server(ca) as endpoint:
        assert "certificate verify failed" in await why(endpoint, simple(""))


async def test_no_check_at_all_where_that_is_asked_for():
    async with server(trustme.CA(), "other.test") as endpoint:
        await reached(endpoint, UpstreamTls(mode="SIMPLE", verify=False))


async def test_a_written_sni_alone_checks_no_name(ca, files):
    async with server(ca, "other.test") as endpoint:
        await reached(endpoint, UpstreamTls(mode="SIMPLE", ca=files["ca"], sni=NAME))


@pytest.mark.parametrize(
    ("names", "wanted", "right"),
    [
        (("a.test", "b.test"), ("b.test",), True),
        (("a.test",), ("x.test", "A.test"), True),
        (("*.shop.test",), ("a.shop.test",), True),
        (("*.shop.test",), ("a.b.shop.test",), False),
        (("*.shop.test",), ("shop.test",), False),
        (("127.0.0.1",), ("127.0.0.1",), True),
        (("127.0.0.1",), ("127.0.0.2",), False),
        (("me@shop.test",), ("me@shop.test",), True),
        (("me@shop.test",), ("shop.test",), False),
    ],
)
async def test_subject_alt_names(ca, files, names, wanted, right):
    tls = UpstreamTls(mode="SIMPLE", ca=files["ca"], names=wanted)
    async with server(ca, *names) as endpoint:
        if right:
            await reached(endpoint, tls, name="")
        else:
            assert "it is for" in await why(endpoint, tls, name="")


async def test_a_client_certificate_from_files_and_from_a_secret(ca, files):
    def secret(name):
        return Pem("secret", Path(files[name]).read_bytes())

    by_file = UpstreamTls(mode="MUTUAL", ca=files["ca"], certificate=files["chain"], key=files["key"])
    by_secret = UpstreamTls(mode="MUTUAL", ca=secret("ca"), certificate=secret("chain"), key=secret("key"))
    async with server(ca, asks=True) as endpoint:
        await reached(endpoint, by_file)
        await reached(endpoint, by_secret)


async def test_no_client_certificate_is_told_by_the_server_after_the_handshake(ca, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(NAME).configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening_socket:
        thread = threading.Thread(target=shake_hands, args=(listening_socket, context))
        thread.start()
        endpoint = LiveEndpoint(Endpoint(address="127.0.0.1", port=listening_socket.getsockname()[1]))
        plan = Cluster(name="c", host="h", port=443, tls=simple(files["ca"]))
        connection = await open_connection(plan, endpoint, Purpose(NAME), Contexts(), Reached)
        error = await asyncio.wait_for(connection.lost, 10)
        thread.join()
    assert isinstance(error, ssl.SSLError)
    assert "CERTIFICATE_REQUIRED" in error.reason


async def test_a_file_that_is_not_there_is_named(ca, files):
    async with server(ca) as endpoint:
        assert "/nowhere/ca.pem" in await why(endpoint, simple("/nowhere/ca.pem"))
        assert "lacks what the connection needs" in await why(endpoint, simple(Pem("secret", b"")))


async def test_an_upstream_that_speaks_no_tls(files):
    async with listening(b"HTTP/1.1 400 Bad\r\n\r\n") as endpoint:
        assert await why(endpoint, simple(files["ca"])) == "TLS_error: wrong version number"


async def test_an_upstream_that_never_answers(files):
    async with listening() as endpoint:
        with pytest.raises(ProxyError) as failed:
            await reached(endpoint, simple(files["ca"]), within=0.05)
    assert failed.value.kind is Kind.CONNECT_TIMEOUT


async def test_files_are_read_again_when_they_have_changed(tmp_path):
    old, new = trustme.CA(), trustme.CA()
    path = tmp_path / "ca.pem"
    old.cert_pem.write_to_path(path)
    contexts, tls = Contexts(), simple(str(path))
    async with server(old) as one, server(new) as other:
        await reached(one, tls, contexts=contexts)
        assert contexts.of(tls) is contexts.of(tls)
        fresh = tmp_path / "fresh.pem"
        new.cert_pem.write_to_path(fresh)
        fresh.rename(path)
        await reached(other, tls, contexts=contexts)
        assert "verify failed" in await why(one, tls, contexts=contexts)


async def test_the_proxy_header_comes_before_the_handshake(ca, files):
    got = []
    async with listening(b"no TLS", got) as endpoint:
        plan = Cluster(name="c", host="h", port=1, tls=simple(files["ca"]), proxy_protocol=ProxyProtocol.V1)
        with pytest.raises(ProxyError):
            await open_connection(plan, endpoint, Purpose(NAME, b"PROXY UNKNOWN\r\n"), Contexts(), Reached)
        await asyncio.sleep(0.02)
    assert b"".join(got).startswith(b"PROXY UNKNOWN\r\n")


@pytest.mark.parametrize("name", [".shop", "a" * 70 + ".test", "a..b"])
async def test_a_host_that_cannot_be_a_server_name_is_a_failed_connection(ca, files, name):
    async with server(ca) as endpoint:
        assert await why(endpoint, simple(files["ca"]), name=name) == f"TLS_error: {name} is no server name"
