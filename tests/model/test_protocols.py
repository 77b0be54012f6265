"""Protocol selection: appProtocol, the word before the first dash, the number."""

import pytest

from meshproxy.model.protocols import Protocol, parse_protocol, port_protocol


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("http", Protocol.HTTP),
        ("HTTP-web", Protocol.HTTP),
        ("http2", Protocol.HTTP2),
        ("http2x", Protocol.UNSUPPORTED),
        ("httpfoo", Protocol.UNSUPPORTED),
        ("web", Protocol.UNSUPPORTED),
        ("", Protocol.UNSUPPORTED),
        ("grpc", Protocol.GRPC),
        ("grpc-web", Protocol.GRPC_WEB),
        ("GRPC-Web-x", Protocol.GRPC_WEB),
        ("grpc-x", Protocol.GRPC),
        ("https-a", Protocol.HTTPS),
        ("tls", Protocol.TLS),
        ("tcp-a", Protocol.TCP),
        ("mongo", Protocol.MONGO),
        ("redis", Protocol.REDIS),
        ("mysql", Protocol.MYSQL),
        ("udp", Protocol.UDP),
    ],
)
def test_the_word_before_the_dash_is_the_protocol(name: str, protocol: Protocol) -> None:
    assert port_protocol(name, 8080) is protocol


@pytest.mark.parametrize("number", [25, 53, 3306, 27017])
def test_ports_whose_servers_speak_first_are_tcp(number: int) -> None:
    assert port_protocol("web", number) is Protocol.TCP
    assert port_protocol("http", number) is Protocol.HTTP


@pytest.mark.parametrize(
    ("app_protocol", "protocol"),
    [
        ("kubernetes.io/h2c", Protocol.HTTP2),
        ("kubernetes.io/ws", Protocol.HTTP),
        ("kubernetes.io/wss", Protocol.HTTPS),
        ("https", Protocol.HTTPS),
        ("unheard-of", Protocol.UNSUPPORTED),
    ],
)
def test_an_app_protocol_hides_the_name(app_protocol: str, protocol: Protocol) -> None:
    assert port_protocol("http", 80, app_protocol=app_protocol) is protocol


def test_udp_is_udp_whatever_its_name() -> None:
    assert port_protocol("http", 80, transport="UDP") is Protocol.UDP


def test_declared_protocols_are_read_in_any_case() -> None:
    assert parse_protocol("gRPC-Web") is Protocol.GRPC_WEB
    assert parse_protocol("Mongo") is Protocol.MONGO
    assert parse_protocol("http_proxy") is Protocol.HTTP_PROXY
    assert parse_protocol("") is Protocol.UNSUPPORTED
    assert parse_protocol("UnsupportedProtocol") is Protocol.UNSUPPORTED


def test_a_protocol_has_one_class() -> None:
    for protocol in Protocol:
        classes = (protocol.is_http, protocol.is_tls, protocol.is_tcp, protocol.is_sniffed, protocol is Protocol.UDP)
        assert sum(classes) == 1, protocol
