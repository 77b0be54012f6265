"""Messages whose heads ask for nothing special: they are passed on as they came, and taken apart only for whoever asks.

A plain head has no framing but a Content-Length, nothing hop-by-hop but whether the connection is kept, nothing that a
proxy manages but an x-request-id in a request. The codec (`wire.http1_plain`) makes them of heads it has checked; to
everybody else they are a `Request` and a `Response` like any other.
"""

from __future__ import annotations

from meshproxy.base.headers import OWS, Fields
from meshproxy.base.message import NO_FIELDS, NO_WATCHED, NOTHING, PSEUDO, Request, Response

_REQUEST_ID = b"x-request-id"
_APART = (b"host", _REQUEST_ID, b"connection", b"content-length")
_ANEW = (b"date", b"content-length")
_FRAMING = (b"connection", b"content-length")


#: Fields that a proxy may add to a request that lacks them.
ADDED = frozenset(
    (_REQUEST_ID, b"x-forwarded-for", b"x-forwarded-proto", b"x-envoy-external-address", b"x-forwarded-client-cert")
)
Picked = tuple[list[bytes | None], tuple[tuple[int, int], ...], tuple[tuple[int, bytes], ...]]
"""Of some names: as many times None, and by their slots the lines that have them, and those that may be added."""


class RequestShape:
    """What a head's names say of it, in numbers of lines, the request line's being 0; where a line is missing, 0 too.

    `begins` are the beginnings of its lines; `folded` the names in lower case; `size` how many lines there are.
    """

    __slots__ = ("_picked", "begins", "connection", "folded", "host", "length", "request_id", "size")

    def __init__(
        self, names: tuple[bytes, ...], *, host: int, request_id: int = 0, length: int = 0, connection: int = 0
    ) -> None:
        self.begins = (b"", *(name + b":" for name in names))
        self.folded = frozenset(name.lower() for name in names)
        self.size = len(names) + 1
        self.host = host
        self.length = length
        self.request_id = request_id
        self.connection = connection
        self._picked: dict[tuple[bytes, ...], Picked] = {}

    def picked(self, names: tuple[bytes, ...]) -> Picked:
        """Where these are, in lower case. Who asks is a format of a log: there are few."""
        found = self._picked.get(names)
        if found is None:
            here = [begin[:-1].lower() for begin in self.begins]
            there = tuple((slot, here.index(name)) for slot, name in enumerate(names) if name in here)
            missing = tuple((slot, name) for slot, name in enumerate(names) if name not in here and name in ADDED)
            found = self._picked[names] = ([None] * len(names), there, missing)
        return found


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
    """HTTP/1.1, come whole with its body, if it has one. `lines` are those of its head, `shape` what is known of all
    heads with its names; `head` is what goes on of it, without the last CRLF. What is not a slot cannot be set.
    """

    __slots__ = ("head", "lines", "shape")

    version = b"HTTP/1.1"
    expects_continue = False
    upgrade = None
    complete = True
    trailers: Fields = []  # noqa: RUF012 (shared, never changed)

    def __init__(  # by position: each keyword would cost
        self,
        method: bytes,
        path: bytes,
        query: bytes | None,
        host: bytes,
        head: bytes,
        lines: list[bytes],
        body: bytes,
        shape: RequestShape,
        scheme: bytes,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.host = host
        self.head = head
        self.lines = lines
        self.shape = shape
        self.scheme = scheme
        self.keep_alive = keep_alive
        self.content_length = len(body)
        self.body = [body] if body else NOTHING
        self._names = None

    @property
    def fields(self) -> Fields:  # type: ignore[override]
        return [pair for pair in map(_pair, self.lines[1:]) if pair[0].lower() not in _APART]

    @property
    def managed(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        number = self.shape.request_id
        return {_REQUEST_ID: [_pair(self.lines[number])[1]]} if number else NO_FIELDS

    def values(self, name: bytes) -> list[bytes]:
        """Mostly what a route asks for is not there."""
        if name in self.shape.folded or name in PSEUDO:
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

    def sent_fields(self) -> Fields:
        """When `lines` have become what was sent: head, empty line, body."""
        pairs = map(_pair, self.lines[1 : self.lines.index(b"")])
        return [pair for pair in pairs if pair[0].lower() not in _FRAMING]

    @property
    def date(self) -> bytes | None:  # type: ignore[override]
        return next((pair[1] for line in self.lines[1:] if (pair := _pair(line))[0].lower() == b"date"), None)
