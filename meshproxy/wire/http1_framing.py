"""What both directions of HTTP/1.1 share: limits, framing rules, the checks of targets and hosts, and how heads
and chunks are written. Nothing of a peer's framing is ever copied: it is read, checked and written anew.

RFC 9112; httptools leaves to us what the tests in `tests/conformance/` list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import MANAGED_REQUEST, MANAGED_RESPONSE, OWS, WATCHED_RESPONSE, Fields, listed

MAX_HEAD = 60 * 1024
"""Bytes of request line and fields together, as Envoy's default; the same for responses."""
MAX_FIELDS = 100
MAX_CHUNK_LINE = 4 * 1024
MAX_TRAILERS = 16 * 1024
RAW_THRESHOLD = 64 * 1024
"""From this many missing bytes on, a body of known length is passed on without the parser seeing it."""

#: Fields a message must not carry on by itself: framing, and what is meant for the next hop only.
FRAMING = frozenset(
    b"connection content-length http2-settings keep-alive proxy-connection te transfer-encoding upgrade".split()
)

#: Naming one of these in Connection is an attack, not a wish (http1.md, rule 15): they are forwarded all the same.
_NEVER_NOMINATED = frozenset(
    b"host content-length transfer-encoding authorization cookie forwarded x-request-id".split()
)
_NEVER_NOMINATED_PREFIXES = (b"x-forwarded-", b"x-envoy-")

PLAIN_CONNECTION = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))
"""What Connection mostly says; it names no field."""

HOST_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_join_pair = b": ".join


ORDINARY, LENGTH, DATE, OURS, HOST, REQUEST_ID, SPECIAL, CONNECTION = range(8)
"""Kinds of fields, as heads are read: those that are passed on; the few that most heads have once; those we write anew;
and, from SPECIAL on, whatever else decides something."""


class FieldNames(dict[bytes, int]):
    """The kind of a field by the spelling of its name. Spellings are learned, up to bounds, so that a name costs one
    look-up: `try: names[name]`, then `learn`."""

    BOUND = 1024
    LONGEST = 256

    def __init__(self, kinds: Mapping[bytes, int]) -> None:
        self._kinds = kinds

    def kind(self, name: bytes) -> int:
        """Where a look-up more does not matter."""
        return self[name] if name in self else self.learn(name)

    def learn(self, name: bytes) -> int:
        """What is no name decides something too: who reads lines, not fields, must not pass it on."""
        if _TOKEN.fullmatch(name) is None:
            return SPECIAL
        kind = self._kinds.get(name.lower(), ORDINARY)
        if len(name) <= self.LONGEST:
            if len(self) >= self.BOUND:
                self.clear()
            self[name] = kind
        return kind


REQUEST_NAMES = FieldNames(
    dict.fromkeys(FRAMING | MANAGED_REQUEST | {b"expect"}, SPECIAL)
    | {b"host": HOST, b"content-length": LENGTH, b"x-request-id": REQUEST_ID, b"connection": CONNECTION}
)
RESPONSE_NAMES = FieldNames(
    dict.fromkeys(FRAMING | WATCHED_RESPONSE, SPECIAL)
    | dict.fromkeys(MANAGED_RESPONSE | {b"keep-alive"}, OURS)
    | {b"content-length": LENGTH, b"date": DATE, b"connection": CONNECTION}
)

#: Envoy's words for a status, whatever the upstream's were (`common/http/codes.cc`).
STATUS_LINES = {status.value: b"HTTP/1.1 %d %b" % (status, status.phrase.encode()) for status in HTTPStatus} | {
    413: b"HTTP/1.1 413 Payload Too Large",
    418: b"HTTP/1.1 418 Unknown",
}


def by_name(pairs: Fields) -> dict[bytes, list[bytes]]:
    """The values of each field, by its lower-case name."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), []).append(value.rstrip(OWS))
    return values


class ChunkLines:
    """What a chunked body spends on its framing: endless chunk lines must not hide between the chunks."""

    __slots__ = ("headers", "spent")

    def __init__(self) -> None:
        self.headers = 0  # chunk headers in this read
        self.spent = 0  # bytes since the last payload, or in this read

    def excessive(self, size: int, payload: int) -> bool:
        """`size` bytes of the body were read, `payload` of them data and trailers; whether the rest is too much."""
        lines = max(0, size - payload - 20 * self.headers)
        self.headers = 0
        self.spent = lines if payload > 0 else self.spent + lines
        return self.spent > MAX_CHUNK_LINE


def size_of(fields: Fields) -> int:
    """Bytes of the fields as lines."""
    return sum([len(name) + len(value) + 4 for name, value in fields])


def chunk(parts: list[bytes]) -> list[bytes]:
    """The parts as one chunk, to be written in a row. Empty parts make no chunk: it would end the body."""
    size = sum(map(len, parts))
    return [b"%x\r\n" % size, *parts, b"\r\n"] if size else []


def last_chunk(trailers: Fields) -> bytes:
    """The end of a chunked body, with its trailer fields."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"\r\n".join((b"0", *map(_join_pair, trailers), b"", b""))


def nominated(connection: bytes) -> frozenset[bytes]:
    """The fields, in lower case, that a Connection value takes out of the message."""
    return frozenset(
        name
        for name in listed(connection)
        if name not in _NEVER_NOMINATED and not name.startswith(_NEVER_NOMINATED_PREFIXES)
    )


def valid_host(host: bytes) -> bool:
    """Whether a Host value is `uri-host [":" port]`, and not empty."""
    if host and not host.translate(None, HOST_LETTERS):
        return True
    return _HOST.fullmatch(host) is not None


def check_names(host: bytes | None, authority: bytes | None) -> None:
    """Of a request's Host field and of its target: what is there must be valid."""
    if host is not None and not valid_host(host):
        cause = f"the Host field is {'not valid' if host else 'empty'}"
        raise ProxyError(Kind.BAD_REQUEST, Side.DOWNSTREAM, cause)
    if authority is not None and not valid_host(authority):
        raise ProxyError(Kind.BAD_REQUEST, Side.DOWNSTREAM, "the target's authority is not valid")


def is_chunked(codings: list[bytes], version: bytes, side: Side) -> bool:
    """Whether Transfer-Encoding lines mean chunked. Anything but a single `chunked` in HTTP/1.1 is refused."""
    if not codings:
        return False
    kind = Kind.BAD_REQUEST if side is Side.DOWNSTREAM else Kind.UPSTREAM_PROTOCOL
    if version != b"HTTP/1.1":
        raise ProxyError(kind, side, "Transfer-Encoding in a message that is not HTTP/1.1")
    if len(codings) == 1 and codings[0].lower() == b"chunked":
        return True
    names = [name for value in codings for name in listed(value)]
    if side is Side.DOWNSTREAM and names.count(b"chunked") <= 1 and names[-1:] == [b"chunked"] and len(names) > 1:
        raise ProxyError(Kind.NOT_IMPLEMENTED, side, "a transfer coding other than chunked")
    raise ProxyError(kind, side, "Transfer-Encoding is not a single chunked")


def check_request_head(url: bytes, pairs: Fields) -> None:
    """Raises where the head is too large; it may have come with a body or further heads in one read."""
    if len(url) > MAX_HEAD:
        raise ProxyError(Kind.URI_TOO_LONG, Side.DOWNSTREAM, "the request line is larger than 60 KiB")
    if len(pairs) > MAX_FIELDS or len(url) + size_of(pairs) > MAX_HEAD:
        cause = f"the request head is larger than 60 KiB or has more than {MAX_FIELDS} fields"
        raise ProxyError(Kind.HEADERS_TOO_LARGE, Side.DOWNSTREAM, cause)


def check_trailers(trailers: Fields, side: Side) -> None:
    """Trailers have limits of their own."""
    if trailers and (len(trailers) > MAX_FIELDS or sum(len(n) + len(v) for n, v in trailers) > MAX_TRAILERS):
        kind = Kind.BAD_REQUEST if side is Side.DOWNSTREAM else Kind.UPSTREAM_PROTOCOL
        raise ProxyError(kind, side, "trailers over the limit")


#: RFC 9110, 6.5.1: fields that may not come as trailers, because a recipient would act on them.
_FORBIDDEN_TRAILERS = FRAMING | frozenset(
    b"authorization cache-control content-encoding content-range content-type cookie expect host max-forwards "
    b"set-cookie trailer x-forwarded-for x-forwarded-proto".split()
)


def forwardable_trailers(trailers: Fields) -> Fields:
    """Those trailers that are passed on."""
    return [pair for pair in trailers if pair[0].lower() not in _FORBIDDEN_TRAILERS]


def request_head(method: bytes, target: bytes, host: bytes, fields: Fields, tail: bytes) -> bytes:
    """The bytes of a request head; Host comes first. `fields` are never none here; `tail`: ready-made lines,
    each with its CRLF."""
    lines = b"\r\n".join(map(_join_pair, fields))
    parts = (
        method,
        b" ",
        target,
        b" HTTP/1.1\r\nHost: ",
        host,
        b"\r\n",
        lines,
        b"\r\n" if lines else b"",
        tail,
        b"\r\n",
    )
    return b"".join(parts)


def response_head(status: int, fields: Fields, tail: bytes) -> bytes:
    """The bytes of a response head. `tail`: ready-made lines, each with its CRLF."""
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown" % status
    return b"\r\n".join((line, *map(_join_pair, fields), tail)) + b"\r\n"
