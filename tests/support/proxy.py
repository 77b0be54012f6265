"""meshproxy as a process: started by its command line, found by its `ready:` line, always stopped by its pid."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support.raw import Address
from support.wait import eventually

Config = str | Mapping[str, str] | Sequence[Mapping[str, Any]]
_BOUND = re.compile(r"\b(listen|admin|gateway) (\[[\da-f:]+\]|[\d.]+):(\d+)")
_START_PATIENCE = 30.0


class Process:
    """A child process whose stderr is read line by line."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def stderr(self) -> str:
        return "\n".join(self.lines)

    def line(self, start: str, patience: float = _START_PATIENCE) -> str:
        """The first line that begins with `start`."""

        def found() -> str | None:
            line = next((line for line in list(self.lines) if line.startswith(start)), None)
            if line is None and self.popen.poll() is not None:
                self._reader.join(1)
                raise AssertionError(f"exited with {self.popen.returncode}:\n{self.stderr}")
            return line

        return eventually(found, f"a line {start!r} in:\n{self.stderr}", patience) or ""

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, patience: float = 30.0) -> int:
        return self.popen.wait(patience)

    def stop(self) -> int:
        """SIGTERM, then SIGKILL to the whole group when it does not end."""
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            code = self.popen.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            code = self.popen.wait(5)
        self._reader.join(2)
        if self.popen.stderr is not None:
            self.popen.stderr.close()
        return code

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line.rstrip("\n"))


class AccessLog:
    """A JSON access log, one object a line, with the keys of Istio's JSON default."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(errors="replace").split("\n")
        return [json.loads(line) for line in lines[:-1] if line]

    def of(self, host: str, count: int = 1) -> list[dict[str, Any]]:
        """The entries of requests to `host`, once there are `count` of them."""

        def found() -> list[dict[str, Any]]:
            mine = [entry for entry in self.entries() if entry.get("authority") == host]
            return mine if len(mine) >= count else []

        return eventually(found, f"{count} access log entries of {host}")

    def flags(self, host: str) -> str:
        """The response flags of the last request to `host`, `-` where there are none."""
        return flags_of(self.of(host)[-1])


def flags_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("response_flags") or "-")


class Proxy:
    """`meshproxy run` on `config`: YAML text, file name → YAML text, or a sequence of documents."""

    def __init__(
        self,
        config: Config,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "meshproxy"),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="meshproxy-test-"))
        self.config = self.directory / "config"
        self.config.mkdir()
        self.write(config)
        self.log = AccessLog(self.directory / "access.log")
        command = [sys.executable, *program, "run", "-f", str(self.config)]
        if "--listen" not in arguments:
            command += ["--listen", "127.0.0.1:0"]
        command += ["--admin", "127.0.0.1:0", "--access-log", str(self.log.path), "--access-log-format", "json"]
        self.process = Process([*command, *arguments], env)
        try:
            self.ready_line = self.process.line("ready:")
            (self.address,) = self._bound("listen")
            (self.admin,) = self._bound("admin")
            self.gateways = self._bound("gateway")
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def write(self, config: Config) -> None:
        """Each file appears whole, by rename."""
        for name, text in as_files(config).items():
            fresh = self.directory / f"{name}.new"
            fresh.write_text(text)
            fresh.rename(self.config / name)

    def reload(self, config: Config, *, done: Callable[[], bool] | None = None) -> None:
        """Replaces the configuration, asks for a reload, and waits until it `done` is seen."""
        self.write(config)
        self.process.signal(signal.SIGHUP)
        if done is not None:
            eventually(done, "the new configuration serves")

    def stop(self) -> int:
        code = self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def _bound(self, role: str) -> list[Address]:
        """From the ready line: `listen`, `admin` and every `gateway`, each before its address."""
        return [(m[2].strip("[]"), int(m[3])) for m in _BOUND.finditer(self.ready_line) if m[1] == role]


def as_files(config: Config) -> dict[str, str]:
    if isinstance(config, str):
        return {"config.yaml": config}
    if isinstance(config, Mapping):
        return dict(config)
    return {"config.yaml": yaml.safe_dump_all(list(config), sort_keys=False)}


def service_entry(host: str, *ports: int, number: int = 80, labels: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """A static service whose endpoints listen on `ports` of loopback."""
    endpoints = [
        {"address": "127.0.0.1", "ports": {"http": port}, **({"labels": dict(labels[i])} if i < len(labels) else {})}
        for i, port in enumerate(ports)
    ]
    spec = {
        "hosts": [host],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": number, "name": "http", "protocol": "HTTP"}],
        "endpoints": endpoints,
    }
    return document("ServiceEntry", host.replace(".", "-").replace("*", "any"), spec)


def document(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def virtual_service(host: str, *rules: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"hosts": [host], "http": list(rules), **more}
    return document("VirtualService", "vs-" + host.replace(".", "-").replace("*", "any"), spec)


def quietly_killed(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
