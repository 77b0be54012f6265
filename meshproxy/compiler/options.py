"""What a configuration is compiled for: who we are, and what the command line says beside the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Address = tuple[str, int]
"""An IP address and a port, or `unix:///path` and 0."""

Mapped = tuple[str, str, tuple[Address, ...]]
"""Host as written, subset or "", endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What control has read for the compiler: the files of each credential of `--credentials` by its name, and the
    files that the configuration names by their path."""

    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """`labels` and `namespace` are this workload's; `binds` says where a gateway's port is opened; `maps` gives hosts
    (or their subsets) endpoints in place of any other; `outbound_traffic_policy` holds where no Sidecar says otherwise.
    Without `credentials` nothing is said of certificates that are not there. Their dates are judged by `now`, in Unix
    seconds; 0: they are not. `shadow_host_suffix`: mirrors get the Host with `-shadow`, as in Istio before 1.28."""

    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    mesh_host: str = "127.0.0.1"
    mesh_port: int = 15001
    binds: Mapping[int, Address] = field(default_factory=dict)
    privileged_ports: bool = False
    maps: tuple[Mapped, ...] = ()
    digest: str = ""
    outbound_traffic_policy: str = "REGISTRY_ONLY"
    credentials: Credentials | None = None
    now: float = 0.0
    shadow_host_suffix: bool = False


def parse_address(text: str) -> Address:
    """`127.0.0.1:9082`, `[::1]:9082`, `unix:///run/app.sock`; a ValueError says what is wrong."""
    if text.startswith("unix://"):
        return text, 0
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text!r} is not ADDR:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def parse_map(text: str) -> Mapped:
    """`HOST[:SUBSET]=ADDR:PORT[,ADDR:PORT]`, as `--map` has it."""
    name, equals, addresses = text.partition("=")
    host, _, subset = name.partition(":")
    if not (equals and host and addresses):
        raise ValueError(f"{text!r} is not HOST[:SUBSET]=ADDR:PORT[,ADDR:PORT]")
    return host, subset, tuple(parse_address(part.strip()) for part in addresses.split(","))


def parse_bind(text: str) -> tuple[int, Address]:
    """`GATEWAYPORT=HOST:PORT`, as `--bind` has it."""
    port, equals, address = text.partition("=")
    if not (equals and port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is not GATEWAYPORT=HOST:PORT")
    return int(port), parse_address(address)
