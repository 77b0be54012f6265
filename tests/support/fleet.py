"""One proxy for many tests: it knows many services, each test takes one that nobody used before.

So a test has an upstream of its own, with fresh pools, and the suite starts one process. With
`MESHPROXY_TEST_SUBJECT=envoy` the same tests run against a real Envoy: that is how the tests are checked.
"""

from __future__ import annotations

import os
from typing import Protocol

import pytest

from support.envoy import Envoy, cluster, forward, virtual_host
from support.proxy import AccessLog, Proxy, service_entry
from support.raw import Address, Raw
from support.upstream import Upstream, reserve

SUBJECT = os.environ.get("MESHPROXY_TEST_SUBJECT", "meshproxy")
_SERVICES = 640
#: For tests of what meshproxy does otherwise than Envoy, on purpose.
unlike_envoy = pytest.mark.skipif(SUBJECT == "envoy", reason="meshproxy is meant to differ from Envoy here")


class Subject(Protocol):
    """What is tested: meshproxy, or Envoy in its place."""

    address: Address
    log: AccessLog

    @property
    def pid(self) -> int: ...

    def stop(self) -> int: ...


class Service(Upstream):
    """An upstream behind the proxy, known to it as `host`."""

    def __init__(self, host: str, fleet: Fleet, sock: object) -> None:
        super().__init__(sock=sock)  # type: ignore[arg-type]
        self.host = host
        self.fleet = fleet

    @property
    def flags(self) -> str:
        return self.fleet.subject.log.flags(self.host)

    def connect(self, **options: object) -> Raw:
        return Raw(self.fleet.subject.address, **options)  # type: ignore[arg-type]


class Fleet:
    """Services `u0.test`, `u1.test`, …: their ports are bound, none listens before a test wants it."""

    def __init__(self) -> None:
        sockets = [reserve() for _ in range(_SERVICES)]
        ports = {f"u{i}.test": sock.getsockname()[1] for i, sock in enumerate(sockets)}
        self._free = [Service(host, self, sock) for host, sock in zip(ports, sockets, strict=True)]
        self.subject: Subject = _envoy(ports) if SUBJECT == "envoy" else _meshproxy(ports)

    def take(self) -> Service:
        return self._free.pop(0)

    def connect(self, **options: object) -> Raw:
        return Raw(self.subject.address, **options)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.subject.stop()
        for service in self._free:
            service.stop()


def _meshproxy(ports: dict[str, int]) -> Proxy:
    return Proxy([service_entry(host, port) for host, port in ports.items()])


def _envoy(ports: dict[str, int]) -> Envoy:
    hosts = [virtual_host(host, [host], [{"match": {"prefix": "/"}, "route": forward(host)}]) for host in ports]
    return Envoy(hosts, [cluster(host, port) for host, port in ports.items()])
