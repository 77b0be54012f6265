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


class _Cursor:
    """Reads vectors with a length in front (RFC 8446, 3.4); IndexError where one is cut."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def more(self) -> bool:
        return self._position < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._data):
            raise IndexError
        taken, self._position = self._data[self._position : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def _hello(message: bytes) -> ClientHello:
    cursor = _Cursor(message)
    cursor.take(2 + 32)  # version, random
    cursor.vector(1)  # session id
    cursor.vector(2)  # cipher suites
    cursor.vector(1)  # compression methods
    name = ""
    alpn: tuple[bytes, ...] = ()
    extensions = _Cursor(cursor.vector(2) if cursor.more else b"")
    while extensions.more:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            name = _server_name(content)
        elif kind == _ALPN:
            alpn = _protocols(content)
    return ClientHello(name, alpn)


def _server_name(content: bytes) -> str:
    names = _Cursor(_Cursor(content).vector(2))
    while names.more:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name.decode("ascii").lower()
    return ""


def _protocols(content: bytes) -> tuple[bytes, ...]:
    names = _Cursor(_Cursor(content).vector(2))
    found: list[bytes] = []
    while names.more:
        found.append(names.vector(1))
    return tuple(found)
