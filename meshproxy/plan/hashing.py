"""Consistent hashing: what of a request is hashed, and which kind of table the hash is looked up in.

The hash is xxHash64; where a route has several policies they are combined as Envoy does (`common/http/hash_policy.cc`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from xxhash import xxh64_hexdigest, xxh64_intdigest

from meshproxy.base.message import Request

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RingHash:
    """At least `minimum` points on the ring (Envoy, `ring_hash_lb.cc`)."""

    name: ClassVar = "RING_HASH"
    minimum: int = 1024


@dataclass(frozen=True, slots=True)
class Maglev:
    """A table of `size` entries, a prime (Envoy, `maglev_lb.cc`)."""

    name: ClassVar = "MAGLEV"
    size: int = 65537


HashTable = RingHash | Maglev


@dataclass(frozen=True, slots=True)
class Client:
    """What of the client's connection can be hashed; addresses are `ip:port`."""

    ip: bytes
    remote_address: str
    local_address: str


@dataclass(frozen=True, slots=True)
class HeaderHash:
    """All values of a header, sorted."""

    name: bytes  # in lower case

    def of(self, request: Request, client: Client) -> int | None:
        values = request.values(self.name)
        if not values:
            return None
        digest = 0
        for value in sorted(values):
            digest = xxh64_intdigest(value, digest)
        return digest


@dataclass(frozen=True, slots=True)
class SourceIpHash:
    def of(self, request: Request, client: Client) -> int | None:
        return source_hash(client.ip)


@dataclass(frozen=True, slots=True)
class QueryHash:
    """The first value of a query parameter, as written."""

    name: bytes

    def of(self, request: Request, client: Client) -> int | None:
        for part in (request.query or b"").split(b"&"):
            name, _, value = part.partition(b"=")
            if name == self.name:
                return xxh64_intdigest(value)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieHash:
    """A cookie's value. With a `ttl` (seconds, 0 for the session) a client without one is given one."""

    name: bytes
    ttl: int | None = None
    path: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()

    def of(self, request: Request, client: Client) -> int | None:
        value = cookie_value(request, self.name)
        if not value:
            if self.ttl is None:
                return None
            value = self._generated(client)
        return xxh64_intdigest(value)

    def set_cookie(self, request: Request, client: Client) -> bytes | None:
        """The Set-Cookie of the answer, for a client that is given one."""
        if self.ttl is None or cookie_value(request, self.name):
            return None
        parts = [b'%b="%b"' % (self.name, self._generated(client))]
        if self.ttl:
            parts.append(b"Max-Age=%d" % self.ttl)
        if self.path:
            parts.append(b"Path=%b" % self.path)
        parts += (b"%b=%b" % (name, value) if value else name for name, value in self.attributes)
        return b"; ".join([*parts, b"HttpOnly"])

    def _generated(self, client: Client) -> bytes:
        """The same for all requests of one connection."""
        return xxh64_hexdigest(f"{client.remote_address}{client.local_address}".encode()).encode()


HashPolicy = HeaderHash | SourceIpHash | QueryHash | CookieHash


def hash_of(policies: Iterable[HashPolicy], request: Request, client: Client) -> int | None:
    """None where no policy finds anything: the endpoint is then a matter of chance."""
    combined: int | None = None
    for policy in policies:
        found = policy.of(request, client)
        if found is not None:
            # turned by one bit, so that the same policy twice does not cancel itself out
            before = combined or 0
            combined = (before << 1 & _MASK | before >> 63) ^ found
    return combined


def source_hash(ip: bytes) -> int:
    return xxh64_intdigest(ip)


def cookie_value(request: Request, name: bytes) -> bytes:
    """Of the first cookie of that name, without quotes; empty where there is none."""
    for line in request.values(b"cookie"):
        for pair in line.split(b";"):
            key, equals, value = pair.strip().partition(b"=")
            if equals and key == name:
                return value[1:-1] if len(value) >= 2 and value[:1] == value[-1:] == b'"' else value
    return b""
