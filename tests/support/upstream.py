"""Upstreams for tests: a raw TCP server whose every connection runs a script, and an HTTP server that echoes."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

from support.wait import PATIENCE, eventually


@dataclass
class Seen:
    """One request as the upstream saw it; header names in the letter case of the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    version: str = "1.1"
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def names(self) -> list[str]:
        return [key.lower() for key, _ in self.headers]


class Gone(Exception):  # noqa: N818
    """The proxy closed the connection; `clean` False where it was a reset."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("the proxy closed the upstream connection")
        self.clean = clean


class Peer:
    """One connection from the proxy. `received` is every byte it sent."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.received = bytearray()
        self.gone = threading.Event()
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, size: int = 262144) -> bytes:
        """Some bytes; raises `Gone` at the end."""
        try:
            data = self.sock.recv(size)
        except ConnectionResetError:
            self.gone.set()
            raise Gone(clean=False) from None
        except OSError as error:
            self.gone.set()
            raise Gone(clean=False) from error
        if not data:
            self.gone.set()
            raise Gone(clean=True)
        self.received += data
        return data

    def head(self) -> Seen:
        """The next request's head, its body not read."""
        event = self._event()
        assert isinstance(event, h11.Request), event
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers.raw_items()]
        return Seen(event.method.decode(), event.target.decode("latin-1"), headers, event.http_version.decode())

    def request(self) -> Seen:
        """The next request with its body."""
        return self.body(self.head())

    def body(self, seen: Seen) -> Seen:
        """The rest of the request whose head was read."""
        while not isinstance(event := self._event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), event
            seen.body += bytes(event.data)
        seen.trailers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers.raw_items()]
        return seen

    def again(self) -> None:
        """The last request has been answered by raw bytes: the next one may be read."""
        trailing = bytes(self._parser.trailing_data[0])
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if trailing:
            self._parser.receive_data(trailing)

    def send(self, *parts: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(b"".join(parts))

    def answer(self, body: bytes = b"ok", status: str = "200 OK", *lines: str) -> None:
        text = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines))
        self.send(text.encode("latin-1") + b"\r\n" + body)

    def wait_gone(self) -> None:
        """Until the proxy closes, whatever it sends before."""
        with contextlib.suppress(Gone):
            while True:
                self.receive()

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _event(self) -> object:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            self._parser.receive_data(self.receive())
        return event


Script = Callable[[Peer], None]


def always(respond: Callable[[Peer, Seen], None]) -> Script:
    """A script that answers request after request."""

    def script(peer: Peer) -> None:
        while True:
            respond(peer, peer.request())
            peer.again()

    return script


def echo(peer: Peer, seen: Seen) -> None:
    """Answers with what was seen, as JSON."""
    told = {
        "method": seen.method,
        "target": seen.target,
        "headers": seen.headers,
        "body": len(seen.body),
        "connection": peer.number,
    }
    body = json.dumps(told).encode()
    peer.answer(b"" if seen.method == "HEAD" else body, "200 OK", "Content-Type: application/json")


class Upstream:
    """Listens on loopback. `scripts[i]` runs connection i, the last one all further connections."""

    def __init__(self, *scripts: Script, sock: socket.socket | None = None) -> None:
        self.scripts: list[Script] = list(scripts) or [always(echo)]
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.requests: list[Seen] = []
        self._socket = sock or reserve()
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def __enter__(self) -> Upstream:
        return self.listen()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, *scripts: Script) -> Upstream:
        self.scripts = list(scripts)
        return self

    def respond(self, *responses: Callable[[Peer, Seen], None]) -> Upstream:
        """Requests in the order of arrival, on whatever connection, get these answers; the last one repeats."""

        def respond(peer: Peer, seen: Seen) -> None:
            self.requests.append(seen)
            responses[min(len(self.requests), len(responses)) - 1](peer, seen)

        return self.script(always(respond))

    def listen(self) -> Upstream:
        self._socket.listen(256)
        thread = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def peer(self, number: int = 0) -> Peer:
        """Connection `number`, once it is there."""
        eventually(lambda: len(self.peers) > number, f"upstream connection {number}")
        return self.peers[number]

    def stop(self) -> None:
        """Closes everything; an assertion that failed in a script fails the test now."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self.peers:
            peer.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            peer = Peer(sock, len(self.peers))
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, peer: Peer) -> None:
        script = self.scripts[min(peer.number, len(self.scripts) - 1)]
        try:
            script(peer)
        except Gone:
            pass
        except (AssertionError, h11.RemoteProtocolError) as error:
            if not self._stopped:
                self.failures.append(error)
        except OSError:
            pass
        finally:
            if script is not hold:
                peer.close()


def hold(peer: Peer) -> None:
    """A script that does nothing and leaves the connection open."""


def reserve() -> socket.socket:
    """A bound socket that does not listen yet: connecting to it is refused."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock
