"""Starts and stops what is measured, each as its users would start it, on loopback ports; stops it by pid, always."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import envoy, mesh, servers
from benchmarks.measure import family
from benchmarks.mesh import SUBSETS, Setup

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT, STOP_LIMIT = 60.0, 10.0
POLL = 0.002
TIMES = "×"


@dataclass(frozen=True, slots=True)
class Site:
    """Where one peer lives: its directory, its ports, the port its endpoints answer on, how many workers it gets."""

    directory: Path
    port: int
    admin: int
    upstream_port: int
    workers: int = 1

    @property
    def access_log(self) -> Path:
        return self.directory / "access.log"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running proxy."""

    name: str
    site: Site
    setup: Setup
    process: subprocess.Popen[bytes]
    started_in: float

    @property
    def port(self) -> int:
        return self.site.port

    def pids(self) -> list[int]:
        return family(self.process.pid)


def meshproxy_argv(site: Site, setup: Setup) -> list[str]:
    directory = site.directory / "conf"
    mesh.swap(directory, mesh.stage(directory, setup, site.upstream_port, generation=0))
    return [
        *(sys.executable, "-m", "meshproxy", "run", "-f", str(directory)),
        *_opened(site, setup),
        *("--admin", f"127.0.0.1:{site.admin}"),
        *("--workers", str(site.workers), "--access-log", str(site.access_log) if setup.access_log else "off"),
    ]


def _opened(site: Site, setup: Setup) -> tuple[str, ...]:
    """The measured port: the mesh listener's, or a gateway's."""
    if setup.edge:
        return "--listen", "127.0.0.1:0", "--bind", f"{mesh.GATEWAY_PORT}=127.0.0.1:{site.port}"
    return "--listen", f"127.0.0.1:{site.port}"


def profiled_argv(site: Site, setup: Setup) -> list[str]:
    python, _, _, *arguments = meshproxy_argv(site, setup)
    return [python, "-m", "benchmarks.profiled", str(site.directory / "profile"), *arguments]


def envoy_argv(site: Site, setup: Setup) -> list[str]:
    ports = {"port": site.port, "admin": site.admin, "upstream_port": site.upstream_port}
    config = _file(site, "envoy.json", json.dumps(envoy.bootstrap(setup, access_log=site.access_log, **ports)))
    concurrency = ("--concurrency", str(site.workers))
    return [_program("envoy"), "-c", config, *concurrency, "--log-level", "error", "--disable-hot-restart"]


def nginx_argv(site: Site, setup: Setup) -> list[str]:
    text = servers.nginx_proxy(
        setup,
        site.directory,
        port=site.port,
        upstream_port=site.upstream_port,
        workers=site.workers,
        access_log=site.access_log,
    )
    return [_program("nginx"), "-e", "stderr", "-c", _file(site, "nginx.conf", text)]


def haproxy_argv(site: Site, setup: Setup) -> list[str]:
    text = servers.haproxy(setup, port=site.port, upstream_port=site.upstream_port, workers=site.workers)
    return [_program("haproxy"), "-db", "-f", _file(site, "haproxy.cfg", text)]


def relay_argv(site: Site, _setup: Setup) -> list[str]:
    return [sys.executable, "-m", "benchmarks.relay", str(site.port), SUBSETS["v3"][0], str(site.upstream_port)]


ARGV: dict[str, Callable[[Site, Setup], list[str]]] = {
    "meshproxy": meshproxy_argv,
    "profiled": profiled_argv,
    "envoy": envoy_argv,
    "haproxy": haproxy_argv,
    "nginx": nginx_argv,
    "relay": relay_argv,
}
PROGRAMS = ("envoy", "haproxy", "nginx")
WITH_ADMIN = ("meshproxy", "profiled", "envoy")


def available(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `names` that this machine can run; `envoy×2` is envoy with two workers."""
    return tuple(name for name in names if _kind(name) not in PROGRAMS or shutil.which(_kind(name), path=_path()))


@contextmanager
def running(name: str, setup: Setup, directory: Path, upstream_port: int) -> Iterator[Peer]:
    """One peer, from its first sign of life to its end."""
    site = Site(directory / name, free_port(), free_port(), upstream_port, int(name.partition(TIMES)[2] or 1))
    site.directory.mkdir(parents=True)
    argv = ARGV[_kind(name)](site, setup)
    begun = time.monotonic()
    with spawned(argv, site.directory, site.access_log if _kind(name) == "haproxy" else None) as process:
        probe = _live if _kind(name) in WITH_ADMIN else _accepts
        _await(lambda: probe(site), process, site.directory / "output.log")
        yield Peer(name, site, setup, process, time.monotonic() - begun)


@contextmanager
def upstream(directory: Path) -> Iterator[int]:
    """The upstream of all peers; gives its port."""
    site = Site(directory / "upstream", free_port(), 0, 0)
    files = site.directory / "bytes"
    files.mkdir(parents=True)
    for size in (10 << 10, 1 << 20):
        (files / str(size)).write_bytes(b"x" * size)
    argv = [sys.executable, "-m", "benchmarks.upstream", str(site.port)]
    if available(("nginx",)):
        config = _file(site, "nginx.conf", servers.nginx_upstream(site.directory, site.port))
        argv = [_program("nginx"), "-e", "stderr", "-c", config]
    with spawned(argv, site.directory, None) as process:
        _await(lambda: _accepts(site, SUBSETS["v2"][0]), process, site.directory / "output.log")
        yield site.port


@contextmanager
def spawned(argv: list[str], directory: Path, stdout: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "output.log").open("wb") as log, (stdout or directory / "output.log").open("ab") as out:
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            args = process.args if isinstance(process.args, list) else []
            raise RuntimeError(f"{args} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL)


def _accepts(site: Site, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, site.port), 1.0).close()
    except OSError:
        return False
    return True


def _live(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.admin}/ready", timeout=1.0) as answer:
            return bool(answer.read().strip() == b"LIVE")
    except OSError:
        return False


def _kind(name: str) -> str:
    return name.partition(TIMES)[0]


def _path() -> str:
    return f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def _program(name: str) -> str:
    found = shutil.which(name, path=_path())
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def _file(site: Site, name: str, text: str) -> str:
    path = site.directory / name
    path.write_text(text)
    return str(path)
