"""Puts load on a port: wrk as fast as it goes, our own loader at a constant rate, or connections that only wait."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mesh import FQDN

LUA = Path(__file__).parent / "lua"
ROOT = LUA.parent.parent


@dataclass(frozen=True, slots=True)
class Drive:
    """What wrk is told."""

    path: str = "/reviews/1"
    script: str = "plain"
    connections: int = 50
    close: bool = False
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """What came of a load; latencies in milliseconds."""

    requests: int
    failed: int
    seconds: float
    latency: dict[str, float]


def wrk(port: int, drive: Drive, seconds: float) -> Shot:
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    argv = [program, "-t1", f"-c{drive.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    argv += ["-s", str(LUA / f"{drive.script}.lua"), "-H", f"Host: {FQDN}"]
    argv += ["-H", "Connection: close"] if drive.close else []
    argv += [f"{'https' if drive.secure else 'http'}://127.0.0.1:{port}{drive.path}"]
    environment = {**os.environ, "BENCH_LUA": str(LUA)}
    output = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    latency = {key: result[key] / 1000 for key in ("p50", "p99")}
    return Shot(result["requests"], result["failed"], result["microseconds"] / 1e6, latency)


def rate_argv(port: int, rate: float, seconds: float, trace: Path | None = None) -> list[str]:
    argv = [sys.executable, "-m", "benchmarks.rate", "--port", str(port), "--rate", str(rate)]
    argv += ["--seconds", str(seconds), "--host", FQDN]
    return [*argv, "--trace", str(trace)] if trace else argv


def steady(port: int, rate: float, seconds: float) -> Shot:
    output = subprocess.run(rate_argv(port, rate, seconds), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    result = json.loads(output)
    latency = {key: value for key, value in result.items() if key not in ("requests", "failed")}
    return Shot(result["requests"], result["failed"], seconds, latency)


def ask(connection: socket.socket, host: str = FQDN) -> bytes:
    """One small request on an open connection; the whole response."""
    connection.sendall(f"GET /reviews/1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection.recv(65536)


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    """Holds `count` connections that each did one request and now wait."""
    with ExitStack() as held:
        for _ in range(count):
            ask(held.enter_context(socket.create_connection(("127.0.0.1", port), 10.0)))
        yield
