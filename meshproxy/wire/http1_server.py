"""The server's half of HTTP/1.1: bytes of a client to requests, and heads of responses to bytes. No I/O.

One parser per connection serves all its messages. A request appears in `requests` when its head is complete and
has been checked; its body and its end follow in the same object. httptools checks the syntax, this file what
httptools leaves to us (RFC 9112 and `http1_framing`): Host, versions, transfer codings, sizes, upgrades.

A fault of the client raises nothing: it is kept in `error`, to be answered after the requests before it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import httptools

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import MANAGED_REQUEST, OWS, Fields, listed
from meshproxy.base.message import CHUNKED, Request
from meshproxy.wire.http1_framing import (
    HOST,
    HOST_LETTERS,
    LENGTH,
    MAX_FIELDS,
    MAX_HEAD,
    PLAIN_CONNECTION,
    RAW_THRESHOLD,
    REQUEST_ID,
    REQUEST_NAMES,
    ChunkLines,
    by_name,
    check_names,
    check_request_head,
    check_trailers,
    is_chunked,
    nominated,
    size_of,
)
from meshproxy.wire.http1_shape import NO_REQUEST
from meshproxy.wire.other_protocols import METHOD, OtherProtocols
from meshproxy.wire.target import PLAIN as PLAIN_TARGET
from meshproxy.wire.target import split_target

#: A head that puts a fresh parser into the state "reading a body of this framing".
_PRIMER = b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n"


def _fault(kind: Kind, cause: str) -> ProxyError:
    return ProxyError(kind, Side.DOWNSTREAM, cause)


class RequestReader:
    """Feed it bytes; take requests from `requests`, then see `error`.

    `held` are bytes behind a request that asks for an upgrade: they belong to the tunnel if the upstream answers 101
    (`take_held`), else they are HTTP again (`refuse_upgrade`). `finished`: no further request will be read.
    `scheme` is that of all requests.
    """

    def __init__(self, scheme: bytes = b"http") -> None:
        self.scheme = scheme
        self.shape = NO_REQUEST  # of the last request that was read in the short way (`http1_plain`)
        self.detour = 0  # so many will not be tried there
        self.fresh = True  # what comes next begins a message, and nothing is left to be done
        self.requests: deque[Request] = deque()
        self.error: ProxyError | None = None
        self.finished = False
        self.connect: bytes | None = None  # the authority of a CONNECT: for the one who refuses it, or does not
        self.mid_head = False  # a head has begun and is not complete
        self._held: list[bytes] | None = None
        self._current: Request | None = None
        self._raw = 0  # bytes of the current body that bypass the parser
        self._url: list[bytes] = []
        self.on_url = self._url.append  # a callback that needs no Python: most targets come in one piece
        self._pairs: Fields = []
        self._head_size = 0
        self._priming = False
        self._chunk_lines = ChunkLines()
        self._protocols = OtherProtocols()
        self._size = 0  # of this feed
        self._completed = False  # a message has ended in this feed
        self._messages = 0  # begun in this feed
        self._last: Request | None = None  # the request that ended last
        self._ended: Request | None = None  # the chunked request that has ended in this feed
        self._parser: Any = None  # made when it is needed

    def close(self) -> None:
        """Breaks the cycle between this reader and its parser, so that no garbage collection is needed."""
        self.finished = True
        self.fresh = False
        self._parser = None

    # ---- bytes in

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the client. Faults go to `error`."""
        self._feed(data)
        last = self._last
        self.fresh = not (self.finished or self.mid_head or self._current or self._held is not None) and (
            last is not None and last.keep_alive
        )

    def _feed(self, data: bytes) -> None:
        if self._raw:
            data = self._feed_raw(data)
            if not data:
                return
        if self.finished:
            return
        if self._held is not None:
            self._held.append(data)
            return
        try:
            self._parse(data)
        except ProxyError as error:
            self._fail(error)

    def _feed_raw(self, data: bytes) -> bytes:
        """Body bytes of known length; gives back what lies behind them."""
        request = self._current
        assert request is not None
        size = len(data)
        if size < self._raw:
            self._raw -= size
            request.body.append(data)
            return b""
        request.body.append(data[: self._raw] if size > self._raw else data)
        data, self._raw = data[self._raw :], 0
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_complete()
        self.finished = not request.keep_alive
        return data

    def _parse(self, data: bytes) -> None:
        size = self._size = len(data)
        protocols = self._protocols
        if protocols.line is not None:
            end = data.find(b"\r")
            if data[end - 8 : end - 3] == b"HTTP/" and not protocols.line:
                protocols.line = None  # the plain case of `check`
            else:
                protocols.check(data)
        inside_head = self.mid_head
        current = self._current
        before = self._received(current) if current is not None else 0
        self._completed = False
        self._messages = 0
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            end = upgrade.args[0]
            if self._messages > 1:
                self._check_later(data[:end], int(inside_head))
            self._ended = None
            self._hold(data[end:])  # which reads on, where it does, as in a read of its own
            return
        except httptools.HttpParserError as error:
            self._explain(error, data)
        if self._current is not None or self._ended is not None:
            self._watch_body(data, current, before)
        if self._current is None and (not self._completed or self._url or self._pairs):
            self._watch_head(size)
        if self._messages > 1 or (self._completed and self.mid_head):
            self._check_later(data, int(inside_head))

    def _watch_head(self, size: int) -> None:
        """A head has begun; it must not go on for ever. What came before it in the same read is not of it."""
        self.mid_head = True
        self._head_size += sum(map(len, self._url)) + size_of(self._pairs) if self._completed else size
        if self._head_size > MAX_HEAD:
            kind = Kind.HEADERS_TOO_LARGE if self._pairs else Kind.URI_TOO_LONG
            raise _fault(kind, "the request head is larger than 60 KiB")

    def _watch_body(self, data: bytes, current: Request | None, before: int) -> None:
        """A long body of known length leaves the parser. Asked in the read of its head: later, nobody knows here how
        much of it has been taken away. `current` is the request whose body was arriving before this read."""
        request = self._current or self._ended
        assert request is not None
        self._ended = None
        if request.content_length == CHUNKED:
            if request.complete and (self._url or self._pairs):
                return  # a part of the next head is there too
            if self._messages == (current is not request) and (current is None or current is request):
                self._watch_chunks(data, request, before)
        elif request is not current and self._parser is not None:
            missing = request.content_length - sum(map(len, request.body))
            if missing > RAW_THRESHOLD:
                self._raw = missing
                self._parser = None

    def _watch_chunks(self, data: bytes, request: Request, before: int) -> None:
        """Counted where nothing but this request was in the read."""
        if not request.complete:
            check_trailers(self._pairs, Side.DOWNSTREAM)
        head = 0
        if self._messages:
            head = data.find(b"\r\n\r\n") + 4
            self._chunk_lines.spent = 0
        if self._chunk_lines.excessive(len(data) - head, self._received(request) - before):
            request.complete = False
            raise _fault(Kind.BAD_REQUEST, "a chunk line longer than 4 KiB")

    def _received(self, request: Request) -> int:
        """Bytes of its body, and of its trailers, that are here."""
        return sum(map(len, request.body)) + size_of(request.trailers if request.complete else self._pairs)

    def _check_later(self, data: bytes, heads: int) -> None:
        """Messages behind the first of a read may be of another protocol: those before such a one stand."""
        stand = self._protocols.check_later(data, heads, partial=self.mid_head)
        if stand is not None:
            for _ in range(self._messages - stand):
                self.requests.pop()
            raise _fault(Kind.BAD_REQUEST, "not HTTP")

    def _explain(self, error: httptools.HttpParserError, data: bytes) -> None:
        """Raises the fault behind a parser error; returns where it is none."""
        cause = error.__context__
        if isinstance(cause, ProxyError):
            raise cause
        if self._last is not None and not self._last.keep_alive and self._current is None:
            self.finished = True  # bytes behind "Connection: close": the request before them stands
            return
        line = data.split(b"\r\n\r\n", self._messages)[-1]  # behind the heads that were good
        if isinstance(error, httptools.HttpParserInvalidMethodError) and METHOD.match(line):
            raise _fault(Kind.NOT_IMPLEMENTED, "unknown method")
        raise _fault(Kind.BAD_REQUEST, str(error))

    def _fail(self, error: ProxyError) -> None:
        self.error = error
        self.finished = True
        self.mid_head = False

    # ---- upgrades: httptools stops at any request that asks for one

    def _hold(self, rest: bytes) -> None:
        if self.connect is not None:
            self._held = [rest] if rest else []
            raise _fault(Kind.NOT_IMPLEMENTED, "CONNECT")
        request = self._current or self.requests[-1]
        self._parser = httptools.HttpRequestParser(self)
        if request.upgrade is None or request.content_length:
            self._resume(request, rest)
        else:
            self._held = [rest] if rest else []

    def _resume(self, request: Request, rest: bytes) -> None:
        """Reads on as HTTP: the body first, where there is one (the parser has skipped it)."""
        if request.content_length and not request.body:
            request.upgrade = None
            request.complete = False
            self._current = request
            framing = (
                b"transfer-encoding: chunked"
                if request.content_length == CHUNKED
                else b"content-length: %d" % request.content_length
            )
            self._priming = True
            self._parser.feed_data(_PRIMER % framing)
            self._priming = False
        if rest:
            self._parse(rest)

    def take_held(self) -> list[bytes]:
        """The upgrade was accepted: what the client sent behind its request; nothing is parsed any more."""
        held, self._held = self._held or [], None
        self.close()
        return held

    def refuse_upgrade(self) -> None:
        """The upgrade was not accepted: what was held is HTTP."""
        held, self._held = self._held or [], None
        for data in held:
            self.feed(data)

    # ---- httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        if self._priming:
            self._url.clear()
            self._pairs = []
            return
        pairs, pieces = self._pairs, self._url
        url = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._pairs = []
        if len(pairs) > MAX_FIELDS or self._head_size + self._size > MAX_HEAD:
            check_request_head(url, pairs)
        self.mid_head = False
        self._head_size = 0
        parser = self._parser
        method: bytes = parser.get_method()
        if method == b"CONNECT":
            self.connect = url
            return
        fields: Fields = []
        special: Fields = []
        host = length = request_id = None
        names = REQUEST_NAMES
        for pair in pairs:
            try:
                kind = names[pair[0]]
            except KeyError:
                kind = names.learn(pair[0])
            if not kind:
                fields.append(pair)
            elif kind == HOST and host is None:
                host = pair[1].rstrip(OWS)
            elif kind == LENGTH and length is None:
                length = pair[1]
            elif kind == REQUEST_ID and request_id is None:
                request_id = pair[1].rstrip(OWS)
            else:
                special.append(pair)
        if url.translate(None, PLAIN_TARGET) or url[:1] != b"/" or b"/." in url:
            path, query, authority = split_target(url, method)
        else:
            path, query, authority = url, None, None  # the plain case of `split_target`
        request = Request(method, path, query, host or b"", fields)
        if request_id is not None:
            request.managed = {b"x-request-id": [request_id]}
        keep_alive: bool = parser.should_keep_alive()
        if special or not keep_alive or host is None:
            request.keep_alive = keep_alive
            self._read_special(request, by_name(special), has_host=host is not None)
        if length is not None:
            request.content_length = int(length)  # one, and of digits: the parser has seen to that
        if not host or authority is not None or host.translate(None, HOST_LETTERS):
            check_names(host, authority)
            if authority is not None:
                request.host = authority
        request.scheme = self.scheme
        self._current = request
        self._messages += 1
        self.requests.append(request)

    def _read_special(self, request: Request, special: dict[bytes, list[bytes]], *, has_host: bool) -> None:
        """Everything that decides about framing and about the connection, where it is not the plain case:
        HTTP/1.1, kept alive, one Host and nothing else."""
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            kind = Kind.BAD_REQUEST if version == "0.9" else Kind.VERSION_NOT_SUPPORTED
            raise _fault(kind, f"HTTP/{version}")
        request.version = b"HTTP/1.1" if version == "1.1" else b"HTTP/1.0"
        if b"host" in special or (not has_host and version == "1.1"):
            raise _fault(Kind.BAD_REQUEST, "exactly one Host field is required")
        if is_chunked(special.get(b"transfer-encoding", []), request.version, Side.DOWNSTREAM):
            request.content_length = CHUNKED
        if managed := MANAGED_REQUEST.intersection(special):
            own = request.managed
            request.managed = own | {name: own.get(name, []) + special[name] for name in managed}
        self._read_connection(request, special)

    def _read_connection(self, request: Request, special: dict[bytes, list[bytes]]) -> None:
        connection = special.get(b"connection")
        if connection is not None and (len(connection) > 1 or connection[0] not in PLAIN_CONNECTION):
            value = b",".join(connection)
            if dropped := nominated(value):
                request.fields[:] = [pair for pair in request.fields if pair[0].lower() not in dropped]
            asked = special.get(b"upgrade", [])
            # no h2c: it would change the protocol under our rules (http1.md, rule 8)
            if len(asked) == 1 and b"upgrade" in listed(value) and b"h2c" not in listed(asked[0]):
                request.upgrade = asked[0]
        if expectations := special.get(b"expect"):
            if [value.lower() for value in expectations] != [b"100-continue"]:
                raise _fault(Kind.EXPECTATION_FAILED, "an expectation other than 100-continue")
            request.expects_continue = request.version == b"HTTP/1.1"
        if any(b"trailers" in listed(value) for value in special.get(b"te", ())):
            request.fields.append((b"te", b"trailers"))

    def on_body(self, data: bytes) -> None:
        assert self._current is not None
        self._current.body.append(data)

    def on_chunk_header(self) -> None:
        self._chunk_lines.headers += 1

    def on_message_complete(self) -> None:
        request = self._current
        if request is None or self._priming:
            return
        if self._pairs:
            request.trailers, self._pairs = self._pairs, []
            check_trailers(request.trailers, Side.DOWNSTREAM)
        if request.content_length == CHUNKED:
            self._ended = request
        request.complete = True
        self._completed = True
        self._last = request
        self._protocols.line = b""
        self._current = None
