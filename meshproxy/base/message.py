"""Message heads and their bodies in transit, as codecs produce them and everything above reads them.

A `Request` is created when its head is complete; body bytes arrive in `body` until `complete`. Machines of the
codec floor fill it; the proxy takes the chunks out again. Not frozen: it is the one thing on the request path
that changes.
"""

from __future__ import annotations

from meshproxy.base.headers import OWS, Fields

CHUNKED = -1
"""As a content length: the length is not known, the body is chunked on the wire."""

FORWARDED_PROTO = b"x-forwarded-proto"
NO_FIELDS: dict[bytes, list[bytes]] = {}
NO_WATCHED: dict[bytes, bytes] = {}
NOTHING: list[bytes] = []
"""All are shared and never changed."""


class Request:
    """One request head. All text is bytes as received, but `path` is normalized (Istio's BASE).

    `fields` holds what may be forwarded, in order: no Host, no framing, no hop-by-hop field.
    `managed` holds the fields the proxy writes itself (`headers.MANAGED_REQUEST`), by lower-case name.
    `host` is the Host field, or the authority of an absolute-form target, letter case kept.
    `content_length` is the length of the body, 0 without one, or CHUNKED.
    """

    __slots__ = (
        "_names",
        "body",
        "complete",
        "content_length",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "managed",
        "method",
        "path",
        "query",
        "scheme",
        "trailers",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, path: bytes, query: bytes | None, host: bytes, fields: Fields) -> None:
        self.method = method
        self.path = path
        self.query = query  # what follows the "?", or None where there is none
        self.host = host
        self.fields = fields
        self.managed: dict[bytes, list[bytes]] = NO_FIELDS
        self.scheme = b"http"
        self.version = b"HTTP/1.1"
        self.content_length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: bytes | None = None  # the protocol asked for, such as b"websocket"
        self.body: list[bytes] = []  # received, not yet taken
        self.complete = False
        self.trailers: Fields = []
        self._names: list[bytes] | None = None  # of `fields`, in lower case, once somebody asks

    @property
    def target(self) -> bytes:
        """The path with its query, as it is sent on."""
        return self.path if self.query is None else b"%b?%b" % (self.path, self.query)

    def values(self, name: bytes) -> list[bytes]:
        """All values of the field `name` (lower case), in order; empty where the request lacks it.

        Pseudo headers (`:method`, `:scheme`, `:authority`, `:path`) are answered too, and X-Forwarded-Proto, which a
        proxy sets before it looks for a route, even if the client has not.
        """
        names = self._names
        if names is None:
            names = self._names = [pair[0].lower() for pair in self.fields]
        if name in names:
            return [pair[1].strip(OWS) for pair, known in zip(self.fields, names, strict=True) if known == name]
        if name in self.managed:
            return self.managed[name]
        pseudo = PSEUDO.get(name)
        return [getattr(self, pseudo)] if pseudo is not None else NOTHING


PSEUDO = {
    b"host": "host",
    b":authority": "host",
    b":method": "method",
    b":scheme": "scheme",
    b":path": "target",
    FORWARDED_PROTO: "scheme",
}


class Response:
    """One response head. `fields` holds what may be forwarded: no framing, no hop-by-hop field.

    `content_length` is the announced length, CHUNKED where it is chunked or ends with the connection, 0 where
    there can be no body. Of a HEAD or 304 answer, `announced_length` is what its Content-Length said.
    """

    __slots__ = (
        "announced_length",
        "body",
        "complete",
        "content_length",
        "date",
        "fields",
        "status",
        "trailers",
        "upgrade",
        "watched",
    )

    def __init__(self, status: int, fields: Fields, date: bytes | None = None) -> None:
        self.status = status
        self.fields = fields
        self.content_length = 0
        self.announced_length: int | None = None
        self.date = date
        self.watched: dict[bytes, bytes] = NO_WATCHED
        self.upgrade: bytes | None = None
        self.body: list[bytes] = []
        self.complete = False
        self.trailers: Fields = []
