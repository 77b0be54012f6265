"""`meshproxy run` as a process: start, exit codes, workers, drain, signals, admin."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.proxy import Process, Proxy, service_entry
from support.raw import Cut, Raw, Reply, fetch, head
from support.upstream import Peer, Seen, Upstream, always
from support.wait import eventually

_HOST = "reviews.test"
_WORKERS = ("1", "2")


def _run(*arguments: str, env: dict[str, str] | None = None) -> Process:
    defaults = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    admin = () if "--admin" in arguments else ("--admin", "127.0.0.1:0")
    return Process([*_command(), *defaults, *admin, *arguments], env)


def _command() -> list[str]:

    return [sys.executable, "-m", "meshproxy", "run"]


def _ended(process: Process) -> int:
    """The exit code of a process that ends by itself."""
    try:
        process.wait()
    finally:
        code = process.stop()
    return code


def _admin(proxy: Proxy, path: str, method: str = "GET") -> Reply:
    return fetch(proxy.admin, "admin", path, method=method)


def _json(proxy: Proxy, path: str) -> Any:
    return json.loads(_admin(proxy, path).body)


def _metric(proxy: Proxy, pattern: str) -> int:
    text = _admin(proxy, "/stats/prometheus").body.decode()
    return sum(int(value) for value in re.findall(rf"^{pattern} (\d+)$", text, re.MULTILINE))


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"_worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


class _Gate:
    """An upstream that keeps every answer until it is opened."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, peer: Peer, seen: Seen) -> None:
        self.arrived.release()
        self.open.wait(30)
        peer.answer(b"late")


@pytest.fixture
def gate() -> Iterator[_Gate]:
    gate = _Gate()
    yield gate
    gate.open.set()


@pytest.fixture(params=_WORKERS)
def workers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---- start


def test_the_ready_line_tells_addresses_and_counts(workers: str) -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", workers) as proxy:
        assert re.match(r"ready: listen 127\.0\.0\.1:\d+, admin 127\.0\.0\.1:\d+; 1 ServiceEntry \(", proxy.ready_line)
        assert fetch(proxy.address, _HOST).status == 200
        assert _admin(proxy, "/ready").body == b"LIVE\n"


def test_an_invalid_configuration_is_refused_with_every_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: [\n")
    (tmp_path / "b.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n"
        "spec:\n  hosts: [v]\n  http:\n  - route:\n    - destination: {host: v}\n      weight: many\n"
    )
    process = _run("-f", str(tmp_path), "-f", str(tmp_path / "none"))
    assert _ended(process) == 65
    files = [line.split(":")[0] for line in process.lines]
    assert {str(tmp_path / name) for name in ("a.yaml", "b.yaml", "none")} <= set(files)
    assert any(line.startswith(f"{tmp_path}/b.yaml:9:") for line in process.lines)
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("flag", ["--listen", "--admin"])
def test_an_address_in_use_is_exit_code_69(tmp_path: Path, flag: str, workers: str) -> None:
    (tmp_path / "a.yaml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = _run("-f", str(tmp_path), flag, address, "--workers", workers)
        assert _ended(process) == 69
    assert process.lines == [f"cannot bind {address}: Address already in use"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "0"],
        ["--listen", "nowhere"],
        ["--drain-time", "soon"],
        ["--map", "reviews"],
        ["--bind", "80"],
        ["--labels", "app"],
        ["--access-log-format", "%NO_SUCH_THING%"],
        ["--frobnicate"],
        ["--log-level", "loud"],
    ],
)
def test_bad_usage_is_exit_code_64(arguments: list[str]) -> None:
    process = _run("-f", ".", *arguments)
    assert _ended(process) == 64
    assert process.lines[-1].startswith("meshproxy run: ")


def test_flags_have_environment_twins_which_flags_beat(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    env = {"MESHPROXY_WORKERS": "none", "MESHPROXY_CONFIG": str(tmp_path / "none")}
    process = _run("-f", str(tmp_path), env=env)
    assert _ended(process) == 64
    process = _run("--workers", "1", env=env)
    assert _ended(process) == 65
    assert process.lines == [f"{tmp_path}/none:1:1: No such file or directory"]


# ---- workers


def test_a_worker_that_dies_is_started_again_and_counted() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", "2") as proxy:
        found = _workers(proxy.pid)
        assert len(found) == 2
        os.kill(found[0], signal.SIGKILL)
        eventually(lambda: _metric(proxy, "meshproxy_worker_restarts_total") == 1, "a restart is counted")
        eventually(lambda: _metric(proxy, "meshproxy_workers") == 2, "two workers serve again")
        assert {fetch(proxy.address, _HOST).status for _ in range(20)} == {200}


def test_workers_that_do_not_stay_alive_end_the_run() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", "2") as proxy:
        while proxy.process.popen.poll() is None:
            for child in _workers(proxy.pid)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        assert proxy.process.wait() == 1
        assert proxy.process.lines[-1].endswith("does not stay alive: giving up")


def test_an_access_log_that_cannot_be_written_is_said_at_the_start(tmp_path: Path, workers: str) -> None:
    (tmp_path / "a.yaml").write_text("")
    log = tmp_path / "none" / "access.log"
    process = _run("-f", str(tmp_path), "--access-log", str(log), "--workers", workers)
    assert _ended(process) == 1
    assert process.lines == [f"{log}: No such file or directory"]


def test_counters_are_summed_over_workers_and_survive_them() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", "2") as proxy:
        for _ in range(20):
            fetch(proxy.address, _HOST)
        eventually(lambda: _metric(proxy, r"istio_requests_total\{[^}]*\}") == 20, "all requests are counted")
        os.kill(_workers(proxy.pid)[0], signal.SIGKILL)
        eventually(lambda: _metric(proxy, "meshproxy_worker_restarts_total") == 1, "a restart is counted")
        assert _metric(proxy, r"istio_requests_total\{[^}]*\}") == 20
        rows = _json(proxy, "/clusters?format=json")
        assert [row["address"] for row in rows] == [f"127.0.0.1:{upstream.port}"]


def test_workers_end_when_their_supervisor_is_killed() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", "2") as proxy:
        found = _workers(proxy.pid)
        os.kill(proxy.pid, signal.SIGKILL)
        eventually(lambda: not any(map(_alive, found)), "no worker is left")


# ---- drain


def test_a_drain_finishes_what_is_in_flight(workers: str, gate: _Gate) -> None:
    with (
        Upstream(always(gate)) as upstream,
        Proxy([service_entry(_HOST, upstream.port)], "--workers", workers) as proxy,
    ):
        with Raw(proxy.address) as client, Raw(proxy.address) as idle:
            client.send(head(_HOST))
            gate.arrived.acquire()
            proxy.process.signal(signal.SIGTERM)
            assert idle.closed()
            # the two may be with different workers: the last of them has heard of it when nobody accepts any more
            eventually(lambda: _refused(proxy), "new connections are refused")
            time.sleep(0.2)
            gate.open.set()
            reply = client.reply()
            assert (reply.status, reply.body, reply.get("connection")) == (200, b"late", "close")
            assert client.closed()
        assert proxy.process.wait() == 0


def test_no_connection_is_accepted_during_a_drain(gate: _Gate) -> None:
    with Upstream(always(gate)) as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy:
        with Raw(proxy.address) as client:
            client.send(head(_HOST))
            gate.arrived.acquire()
            proxy.process.signal(signal.SIGTERM)
            eventually(lambda: _refused(proxy), "new connections are refused")
            ready = _admin(proxy, "/ready")
            assert (ready.status, ready.body) == (503, b"DRAINING\n")
            gate.open.set()
            assert client.reply().status == 200
        assert proxy.process.wait() == 0


def _refused(proxy: Proxy) -> bool:
    try:
        socket.create_connection(proxy.address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_is_not_finished_within_the_drain_time_is_cut(workers: str, gate: _Gate) -> None:
    with (
        Upstream(always(gate)) as upstream,
        Proxy([service_entry(_HOST, upstream.port)], "--drain-time", "100ms", "--workers", workers) as proxy,
        Raw(proxy.address) as client,
    ):
        client.send(head(_HOST))
        gate.arrived.acquire()
        proxy.process.signal(signal.SIGTERM)
        with pytest.raises(Cut):
            client.reply()
        gate.open.set()
        assert proxy.process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(workers: str, gate: _Gate, number: int) -> None:
    arguments = ("--drain-time", "1h", "--workers", workers)
    with (
        Upstream(always(gate)) as upstream,
        Proxy([service_entry(_HOST, upstream.port)], *arguments) as proxy,
        Raw(proxy.address) as client,
    ):
        client.send(head(_HOST))
        gate.arrived.acquire()
        proxy.process.signal(number)
        eventually(lambda: _admin(proxy, "/ready").body == b"DRAINING\n", "it drains")
        proxy.process.signal(number)
        with pytest.raises(Cut):
            client.reply()
        gate.open.set()
        assert proxy.process.wait() == 0


# ---- access log


def test_the_access_log_is_reopened_after_rotation_and_written_at_the_end(workers: str) -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)], "--workers", workers) as proxy:
        rotated = proxy.log.path.with_suffix(".1")
        fetch(proxy.address, _HOST, "/before")
        proxy.log.of(_HOST, 1)
        proxy.log.path.rename(rotated)
        proxy.process.signal(signal.SIGUSR1)
        eventually(proxy.log.path.exists, "a new log file is there")
        # each worker opens it on its own
        eventually(lambda: not _holds(proxy, rotated), "nobody writes the old file")
        fetch(proxy.address, _HOST, "/after")
        proxy.process.signal(signal.SIGTERM)
        assert proxy.process.wait() == 0
        assert [entry["path"] for entry in proxy.log.entries()] == ["/after"]
        assert '"/before"' in rotated.read_text()


def _holds(proxy: Proxy, path: Path) -> bool:
    files = [file for pid in (proxy.pid, *_workers(proxy.pid)) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return any(file.is_symlink() and str(file.readlink()) == str(path) for file in files)


# ---- admin


def test_admin_answers_what_it_has_and_refuses_the_rest() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy:
        with Raw(proxy.admin) as client:  # one connection, kept
            for path in ("/ready", "/config_status", "/config_dump", "/clusters", "/listeners", "/help", "/"):
                assert client.get("admin", path).status == 200, path
            assert client.get("admin", "/nope").status == 404
            for path in ("/quitquitquit", "/drain_listeners"):
                assert client.get("admin", path).status == 405
            assert client.get("admin", "/ready", method="POST").get("allow") == "GET, HEAD"
            headed = client.get("admin", "/ready", method="HEAD")
            assert (headed.status, headed.body, headed.get("content-length")) == (200, b"", "5")
        listeners = _json(proxy, "/listeners?format=json")
        assert listeners == [{"name": "mesh", "address": f"127.0.0.1:{proxy.address[1]}"}]
        with Raw(proxy.admin) as client:
            client.send(b"nonsense\r\n\r\n")
            assert client.reply().status == 400
            assert client.closed()


def test_requests_are_counted_by_code_and_flag() -> None:
    with Upstream() as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy:
        fetch(proxy.address, _HOST)
        fetch(proxy.address, "unknown.test")
        requests = r'istio_requests_total\{[^}]*response_code="%s"[^}]*response_flags="%s"[^}]*\}'
        eventually(lambda: _metric(proxy, requests % (200, "-")) == 1, "the answered request is counted")
        eventually(lambda: _metric(proxy, requests % (404, "NR")) == 1, "so is the one without a route")
        assert _metric(proxy, "meshproxy_downstream_cx_total") == 2
        eventually(lambda: _metric(proxy, "meshproxy_downstream_cx_active") == 0, "no connection is open")
