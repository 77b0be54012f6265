"""The client's half of HTTP/1.1: bytes of an upstream to responses, and heads of requests to bytes. No I/O.

One parser per connection serves all its messages. Everything an upstream may do wrong ends in a ProxyError of
kind UPSTREAM_PROTOCOL, raised by `feed` or `eof`; what is left then is a connection to close.
"""

from __future__ import annotations

from typing import Any

import httptools

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import WATCHED_RESPONSE, Fields
from meshproxy.base.message import CHUNKED, Response
from meshproxy.wire.http1_framing import (
    DATE,
    LENGTH,
    MAX_FIELDS,
    MAX_HEAD,
    PLAIN_CONNECTION,
    RAW_THRESHOLD,
    RESPONSE_NAMES,
    SPECIAL,
    ChunkLines,
    by_name,
    check_trailers,
    is_chunked,
    nominated,
    size_of,
)
from meshproxy.wire.http1_plain import DETOUR, read_response
from meshproxy.wire.http1_shape import NO_RESPONSE


def _fault(cause: str) -> ProxyError:
    return ProxyError(Kind.UPSTREAM_PROTOCOL, Side.UPSTREAM, cause)


class ResponseReader:
    """Call `expect` before each request is sent; feed it bytes; see `response` and `informational`.

    `reusable` is true while the connection may serve another request: the response was whole, said nothing of
    closing, and nothing came behind it. `tunnel` are bytes behind an accepted 101.
    """

    def __init__(self) -> None:
        self.response: Response | None = None
        self.informational: list[Response] = []
        self.reusable = True
        self._shape = NO_RESPONSE
        self._detour = 0  # so many will not be tried in the short way
        self.tunnel: list[bytes] = []
        self._expecting = False
        self._head_only = False
        self._upgrade: bytes | None = None
        self._until_eof = False
        self._raw = 0
        self._size = 0  # bytes fed since the head began
        self._is_1_1 = False  # the status line of this response says HTTP/1.1
        self._pairs: Fields = []
        self._chunk_lines = ChunkLines()
        self._parser: Any = None  # made when it is needed

    def close(self) -> None:
        """Breaks the cycle between this reader and its parser."""
        self.reusable = False
        self._parser = None

    def expect(self, method: bytes, upgrade: bytes | None = None) -> None:
        """The next response answers a request of this method, which asked for `upgrade`."""
        self.response = None
        self._expecting = True
        self._head_only = method == b"HEAD"
        self._upgrade = upgrade
        self._size = 0

    @property
    def begun(self) -> bool:
        """Whether any byte of an answer has come since `expect`."""
        return self._size > 0

    # ---- bytes in

    def feed(self, data: bytes) -> None:
        """Raises ProxyError where the upstream breaks the protocol or sends what nobody asked for."""
        if self._raw:
            data = self._feed_raw(data)
            if not data:
                return
        if not self._expecting:
            self._feed_unasked(data)
            return
        before = -1  # no head yet
        if self.response is None:
            if not self._size:
                if self._detour:
                    self._detour -= 1
                elif self._head_only:
                    pass
                elif (plain := read_response(data, self._shape)) is None:
                    self._detour = DETOUR
                else:
                    self.response = plain
                    self._shape = plain.shape
                    self._size = len(data)
                    self._expecting = False
                    return
                self._is_1_1 = data.startswith(b"HTTP/1.1 ")
            self._size += len(data)
        else:
            before = self._received(self.response)
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if rest := data[upgrade.args[0] :]:
                self.tunnel.append(rest)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, ProxyError):
                raise error.__context__ from None
            if self._expecting:
                raise _fault(str(error)) from None
            self.reusable = False  # the answer itself was whole; what came behind it reaches no one
        if self._expecting:
            self._watch(data, before)
        elif data.endswith(b"\n") and self._has_blank_lines_behind(data):
            self.reusable = False

    def _has_blank_lines_behind(self, data: bytes) -> bool:
        """The parser skips empty lines between messages; behind an answer they are bytes that nobody asked for."""
        response = self.response
        return response is not None and response.content_length > 0 and not data.endswith(response.body[-1])

    def _feed_unasked(self, data: bytes) -> None:
        self.reusable = False
        if self.response is not None and self.response.upgrade is not None:
            self.tunnel.append(data)

    def _feed_raw(self, data: bytes) -> bytes:
        """Body bytes of known length; gives back what lies behind them."""
        response = self.response
        assert response is not None
        size = len(data)
        if size < self._raw:
            self._raw -= size
            response.body.append(data)
            return b""
        response.body.append(data[: self._raw] if size > self._raw else data)
        data, self._raw = data[self._raw :], 0
        response.complete = True
        self._expecting = False
        return data

    def _watch(self, data: bytes, before: int) -> None:
        """A long body leaves the parser, in the read of its head: later, nobody knows here how much of it has been
        taken away. Endless heads and chunk lines are refused."""
        response = self.response
        if response is None:
            if self._size > MAX_HEAD:
                raise _fault("the response head is larger than 60 KiB")
            return
        if response.content_length > 0:
            missing = response.content_length - sum(map(len, response.body))
            if before < 0 and missing > RAW_THRESHOLD:
                self._raw = missing
                self._parser = None
        elif before < 0:
            self._chunk_lines = ChunkLines()
        elif not self._until_eof:
            check_trailers(self._pairs, Side.UPSTREAM)
            if self._chunk_lines.excessive(len(data), self._received(response) - before):
                raise _fault("a chunk line longer than 4 KiB")

    def _received(self, response: Response) -> int:
        """Bytes of its body, and of its trailers, that are here."""
        return sum(map(len, response.body)) + size_of(self._pairs)

    def eof(self) -> None:
        """The upstream has closed. Completes a body that ends so; raises where an answer is cut short."""
        self.reusable = False
        response = self.response
        if response is None or response.complete:
            return
        if not self._until_eof:
            raise ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, "the connection was closed inside the response")
        response.complete = True
        self._expecting = False

    # ---- httptools' callbacks

    def on_message_begin(self) -> None:
        if not self._expecting:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        pairs, self._pairs = self._pairs, []
        if not self._expecting:
            return
        if len(pairs) > MAX_FIELDS or (self._size > MAX_HEAD and size_of(pairs) > MAX_HEAD):
            raise _fault(f"the response head is larger than 60 KiB or has more than {MAX_FIELDS} fields")
        fields: Fields = []
        special: Fields = []
        found: list[bytes | None] = [None] * SPECIAL
        names = RESPONSE_NAMES
        for pair in pairs:
            try:
                kind = names[pair[0]]
            except KeyError:
                kind = names.learn(pair[0])
            if not kind:
                fields.append(pair)
            elif kind < SPECIAL:
                found[kind] = pair[1]
            elif kind == SPECIAL or pair[1] not in PLAIN_CONNECTION:
                special.append(pair)
        length = found[LENGTH]
        parser = self._parser
        status: int = parser.get_status_code()
        response = Response(status, fields, found[DATE])
        self._until_eof = False
        if special or not self._is_1_1:
            self._read_special(response, by_name(special))
        if length is not None:
            response.announced_length = response.content_length = int(length)
        elif status >= 200 and not response.content_length:
            self._until_eof = True
            response.content_length = CHUNKED
        if not parser.should_keep_alive():
            self.reusable = False
        if 200 <= status <= 599 and status != 204 and status != 304 and not self._head_only:
            self.response = response
        else:
            self._on_bodiless(response, special)

    def _read_special(self, response: Response, special: dict[bytes, list[bytes]]) -> None:
        """What decides about framing and about the connection, where there is more than a length to say."""
        codings = special.get(b"transfer-encoding")
        if not self._is_1_1:
            self._check_version(codings)
        if codings is not None and is_chunked(codings, b"HTTP/1.1", Side.UPSTREAM):
            response.content_length = CHUNKED
        if connection := special.get(b"connection"):
            dropped = nominated(b",".join(connection))
            response.fields[:] = [pair for pair in response.fields if pair[0].lower() not in dropped]
        for name in WATCHED_RESPONSE:
            if name in special:
                response.watched = response.watched | {name: special[name][0]}
                response.fields.extend((name, value) for value in special[name])

    def _on_bodiless(self, response: Response, special: Fields) -> None:
        """Statuses that are more or less than an answer with a body."""
        status = response.status
        if not 100 <= status <= 599:
            raise _fault(f"status {status}")
        if status >= 200:
            self.response = response
            self._end_without_body(response)
        elif status == 101:
            self.response = response
            self._accept_upgrade(response, by_name(special))
        else:
            response.complete = True
            self.informational.append(response)
            self.reusable = True
            self._is_1_1 = False

    def _check_version(self, codings: list[bytes] | None) -> None:
        """Where the status line was not seen to begin with HTTP/1.1: an older version, a split or a second head."""
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _fault(f"HTTP/{version}")
        if codings is not None and version == "1.0":
            raise _fault("Transfer-Encoding in HTTP/1.0")

    def _end_without_body(self, response: Response) -> None:
        """HEAD, 204, 304: there is no body, whatever the fields say. The parser cannot be told of HEAD."""
        parser_waits = self._head_only and (response.content_length != 0 or self._until_eof)
        response.content_length = 0
        response.complete = True
        self._expecting = False
        if parser_waits:
            self._parser = None

    def _accept_upgrade(self, response: Response, special: dict[bytes, list[bytes]]) -> None:
        if self._upgrade is None:
            raise _fault("101 without being asked")
        accepted = special.get(b"upgrade")
        if not accepted or not accepted[0]:
            raise _fault("101 that does not say to what")
        response.upgrade = accepted[0]
        response.content_length = 0
        response.complete = True
        self.reusable = False
        self._expecting = False

    def on_body(self, data: bytes) -> None:
        response = self.response
        if response is None or response.complete:
            self.reusable = False
        else:
            response.body.append(data)

    def on_chunk_header(self) -> None:
        self._chunk_lines.headers += 1

    def on_message_complete(self) -> None:
        response = self.response
        if response is None or response.complete:
            return
        if self._pairs:
            response.trailers, self._pairs = self._pairs, []
            check_trailers(response.trailers, Side.UPSTREAM)
        response.complete = True
        self._expecting = False
