"""The short way through HTTP/1.1, for heads that ask for nothing special and come in one read with all that belongs to
them. Whatever is not so is left to the codecs (`http1_server`, `http1_client`), and so is every fault: `None` says so.

httptools checks each message, as on the long way; but no field is called back, they stay the lines they are. Which
fields a head has says all about it but their values: that is its shape (`http1_shape`). A peer's heads mostly have the
shape of the one before, which is told by comparing the beginnings of their lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httptools

from meshproxy.base.headers import BODILESS, OWS
from meshproxy.base.plain import PlainRequest, PlainResponse, RequestShape, ResponseShape
from meshproxy.wire.http1_framing import MAX_FIELDS, STATUS_LINES, valid_host
from meshproxy.wire.http1_shape import request_shapes, response_shapes
from meshproxy.wire.target import PLAIN as PLAIN_TARGET

#: Methods, and whether a request of such must say the length of its body; of the others it must not.
_METHODS = {method: method not in BODILESS for method in (b"GET", b"HEAD", b"DELETE", b"POST", b"PUT", b"PATCH")}
#: The usual status lines, of responses that have a body; each with its status and the line that is passed on.
_STATUSES = {
    b"HTTP/1.1 %d %b" % (status, line.split(b" ", 2)[2]): (status, line)
    for status, line in STATUS_LINES.items()
    if status >= 200 and status not in (204, 304)
}
#: What Connection mostly says, as lines; whether the connection is kept.
_KEPT_ALIVE = {
    b"%b: %b" % (name, value): value.lower() == b"keep-alive"
    for name in (b"Connection", b"connection")
    for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close")
}
DETOUR = 7
"""So many messages of a peer are not tried behind one that went the long way: mostly its next ones do too."""
_LONGEST = 32 * 1024
"""Of what may go the short way, where bodies are copied."""
_MOST_LINES = MAX_FIELDS + 1
_SLASH = ord("/")
_MOST_HOSTS, _LONGEST_HOST = 1024, 256
_hosts: dict[bytes, bytes] = {}
"""Host lines that were found to be valid, and their values."""
_DOTLESS = PLAIN_TARGET.replace(b".", b"")
_CRLF = b"\r\n"
_begins = bytes.startswith


class _Judge:
    """Says of one whole message whether it is one. Between two messages a parser remembers nothing: all connections
    share it."""

    def __init__(self, parser: type[Any]) -> None:
        self._parser = parser
        self._open: list[bool] = []  # empty when a message has ended
        self.on_message_complete = self._open.clear  # no Python is called
        self.begin()

    def begin(self) -> None:
        self._open.clear()
        self.feed: Callable[[bytes], None] = self._parser(self).feed_data

    def accepts(self, data: bytes) -> bool:
        unended = self._open
        unended.append(True)
        try:
            self.feed(data)
            if not unended:
                return True
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass
        self.begin()
        return False


_requests = _Judge(httptools.HttpRequestParser)
_responses = _Judge(httptools.HttpResponseParser)


def read_request(data: bytes, scheme: bytes, shape: RequestShape) -> PlainRequest | None:
    """The request that `data` is, if it is one and nothing else. `shape` is that of the one before."""
    if len(data) > _LONGEST:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    try:
        method, target, version = lines[0].split(b" ")
        has_body = _METHODS[method]
        path, mark, query = target.partition(b"?")
        if path[0] != _SLASH or version != b"HTTP/1.1" or (body and not has_body) or (mark and b"#" in query):
            return None
    except (ValueError, KeyError, IndexError):
        return None
    if path.translate(None, _DOTLESS) and (path.translate(None, PLAIN_TARGET) or b"/." in path):
        return None
    if len(lines) != shape.size or not all(map(_begins, lines, shape.begins)):
        found = request_shapes.find(lines[1:]) if len(lines) <= _MOST_LINES else None
        if found is None:
            return None
        shape = found
    host = _hosts.get(lines[shape.host]) or _host(lines[shape.host])
    kept = _KEPT_ALIVE.get(lines[shape.connection]) if shape.connection else True
    if host is None or kept is None or (shape.length > 0) is not has_body:
        return None
    if shape.request_id and not lines[shape.request_id][13:].strip(OWS):
        return None
    if not _requests.accepts(data):
        return None
    if not kept:
        _requests.begin()  # it would take nothing more
    if has_body and lines[shape.length][15:].strip(OWS) != b"%d" % len(body):
        return None
    if number := shape.connection:
        head = _CRLF.join(lines[:number] + lines[number + 1 :])
    return PlainRequest(method, path, query if mark else None, host, head, lines, body, shape, scheme, kept)


def _host(line: bytes) -> bytes | None:
    host = line.partition(b":")[2].strip(OWS)
    if not valid_host(host):
        return None
    if len(line) <= _LONGEST_HOST:
        if len(_hosts) >= _MOST_HOSTS:
            _hosts.clear()
        _hosts[line] = host
    return host


def read_response(data: bytes, shape: ResponseShape) -> PlainResponse | None:
    """The response that `data` is, if it is one and nothing else. `shape` is that of the one before."""
    if len(data) > _LONGEST:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    known = _STATUSES.get(lines[0])
    if known is None:
        return None
    if len(lines) != shape.size or not all(map(_begins, lines, shape.begins)):
        found = response_shapes.find(lines[1:]) if len(lines) <= _MOST_LINES else None
        if found is None:
            return None
        shape = found
    if shape.connection and not _KEPT_ALIVE.get(lines[shape.connection]):
        return None
    if lines[shape.length][15:].strip(OWS) != b"%d" % len(body) or not _responses.accepts(data):
        return None
    status, lines[0] = known
    for number in shape.dropped:
        del lines[number]
    return PlainResponse(status, lines, body, shape)
