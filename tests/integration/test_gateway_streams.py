"""Connections whose bytes are passed on: TCP servers, TLS that ends here or does not, and what is logged of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.certificates import client_context, connected, issue, names_of, secret
from support.gateways import Edge, gateway, on_gateway, server, tcp_service, to
from support.proxy import document
from support.raw import Raw
from support.upstream import Gone, Peer, Upstream, reserve
from support.wait import PATIENCE

TCP, SHIFT, TERMINATED, PASSED, AUTO, NOBODY, IDLE, GONE, GREETS = 9001, 9002, 9003, 9004, 9005, 9006, 9007, 9008, 9009


def echo(peer: Peer) -> None:
    """Gives back what it gets; closes its half when the client has closed its own."""
    with contextlib.suppress(Gone):
        while True:
            peer.send(peer.receive())
    peer.half_close()


def named(name: bytes) -> Any:
    def script(peer: Peer) -> None:
        peer.send(name + b"\n")
        echo(peer)

    return script


class TlsUpstream(Upstream):
    """Ends TLS itself."""

    def __init__(self, *names: str) -> None:
        super().__init__(echo)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issue(*names).configure_cert(self._context)

    def _run(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            peer.sock = self._context.wrap_socket(peer.sock, server_side=True)
            super()._run(peer)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, Upstream]]:
    made: dict[str, Upstream] = {
        "echo": Upstream(echo).listen(),
        "v1": Upstream(named(b"v1")).listen(),
        "v2": Upstream(named(b"v2")).listen(),
        "tls": TlsUpstream("passed.test").listen(),
        "other": TlsUpstream("x.other.test").listen(),
    }
    yield made
    for upstream in made.values():
        upstream.stop()


@pytest.fixture(scope="module")
def edge(upstreams: dict[str, Upstream]) -> Iterator[Edge]:
    port = {name: upstream.port for name, upstream in upstreams.items()}
    free = reserve()
    everybody = ["*"]
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    idle = {"trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "1s"}}}}

    def tcp(number: int, *routes: Any) -> Any:
        return on_gateway(f"tcp-{number}", everybody, tcp=[{"match": [{"port": number}], "route": list(routes)}])

    config = [
        tcp_service("echo.test", (port["echo"], "v1")),
        tcp_service("idle.test", (port["echo"], "v1")),
        tcp_service("shift.test", (port["v1"], "v1"), (port["v2"], "v2")),
        tcp_service("passed.test", (port["tls"], "v1"), protocol="TLS"),
        tcp_service("other.test", (port["other"], "v1"), protocol="TLS"),
        tcp_service("auto.test", (port["tls"], "v1"), protocol="TLS"),
        tcp_service("gone.test", (free.getsockname()[1], "v1")),
        document("DestinationRule", "shift", {"host": "shift.test", "subsets": subsets}),
        document("DestinationRule", "idle", {"host": "idle.test", **idle}),
        secret("end", issue("end.test")),
        gateway(
            *(server(number, "TCP", everybody) for number in (TCP, SHIFT, NOBODY, IDLE, GONE, GREETS)),
            server(TERMINATED, "TLS", ["end.test"], tls={"mode": "SIMPLE", "credentialName": "end"}),
            server(PASSED, "TLS", ["passed.test", "*.other.test"], tls={"mode": "PASSTHROUGH"}),
            server(AUTO, "TLS", ["*.test"], tls={"mode": "AUTO_PASSTHROUGH"}),
        ),
        tcp(TCP, to("echo.test")),
        tcp(SHIFT, {**to("shift.test", subset="v1"), "weight": 80}, {**to("shift.test", subset="v2"), "weight": 20}),
        tcp(NOBODY, to("shift.test", subset="v3")),
        tcp(IDLE, to("idle.test")),
        tcp(GONE, to("gone.test")),
        tcp(GREETS, to("shift.test", subset="v1")),
        on_gateway("end", ["end.test"], tcp=[{"match": [{"port": TERMINATED}], "route": [to("echo.test")]}]),
        on_gateway(
            "passed",
            ["passed.test", "*.other.test"],
            tls=[
                {"match": [{"port": PASSED, "sniHosts": ["passed.test"]}], "route": [to("passed.test")]},
                {"match": [{"port": PASSED, "sniHosts": ["*.other.test"]}], "route": [to("other.test")]},
            ],
        ),
    ]
    ports = (TCP, SHIFT, NOBODY, IDLE, GONE, GREETS, TERMINATED, PASSED, AUTO)
    with free, Edge(config, ports=ports) as proxy:
        yield proxy


def test_bytes_go_both_ways_and_half_close_is_passed_on(edge: Edge):
    with Raw(edge.at[TCP]) as client:
        client.send(b"hello").exactly(5)
        client.send(b"world")
        client.half_close()
        assert client.rest() == b"world"
    entry = edge.logged(lambda entry: entry["bytes_received"] == 10 and entry["bytes_sent"] == 10)
    assert entry["upstream_cluster"] == "outbound|9000||echo.test"
    assert entry["response_code"] == 0
    assert entry["response_flags"] in (None, "-")
    assert entry["upstream_host"].startswith("127.0.0.1:")


def test_the_server_may_speak_first(edge: Edge):
    with Raw(edge.at[GREETS]) as client:
        assert client.until(b"\n") == b"v1\n"


def test_ten_megabytes_with_a_slow_reader(edge: Edge):
    sent = bytes(range(256)) * 40_000
    with Raw(edge.at[TCP], receive_buffer=16 * 1024) as client:

        def send() -> None:
            client.sock.sendall(sent)
            client.half_close()

        sender = threading.Thread(target=send)
        sender.start()
        received = client.rest()
        sender.join()
    assert received == sent


def test_ten_megabytes_through_tls_with_a_slow_reader(edge: Edge):
    sent = bytes(range(256)) * 40_000
    with connected(edge.at[TERMINATED], "end.test") as sock:
        sender = threading.Thread(target=sock.sendall, args=(sent,))
        sender.start()
        received = bytearray()
        while len(received) < len(sent):
            received += sock.recv(4096)
        sender.join()
    assert received == sent


def test_weights_are_drawn_for_each_connection(edge: Edge):
    count = 300
    seen: Counter[bytes] = Counter()
    for _ in range(count):
        with Raw(edge.at[SHIFT]) as client:
            seen[client.until(b"\n")] += 1
    slack = 5 * (count * 0.8 * 0.2) ** 0.5
    assert abs(seen[b"v1\n"] - count * 0.8) <= slack, seen
    assert sum(seen.values()) == count


def test_a_cluster_that_is_not_there_closes(edge: Edge):
    with Raw(edge.at[NOBODY]) as client:
        assert client.rest() == b""
    assert (
        edge.logged(lambda entry: entry["response_flags"] == "NC")["upstream_cluster"] == "outbound|9000|v3|shift.test"
    )


def test_an_endpoint_that_refuses_closes(edge: Edge):
    with Raw(edge.at[GONE]) as client:
        assert client.rest() == b""
    entry = edge.logged(lambda entry: entry["response_flags"] == "UF,URX")
    assert "refused" in entry["upstream_transport_failure_reason"]


def test_a_still_connection_is_closed_after_its_idle_time(edge: Edge):
    with Raw(edge.at[IDLE]) as client:
        client.send(b"x").exactly(1)
        assert client.rest() == b""
    edge.logged(lambda entry: entry["connection_termination_details"] == "tcp_session_idle_timeout")


def test_tls_that_ends_here_and_goes_on_as_bytes(edge: Edge):
    with connected(edge.at[TERMINATED], "end.test") as sock:
        assert names_of(sock) == ["end.test"]
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    edge.logged(lambda entry: entry["requested_server_name"] == "end.test" and entry["bytes_received"] == 5)


@pytest.mark.parametrize(("name", "certificate"), [("passed.test", "passed.test"), ("x.other.test", "x.other.test")])
def test_passthrough_by_server_name(edge: Edge, name: str, certificate: str):
    with connected(edge.at[PASSED], name) as sock:
        assert certificate in names_of(sock)
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    assert edge.logged(lambda entry: entry["requested_server_name"] == name)["bytes_sent"] > 5


def test_passthrough_of_an_unknown_name_closes(edge: Edge):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(edge.at[PASSED], "unknown.test")
    assert edge.logged(lambda entry: entry["requested_server_name"] == "unknown.test")["response_flags"] == "NR"


def test_auto_passthrough_names_the_cluster(edge: Edge):
    name = "outbound_.9000_._.auto.test"
    with connected(edge.at[AUTO], name, check=False) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    entry = edge.logged(lambda entry: entry["requested_server_name"] == name)
    assert entry["upstream_cluster"] == "outbound|9000||auto.test"


def test_a_client_that_resets_leaves_a_flag(edge: Edge):
    before = [entry for entry in edge.log.entries() if entry["response_flags"] == "DC"]
    with Raw(edge.at[TCP]) as client:
        client.send(b"x").exactly(1)
        client.reset()
    edge.logged(lambda entry: entry["response_flags"] == "DC" and entry not in before)


def test_connections_and_bytes_are_counted(edge: Edge):
    from support.raw import fetch
    from support.wait import eventually

    with Raw(edge.at[TCP]) as client:
        client.send(b"12345").exactly(5)
        client.half_close()
        client.rest()

    def counted() -> bool:
        text = fetch(edge.admin, "localhost", "/stats/prometheus").body.decode()
        lines = [line for line in text.splitlines() if 'destination_service="echo.test"' in line]
        found = {line.partition("{")[0] for line in lines}
        return found >= {
            "istio_tcp_connections_opened_total",
            "istio_tcp_connections_closed_total",
            "istio_tcp_sent_bytes_total",
            "istio_tcp_received_bytes_total",
        }

    eventually(counted, "the metrics of a tunnel")


@pytest.mark.parametrize(
    ("port", "name"),
    [
        (TCP, None),
        (SHIFT, None),
        (NOBODY, None),
        (TERMINATED, "end.test"),
        (TERMINATED, "other.test"),
        (TERMINATED, None),
        (PASSED, "passed.test"),
        (PASSED, "x.other.test"),
        (PASSED, "y.z.other.test"),
        (PASSED, "other.test"),
        (PASSED, None),
        (AUTO, "outbound_.9000_._.auto.test"),
        (AUTO, "outbound_.9001_._.auto.test"),
        (AUTO, "auto.test"),
    ],
)
def test_a_connection_ends_as_explain_says(edge: Edge, port: int, name: str | None):
    from support.raw import fetch

    before = edge.log.entries()
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(edge.at[port], timeout=PATIENCE))
        client = "{}:{}".format(*sock.getsockname())
        if name is not None:
            context = client_context()
            context.check_hostname = False
            with contextlib.suppress(OSError):
                sock = stack.enter_context(context.wrap_socket(sock, server_hostname=name))
        with contextlib.suppress(OSError):
            sock.sendall(b"hello")
            sock.recv(1)
    # a client's port may have been another one's before
    entry = edge.logged(lambda entry: entry["downstream_remote_address"] == client and entry not in before)
    url = f"tls://{name}:{port}" if name is not None else f"tcp://any:{port}"
    said = fetch(edge.admin, "localhost", f"/explain?url={url}&gateway=default/edge&format=json").json
    if said["flag"] is not None:
        assert entry["response_flags"] == said["flag"]
    else:
        assert entry["response_flags"] not in ("NR", "NC", "UH")
    clusters = [to["cluster"] for to in said["destinations"]]
    assert entry["upstream_cluster"] in (clusters or [None, ""])


def test_all_listeners_still_serve(edge: Edge):
    with socket.create_connection(edge.at[TCP], timeout=5) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
