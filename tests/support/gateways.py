"""Gateways for tests: their YAML, the proxy that serves them, and its log of connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.proxy import Config, Proxy, document
from support.wait import eventually

Document = Mapping[str, Any]


def server(port: int, protocol: str, hosts: Sequence[str], **more: Any) -> dict[str, Any]:
    name = f"{protocol.lower()}-{port}-{hosts[0].replace('*', 'any').replace('.', '-').replace('/', '-')}"
    return {"port": {"number": port, "name": name, "protocol": protocol}, "hosts": list(hosts), **more}


def gateway(*servers: Mapping[str, Any], name: str = "edge", annotations: Mapping[str, str] | None = None) -> Document:
    made = document("Gateway", name, {"servers": list(servers)})
    if annotations:
        made["metadata"]["annotations"] = dict(annotations)
    return made


def on_gateway(name: str, hosts: Sequence[str], **rules: Any) -> Document:
    """A VirtualService of the Gateway `edge`."""
    return document("VirtualService", name, {"hosts": list(hosts), "gateways": ["edge"], **rules})


def to(host: str, **more: Any) -> dict[str, Any]:
    return {"destination": {"host": host, **more}}


def tcp_service(host: str, *endpoints: tuple[int, str], number: int = 9000, protocol: str = "TCP") -> Document:
    """A static service of (port, version) on loopback, its port named `stream`."""
    return document(
        "ServiceEntry",
        host.replace(".", "-").replace("*", "any"),
        {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": number, "name": "stream", "protocol": protocol}],
            "endpoints": [
                {"address": "127.0.0.1", "ports": {"stream": port}, "labels": {"version": version}}
                for port, version in endpoints
            ],
        },
    )


class Edge(Proxy):
    """A proxy whose gateway `ports` are opened on free ports of loopback: `at[443]` is where."""

    def __init__(
        self,
        config: Config,
        *arguments: str,
        ports: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        binds = [argument for port in ports for argument in ("--bind", f"{port}=127.0.0.1:0")]
        super().__init__(config, *binds, *arguments, env=env)
        self.at = dict(zip(ports, self.gateways, strict=False))

    def logged(self, matches: Callable[[Mapping[str, Any]], bool], what: str = "it") -> dict[str, Any]:
        """The first log entry that matches, once it is there."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.log.entries() if matches(entry)), None)

        entry = eventually(found, f"a log entry of {what} in {self.log.entries()}")
        assert entry is not None
        return entry
