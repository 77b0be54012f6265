"""PROXY headers of both versions."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.wire.proxy_protocol import ProxyHeader, ProxyProtocolError, read_proxy_header

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), PORTS, PORTS, st.binary(max_size=20))
def test_version_1(ip: ipaddress.IPv4Address, source: int, destination: int, rest: bytes):
    line = f"PROXY TCP{ip.version} {ip} {ip} {source} {destination}\r\n".encode()
    assert read_proxy_header(line + rest) == ProxyHeader(len(line), (str(ip), source), (str(ip), destination))


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), PORTS, PORTS, st.binary(max_size=20))
def test_version_2(ip: ipaddress.IPv4Address, source: int, destination: int, tlvs: bytes):
    body = ip.packed * 2 + source.to_bytes(2, "big") + destination.to_bytes(2, "big") + tlvs
    family = b"\x11" if ip.version == 4 else b"\x21"
    header = V2 + b"\x21" + family + len(body).to_bytes(2, "big") + body
    assert read_proxy_header(header + b"GET") == ProxyHeader(len(header), (str(ip), source), (str(ip), destination))
    for size in range(len(header)):
        assert read_proxy_header(header[:size]) is None


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b 1 2\r\n", V2 + b"\x20\x00\x00\x00"])
def test_one_who_speaks_for_itself(header: bytes):
    assert read_proxy_header(header + b"x") == ProxyHeader(len(header))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY " + b"x" * 200,
        V2 + b"\x31\x11\x00\x00",
        V2 + b"\x21\x11\x00\x04abcd",
    ],
)
def test_what_is_no_header(data: bytes):
    with pytest.raises(ProxyProtocolError):
        read_proxy_header(data)
