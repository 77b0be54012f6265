"""A request that is only asked about: from a method, a URL and headers to what the codec makes of its bytes.

The bytes are those a client would send, read by the reader that serves, so that normalization and refusals are the
same. Knows nothing of command lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy.base.addresses import split_authority
from meshproxy.base.errors import ProxyError
from meshproxy.base.message import Request
from meshproxy.plan.explain import Decision, explain
from meshproxy.plan.explain_target import Reply
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.reply import reply_to
from meshproxy.wire.http1_server import RequestReader

MESH = "mesh"
CONNECT = "CONNECT"
_SCHEMES = ("", "http", "https", "tcp", "tls")
_URL = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(?:[^/?#@]*@)?([^/?#]*)([^#]*)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443, "tls": 443}
_BREAK = re.compile(r"[\r\n\0]")


class AskedError(ValueError):
    """What was asked cannot be a request at all, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request in words. `gateway` is `namespace/name` of the Gateway that receives it; "" is the mesh listener."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    gateway: str = ""

    @property
    def parts(self) -> tuple[str, str, str]:
        """Scheme, authority and target of the URL; a URL without a scheme is http, as curl has it."""
        scheme, authority, target = self.written
        return scheme or "http", authority, target

    @property
    def written(self) -> tuple[str, str, str]:
        """The same; "" for a scheme that is not there."""
        found = _URL.fullmatch(self.url.partition("#")[0])
        if found is None or not found[2] or _BREAK.search(self.url) or " " in self.url:
            raise AskedError(f"{self.url!r} is not a URL such as http://reviews:9080/reviews/0")
        target, scheme = found[3], (found[1] or "").lower()
        if scheme not in _SCHEMES:
            raise AskedError(f"{self.url!r}: {scheme} is not a protocol that is asked about")
        return scheme, found[2], target if target.startswith("/") else "/" + target

    @property
    def place(self) -> tuple[str, int]:
        """Host, in lower case and without brackets, and port; a port that nothing says is 0."""
        scheme, authority, _ = self.written
        default = _PORTS.get(scheme, 0) if scheme or self.method == CONNECT else _PORTS["http"]
        return split_authority(authority, default)

    def head(self) -> bytes:
        """The request's bytes on the wire, without a body."""
        _, authority, target = self.parts
        for name, value in self.headers:
            if not name or _BREAK.search(name + value):
                raise AskedError(f"{name!r}: {value!r} is no header")
        fields = [(name, value) for name, value in self.headers if name.lower() not in _FRAMING]
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("host", authority))
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape") + b"\r\n"

    def request(self) -> Request:
        """As the proxy would see it; raises the ProxyError it would be refused with."""
        reader = RequestReader()
        reader.feed(self.head())
        error, requests = reader.error, reader.requests
        reader.close()
        if error is not None:
            raise error
        if not requests:
            raise AskedError(f"{self.method!r} and {self.url!r} make no request")
        request = requests[0]
        request.scheme = self.parts[0].encode()
        return request


#: A request that is asked about has no body and ends no connection.
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection", "expect", "upgrade"))


def listener_for(snapshot: Snapshot, asked: Asked) -> Listener:
    """The listener that `asked` reaches: of a Gateway with several ports the one its URL names."""
    if not asked.gateway:
        return mesh_of(snapshot)
    found = [each for each in snapshot.listeners if asked.gateway in each.gateways and _speaks_http(each)]
    if not found:
        known = sorted({name for each in snapshot.listeners if _speaks_http(each) for name in each.gateways})
        there = f"there is {', '.join(known)}" if known else "there is none"
        raise AskedError(f"no Gateway {asked.gateway} with an HTTP server is served here; {there}")
    host, port = asked.place
    return _behind(at_port(found, port) or found[0], host)


def mesh_of(snapshot: Snapshot) -> Listener:
    return next(each for each in snapshot.listeners if each.name == MESH)


def at_port(listeners: Sequence[Listener], port: int) -> Listener | None:
    """The one whose port the configuration calls so, else the one that is bound to it."""
    named = (each for each in listeners if each.server_port == port)
    return next(named, None) or next((each for each in listeners if each.port == port), None)


def _speaks_http(listener: Listener) -> bool:
    return listener.streams is None or any(chain.http for chain in listener.streams.chains)


def _behind(listener: Listener, host: str) -> Listener:
    """Of a listener of several TLS servers, the one that a client who asks for `host` by SNI gets."""
    behind = {each.name: each for each in listener.behind}
    chain = listener.streams.find(host, is_tls=True) if listener.streams is not None else None
    return behind.get(chain.http, listener) if chain is not None else next(iter(behind.values()), listener)


def answer_to(snapshot: Snapshot, asked: Asked) -> Decision:
    """What becomes of it. What the codec refuses is answered before any rule is asked."""
    scheme = asked.parts[0]
    if scheme not in ("http", "https"):
        raise AskedError(f"{scheme}:// is no request: only explain speaks of connections")
    return answer_on(snapshot, listener_for(snapshot, asked), asked)


def answer_on(snapshot: Snapshot, listener: Listener, asked: Asked) -> Decision:
    """The same, on `listener`."""
    try:
        request = asked.request()
    except ProxyError as error:
        reply = reply_to(error)
        _, authority, target = asked.parts
        request = Request(asked.method.encode(), target.encode(), None, authority.encode(), [])
        return Decision(request=request, listener=listener, reply=Reply(reply.status, reply.flag, error.cause))
    return explain(snapshot, listener.name, request)
