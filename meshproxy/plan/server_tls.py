"""The TLS a server terminates: its certificates, what it asks of clients, what it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from meshproxy.base.origin import Origin


class ClientCertificates(Enum):
    """What is asked of clients; one that is presented is always verified."""

    NONE = "NONE"
    OPTIONAL = "OPTIONAL"
    REQUIRED = "REQUIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate with its chain and its key, both PEM. `name` is where they come from; the key is never shown."""

    name: str
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    not_after: int = 0  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Versions are OpenSSL's names (`TLSv1.2`). `ca` and `crl` are PEM. Of the last three each that is not empty must
    hold of a client's certificate: one of its alternative names; the SHA-256 of its key info, or of itself.
    """

    pairs: tuple[KeyPair, ...]
    clients: ClientCertificates = ClientCertificates.NONE
    ca: bytes = field(default=b"", repr=False)
    crl: bytes = field(default=b"", repr=False)
    minimum: str = "TLSv1.2"
    maximum: str = "TLSv1.3"
    cipher_suites: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    subject_alt_names: frozenset[str] = frozenset()
    key_hashes: frozenset[bytes] = frozenset()
    certificate_hashes: frozenset[bytes] = frozenset()
    origin: Origin | None = field(default=None, compare=False)
