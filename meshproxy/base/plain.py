"""Messages whose heads ask for nothing special: they are passed on as they came, and taken apart only for whoever asks.

A plain head has no framing but a Content-Length in a response, nothing hop-by-hop, nothing that a proxy manages but an
x-request-id in a request. The codec (`wire.http1_plain`) makes them of heads it has checked; to everybody else they
are a `Request` and a `Response` like any other.
"""

from __future__ import annotations

from meshproxy.base.headers import OWS, Fields
from meshproxy.base.message import NO_FIELDS, NO_WATCHED, NOTHING, Request, Response

_REQUEST_ID = b"x-request-id"
_APART = (b"host", _REQUEST_ID)
_ANEW = (b"date", b"content-length")


class RequestShape:
    """What a head's names say of it, in numbers of lines, the request line's being 0; where a line is missing, 0 too.

    `begins` are the beginnings of its lines; `folded` the names in lower case; `size` how many lines there are, with
    the two empty ones that splitting leaves at the end.
    """

    __slots__ = ("begins", "connection", "folded", "host", "request_id", "size")

    def __init__(self, names: tuple[bytes, ...], *, host: int, request_id: int, connection: int) -> None:
        self.begins = (b"", *(name + b":" for name in names))
        self.folded = frozenset(name.lower() for name in names)
        self.size = len(names) + 3
        self.host = host
        self.request_id = request_id
        self.connection = connection


class ResponseShape:
    """The same of a response. `dropped` are the lines that are not passed on, the last one first."""

    __slots__ = ("begins", "connection", "dated", "dropped", "length", "size")

    def __init__(
        self, names: tuple[bytes, ...], *, length: int, connection: int, dated: bool, dropped: tuple[int, ...]
    ) -> None:
        self.begins = (b"", *(name + b":" for name in names))
        self.size = len(names) + 1
        self.length = length
        self.connection = connection
        self.dated = dated
        self.dropped = dropped


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.lstrip(OWS)


class PlainRequest(Request):
    """HTTP/1.1, kept alive, without a body. `head` is what goes on: all lines that came, each with its CRLF, without
    the empty one. `shape` is what is known of all heads with these names. What is not a slot cannot be set.
    """

    __slots__ = ("head", "shape")

    version = b"HTTP/1.1"
    content_length = 0
    keep_alive = True
    expects_continue = False
    upgrade = None
    body: list[bytes] = NOTHING
    complete = True
    trailers: Fields = []  # noqa: RUF012 (shared, never changed)
    plain = True

    def __init__(  # by position: each keyword would cost
        self,
        method: bytes,
        path: bytes,
        query: bytes | None,
        host: bytes,
        head: bytes,
        shape: RequestShape,
        scheme: bytes,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.host = host
        self.head = head
        self.shape = shape
        self.scheme = scheme
        self._names = None

    @property
    def fields(self) -> Fields:  # type: ignore[override]
        return [pair for pair in self._pairs() if pair[0].lower() not in _APART]

    @property
    def managed(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        if not self.shape.request_id:
            return NO_FIELDS
        return {_REQUEST_ID: [value for name, value in self._pairs() if name.lower() == _REQUEST_ID]}

    def _pairs(self) -> Fields:
        return [_pair(line) for line in self.head.split(b"\r\n")[1:-1]]

    def values(self, name: bytes) -> list[bytes]:
        """Mostly what a route asks for is not there."""
        if name in self.shape.folded or name.startswith(b":"):
            return super().values(name)
        return NOTHING


class PlainResponse(Response):
    """It has come whole: a final status that has a body, and that body, of known length. `lines` are what goes on of
    the head, its status line first, each without its CRLF; that length is among them, and a Date,
    if its `shape` has one.
    """

    __slots__ = ("_fields", "lines", "shape")

    complete = True
    trailers: Fields = []  # noqa: RUF012 (shared, never changed)
    upgrade = None
    watched = NO_WATCHED

    def __init__(self, status: int, lines: list[bytes], body: bytes, shape: ResponseShape) -> None:
        self.status = status
        self.lines = lines
        self.body = [body]
        self.content_length = self.announced_length = len(body)
        self.shape = shape
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        if self._fields is None:
            self._fields = [pair for line in self.lines[1:] if (pair := _pair(line))[0].lower() not in _ANEW]
        return self._fields

    @fields.setter
    def fields(self, fields: Fields) -> None:
        self._fields = fields

    @property
    def date(self) -> bytes | None:  # type: ignore[override]
        return next((pair[1] for line in self.lines[1:] if (pair := _pair(line))[0].lower() == b"date"), None)
