"""How `meshproxy run` was asked to run, as one frozen value that is handed to every process of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults are those of cli.md. `given` holds what can be read only once, such as standard input, by its name
    in `config`. Builtins only: it is pickled."""

    config: tuple[str, ...] = ()
    given: Mapping[str, bytes] = field(default_factory=dict)
    listen: Address = ("127.0.0.1", 15001)
    admin: Address = ("127.0.0.1", 15000)
    workers: int = 1
    namespace: str = "default"
    labels: tuple[tuple[str, str], ...] = ()
    access_log: str = "off"
    access_log_format: str = "text"
    drain_time: float = 5.0
    log_level: str = "info"
    maps: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    privileged_ports: bool = False
    credentials: str = ""
    outbound_traffic_policy: str = "REGISTRY_ONLY"
    shadow_host_suffix: bool = False
    guard: str = ""  # warn or refuse; off where empty
    guard_threshold: float = 1.0
    guard_requests: int = 1000


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every address); raises ValueError."""
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets: [{host}]:{digits}")
    if not (colon and digits.isascii() and digits.isdigit() and int(digits) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host or "0.0.0.0", int(digits)


def address_text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
