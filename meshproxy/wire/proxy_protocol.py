"""The PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who connected to who sent it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = b"PROXY "
_V1_LONGEST = 107
_IP4, _IP6 = 0x1, 0x2

Address = tuple[str, int]


class ProxyProtocolError(ValueError):
    """The connection does not begin with a PROXY header; the message says why."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`size`: bytes of the header. Addresses are None where it speaks for itself (LOCAL, UNKNOWN)."""

    size: int
    source: Address | None = None
    destination: Address | None = None


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with; None while more bytes are needed. Raises ProxyProtocolError."""
    if data[: len(_V2)] == _V2[: len(data)]:
        return _version_2(data)
    if data[: len(_V1)] == _V1[: len(data)]:
        return _version_1(data)
    raise ProxyProtocolError("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:_V1_LONGEST].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_LONGEST:
            raise ProxyProtocolError("a PROXY line longer than 107 bytes")
        return None
    size = len(line) + 2
    words = line.decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(size)
    if words[1] not in ("TCP4", "TCP6") or len(words) != 6:
        raise ProxyProtocolError("a malformed PROXY line")
    version = 4 if words[1] == "TCP4" else 6
    return ProxyHeader(size, _address(words[2], words[4], version), _address(words[3], words[5], version))


def _address(ip: str, port: str, version: int) -> Address:
    try:
        parsed = ipaddress.ip_address(ip)
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != version or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ProxyProtocolError("a malformed address in the PROXY line")
    return str(parsed), int(port)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    version, command, family = data[12] >> 4, data[12] & 0xF, data[13] >> 4
    size = 16 + int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1:
        raise ProxyProtocolError("an unknown version or command of the PROXY protocol")
    if len(data) < size:
        return None
    length = {_IP4: 4, _IP6: 16}.get(family)
    if command == 0 or length is None:
        return ProxyHeader(size)
    body = data[16:size]
    if len(body) < 2 * length + 4:
        raise ProxyProtocolError("a PROXY header without its addresses")
    source, destination = body[:length], body[length : 2 * length]
    ports = body[2 * length : 2 * length + 4]
    return ProxyHeader(
        size,
        (str(ipaddress.ip_address(source)), int.from_bytes(ports[:2], "big")),
        (str(ipaddress.ip_address(destination)), int.from_bytes(ports[2:], "big")),
    )
