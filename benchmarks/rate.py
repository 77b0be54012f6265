"""A constant-rate load: requests leave when they are due, whether or not earlier ones were answered (an open loop).

Latency counts from the time a request was due, not from when a connection was free for it, so a stalled proxy cannot
hide its stall. One thread, `select` with microsecond time-outs. Run as `python -m benchmarks.rate`; prints JSON.
"""

import argparse
import json
import math
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

GRACE = 5.0


@dataclass(slots=True)
class Connection:
    """A keep-alive connection with at most one request under way."""

    sock: socket.socket
    due: float = 0.0
    received: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Answer:
    due: float
    latency: float
    ok: bool


@dataclass(slots=True)
class Load:
    """The schedule, the connections, and what came of every request."""

    port: int
    request: bytes
    answers: list[Answer] = field(default_factory=list)
    free: deque[Connection] = field(default_factory=deque)
    busy: dict[socket.socket, Connection] = field(default_factory=dict)

    def run(self, rate: float, seconds: float, connections: int) -> None:
        self.free.extend(self.connect() for _ in range(connections))
        start, total, sent = time.monotonic(), round(rate * seconds), 0
        while (sent < total or self.busy) and time.monotonic() < start + seconds + GRACE:
            now = time.monotonic()
            while sent < total and self.free and start + sent / rate <= now:
                self.send(start + sent / rate)
                sent += 1
            wait = max(0.0, start + sent / rate - time.monotonic()) if sent < total and self.free else GRACE
            for sock in select.select(list(self.busy), (), (), wait)[0]:
                self.receive(self.busy[sock])
        lost = [connection.due for connection in self.busy.values()]
        lost += [start + number / rate for number in range(sent, total)]
        self.answers += [Answer(due, time.monotonic() - due, False) for due in lost]

    def connect(self) -> Connection:
        sock = socket.create_connection(("127.0.0.1", self.port), GRACE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(sock)

    def send(self, due: float) -> None:
        connection = self.free.popleft()
        connection.due = due
        self.busy[connection.sock] = connection
        try:
            connection.sock.sendall(self.request)
        except OSError:
            self.finish(connection, False)

    def receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except OSError:
            data = b""
        connection.received += data
        if not data or is_complete(connection.received):
            self.finish(connection, bool(data) and connection.received.startswith(b"HTTP/1.1 200"))

    def finish(self, connection: Connection, ok: bool) -> None:
        self.answers.append(Answer(connection.due, time.monotonic() - connection.due, ok))
        del self.busy[connection.sock]
        if not ok:
            connection.sock.close()
            connection = self.connect()
        connection.received.clear()
        self.free.append(connection)


def is_complete(received: bytearray) -> bool:
    """Whether a whole response with a Content-Length is there; our upstream sends no other."""
    head, gap, body = received.partition(b"\r\n\r\n")
    if not gap:
        return False
    _, _, length = head.lower().partition(b"content-length:")
    return len(body) >= int(length.partition(b"\r\n")[0] or 0)


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * part) - 1)] if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=5000.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--host", default="reviews.default.svc.cluster.local")
    parser.add_argument("--trace", type=Path, help="write every request here: due time (monotonic), latency, ok")
    asked = parser.parse_args()
    load = Load(asked.port, f"GET /reviews/1 HTTP/1.1\r\nHost: {asked.host}\r\n\r\n".encode())
    load.run(asked.rate, asked.seconds, asked.connections)
    if asked.trace:
        asked.trace.write_text(json.dumps([(a.due, a.latency, a.ok) for a in load.answers]))
    latencies = sorted(answer.latency * 1000 for answer in load.answers)
    figures = {f"p{part * 100:g}": quantile(latencies, part) for part in (0.5, 0.99, 0.999)}
    failed = sum(not answer.ok for answer in load.answers)
    print(json.dumps({"requests": len(load.answers) - failed, "failed": failed, **figures, "max": latencies[-1]}))


if __name__ == "__main__":
    main()
