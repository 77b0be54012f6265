"""What is done on a connection to an endpoint before the first request: PROXY header, tunnel, TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key out of a Secret. The content is never shown."""

    name: str
    content: bytes = field(repr=False)


Material = str | Pem
"""A file by its path, read when it is needed and again when it has changed; or what a Secret holds. "": none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """`sni` empty: the Host of the request. `names`: the peer's certificate must have one of them; `verify_host`: it
    must have the SNI's. Without `ca` the system's roots are trusted; without `verify` nothing is checked."""

    mode: str  # Istio's name
    certificate: Material = ""
    key: Material = ""
    ca: Material = ""
    crl: Material = ""
    sni: str = ""
    names: tuple[str, ...] = ()
    verify: bool = True
    verify_host: bool = False
    alpn: tuple[str, ...] = ("http/1.1",)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Byte streams (not HTTP) reach `target` through the endpoint, which is a forward proxy."""

    protocol: str  # CONNECT or POST
    target: str  # host:port


class ProxyProtocol(Enum):
    """The header that tells the upstream who the client is; values are Istio's names."""

    V1 = "V1"
    V2 = "V2"
