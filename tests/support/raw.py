"""A client that sends exactly the bytes it is told, and reads answers with h11: a strict second opinion."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import h11

from support.wait import PATIENCE

Address = tuple[str, int]


@dataclass
class Reply:
    """One answer. `headers` in the order and letter case of the wire; `complete` False where it was cut off."""

    status: int
    reason: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.lower().encode()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Cut(AssertionError):  # noqa: N818
    """The connection ended before an answer did; `reply` is what there was of it."""

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class Raw:
    """One connection to the proxy. `interim` collects the 1xx answers seen; `pending` bytes read but not parsed."""

    def __init__(self, address: Address, *, receive_buffer: int | None = None, patience: float = PATIENCE) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(patience)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.interim: list[Reply] = []

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def send(self, *parts: bytes) -> Raw:
        self.sock.sendall(b"".join(parts))
        return self

    def send_slowly(self, data: bytes, size: int = 1) -> Raw:
        """In pieces, each a packet of its own."""
        for start in range(0, len(data), size):
            self.sock.sendall(data[start : start + size])
        return self

    def get(self, host: str, target: str = "/", *lines: str, method: str = "GET") -> Reply:
        """A whole request without a body, and its answer."""
        self.send(head(host, target, *lines, method=method))
        return self.reply(method=method)

    def reply(self, *, method: str = "GET", upgrade: bool = False) -> Reply:
        """The next final answer; 1xx answers before it are put into `interim`. Raises `Cut` where it ends too soon."""
        parser = _parser(method, upgrade=upgrade)
        if self.pending:
            parser.receive_data(self.pending)
            self.pending = b""
        reply: Reply | None = None
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                raise Cut(f"not a whole answer: {error}", reply) from None
            if event is h11.NEED_DATA:
                parser.receive_data(self._more(reply))
            elif isinstance(event, h11.InformationalResponse):
                interim = _reply(event)
                if event.status_code == 101:
                    self.pending = bytes(parser.trailing_data[0])
                    return interim
                self.interim.append(interim)
            elif isinstance(event, h11.Response):
                reply = _reply(event)
            elif isinstance(event, h11.Data):
                assert reply is not None
                reply.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert reply is not None
                reply.trailers = [(bytes(n), bytes(v)) for n, v in event.headers.raw_items()]
                reply.complete = True
                self.pending = bytes(parser.trailing_data[0])
                return reply
            else:
                raise Cut(f"the connection was closed: {event!r}", reply)

    def interim_reply(self) -> Reply:
        """The next answer, which has to be a 1xx."""
        raw = self.until(b"\r\n\r\n")
        parser = _parser("GET", upgrade=False)
        parser.receive_data(raw)
        event = parser.next_event()
        assert isinstance(event, h11.InformationalResponse), event
        return _reply(event)

    def until(self, mark: bytes) -> bytes:
        """Bytes up to and with `mark`; what follows stays for the next read."""
        while mark not in self.pending:
            data = self._receive()
            if not data:
                raise Cut(f"closed before {mark!r}: {self.pending!r}")
            self.pending += data
        cut = self.pending.index(mark) + len(mark)
        found, self.pending = self.pending[:cut], self.pending[cut:]
        return found

    def exactly(self, size: int) -> bytes:
        while len(self.pending) < size:
            data = self._receive()
            if not data:
                raise Cut(f"closed after {len(self.pending)} of {size} bytes")
            self.pending += data
        found, self.pending = self.pending[:size], self.pending[size:]
        return found

    def rest(self) -> bytes:
        """Everything until the proxy closes the connection."""
        pieces = [self.pending]
        self.pending = b""
        while data := self._receive():
            pieces.append(data)
        return b"".join(pieces)

    def closed(self) -> bool:
        """Whether the proxy closes the connection now, without another byte."""
        return self.rest() == b""

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def _more(self, reply: Reply | None) -> bytes:
        try:
            return self._receive()
        except TimeoutError:
            raise AssertionError(f"no more bytes came; so far: {reply}") from None

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(262144)
        except ConnectionResetError:
            return b""


def head(host: str, target: str = "/", *lines: str, method: str = "GET") -> bytes:
    """A request head, `lines` its fields after Host."""
    text = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", f"Host: {host}", *lines))
    return text.encode("latin-1") + b"\r\n"


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


def fetch(address: Address, host: str, target: str = "/", *lines: str, method: str = "GET") -> Reply:
    """One request on a connection of its own."""
    with Raw(address) as client:
        return client.get(host, target, *lines, method=method)


def _parser(method: str, *, upgrade: bool) -> h11.Connection:
    """A parser that believes it has sent a request with `method`."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    fields = [("host", "x")]
    if upgrade:
        fields += [("connection", "upgrade"), ("upgrade", "any")]
    parser.send(h11.Request(method=method, target="/", headers=fields))
    parser.send(h11.EndOfMessage())
    return parser


def _reply(event: h11.Response | h11.InformationalResponse) -> Reply:
    fields = [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]
    return Reply(event.status_code, bytes(event.reason), bytes(event.http_version), fields)
