"""What happens to path and authority of a matched request before it is sent on, and where a redirect leads."""

from __future__ import annotations

from dataclasses import dataclass

from meshproxy.base.message import FORWARDED_PROTO, Request
from meshproxy.plan.regex import Regex


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """`prefix` is replaced by `path` literally, nothing is normalized; without `prefix` the whole path is.

    `regex` with `substitution` is used instead where given. `authority` replaces the Host.
    """

    prefix: bytes | None = None
    path: bytes | None = None
    regex: Regex | None = None
    substitution: bytes = b""
    authority: bytes | None = None

    def apply(self, path: bytes) -> bytes:
        """The new path, without query."""
        if self.regex is not None:
            return self.regex.substitute(path, self.substitution)
        if self.path is None:
            return path
        if self.prefix is None:
            return self.path
        return self.path + path[len(self.prefix) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """An answer with a Location. `port` is the explicit port to name (it takes the place of the request's own), None
    for none; `path` replaces the whole path, `prefix_rewrite` the matched `prefix`. `keep_host` keeps the request's
    Host as it is, port included, even where the scheme changes."""

    status: int = 301
    scheme: bytes | None = None
    authority: bytes | None = None
    port: int | None = None
    path: bytes | None = None
    prefix: bytes | None = None
    prefix_rewrite: bytes | None = None
    keep_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    """An answer of our own."""

    status: int
    body: bytes = b""


_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def location(redirect: Redirect, request: Request) -> bytes:
    """Where a redirect leads (Envoy, `RouteEntryImplBase::newUri`)."""
    scheme = redirect.scheme or request.scheme
    host = redirect.authority or request.host
    said = b",".join(request.values(FORWARDED_PROTO))  # whatever it is: Envoy compares with that
    stale_port = redirect.port is not None or (scheme != said and host.endswith(_DEFAULT_PORTS.get(said, ())))
    if stale_port and not redirect.authority and not redirect.keep_host:
        host = _without_port(host)
    port = b":%d" % redirect.port if redirect.port else b""
    query = b"" if request.query is None else b"?" + request.query
    if redirect.path is not None:
        path = redirect.path
        if b"?" in path:
            query = b""
    elif redirect.prefix_rewrite is not None:
        path = redirect.prefix_rewrite + request.path[len(redirect.prefix or b"") :]
    else:
        path = request.path
    return b"%b://%b%b%b%b" % (scheme, host, port, path, query)


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host
