"""The first flight of TLS, read and not answered: whom the client asks for (SNI) and what it wants to speak (ALPN).

RFC 8446, 4.1.2 and 5.1: a ClientHello may be spread over several records, and a record over several segments.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HELLO = 64 * 1024
"""Envoy's limit for what is looked at."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16


class NotTlsError(ValueError):
    """These bytes begin no TLS connection; the message says why."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """`server_name` in lower case, empty where the client names none."""

    server_name: str = ""
    alpn: tuple[bytes, ...] = ()


def read_client_hello(data: bytes) -> ClientHello | None:
    """The ClientHello that `data` begins with; None while more bytes are needed. Raises NotTlsError."""
    message = _message(data)
    if message is None:
        return None
    try:
        return _hello(message)
    except (IndexError, ValueError):
        raise NotTlsError("a malformed ClientHello") from None


def _message(data: bytes) -> bytes | None:
    """The handshake message, put together from its records."""
    message = bytearray()
    position = 0
    while True:
        if len(data) - position < 5:
            _check_type(data[position:])
            return None
        _check_type(data[position : position + 5])
        size = int.from_bytes(data[position + 3 : position + 5], "big")
        if not 0 < size <= 0x4800:
            raise NotTlsError("a TLS record of impossible length")
        message += data[position + 5 : position + 5 + size]
        position += 5 + size
        if message and message[0] != _CLIENT_HELLO:
            raise NotTlsError("the first TLS message is no ClientHello")
        if len(message) >= 4:
            length = 4 + int.from_bytes(message[1:4], "big")
            if length > MAX_HELLO:
                raise NotTlsError("a ClientHello larger than 64 KiB")
            if len(message) >= length:
                return bytes(message[4:length])
        if position > len(data):
            return None


def _check_type(start: bytes) -> None:
    if start[:1] not in (b"", b"\x16") or start[1:2] not in (b"", b"\x03"):
        raise NotTlsError("not TLS")


def _hello(message: bytes) -> ClientHello:
    """IndexError or ValueError where a length leads out of the message."""
    position = 2 + 32  # version, random
    position += 1 + message[position]  # session id
    position += 2 + _length(message, position)  # cipher suites
    position += 1 + message[position]  # compression methods
    if position == len(message):
        return ClientHello()
    end = position + 2 + _length(message, position)
    position += 2
    name = ""
    alpn: tuple[bytes, ...] = ()
    while position < end:
        kind, start = _length(message, position), position + 4
        position = start + _length(message, position + 2)
        if position > len(message):
            raise ValueError
        if kind == _SERVER_NAME:
            name = _server_name(message[start:position])
        elif kind == _ALPN:
            alpn = _protocols(message[start:position])
    return ClientHello(name, alpn)


def _length(data: bytes, position: int) -> int:
    return data[position] << 8 | data[position + 1]


def _server_name(content: bytes) -> str:
    """The first, and in practice the only, name of the list, where it is a host's."""
    if content[2] != 0:
        return ""
    name = content[5 : 5 + _length(content, 3)]
    if len(name) != _length(content, 3):
        raise ValueError
    return name.decode("ascii").lower()


def _protocols(content: bytes) -> tuple[bytes, ...]:
    found: list[bytes] = []
    position = 2
    while position < len(content):
        end = position + 1 + content[position]
        if end > len(content):
            raise ValueError
        found.append(content[position + 1 : end])
        position = end
    return tuple(found)
