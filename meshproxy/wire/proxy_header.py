"""The PROXY protocol's header as a client writes it (haproxy.org, proxy-protocol.txt)."""

from __future__ import annotations

import ipaddress

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY, _LOCAL = 0x21, 0x20
_STREAM_4, _STREAM_6 = 0x11, 0x21

Address = tuple[str, int]


def version_1(source: Address, destination: Address) -> bytes:
    """`PROXY TCP4 …`; UNKNOWN where the addresses are no IP addresses of one version."""
    version = _version(source, destination)
    if not version:
        return b"PROXY UNKNOWN\r\n"
    return f"PROXY TCP{version} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def version_2(source: Address, destination: Address) -> bytes:
    """Binary; LOCAL where the addresses are no IP addresses of one version."""
    version = _version(source, destination)
    if not version:
        return _SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    addresses = b"".join(ipaddress.ip_address(address[0]).packed for address in (source, destination))
    addresses += b"".join(address[1].to_bytes(2, "big") for address in (source, destination))
    family = _STREAM_4 if version == 4 else _STREAM_6
    return _SIGNATURE + bytes((_PROXY, family)) + len(addresses).to_bytes(2, "big") + addresses


def _version(source: Address, destination: Address) -> int:
    try:
        versions = {ipaddress.ip_address(address[0]).version for address in (source, destination)}
    except ValueError:
        return 0
    return versions.pop() if len(versions) == 1 else 0
