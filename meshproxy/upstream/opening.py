"""What comes before the first request on a new connection: socket options, PROXY header, TLS.

The one place where an error of these becomes ours. Every failure here is safe to try again: nothing was asked yet.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from meshproxy.base.errors import Kind, ProxyError, Retry, Side
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.limits import Keepalive
from meshproxy.plan.upstream_tls import UpstreamTls
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.tls import Contexts
from meshproxy.wire.tls_client import mismatch, reason

P = TypeVar("P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a connection can be used for besides reaching its endpoint: requests share it only if they agree in both."""

    server_name: str = ""  # the SNI, "" for none
    header: bytes = b""  # the PROXY header


ANY = Purpose()


@dataclass(frozen=True, slots=True)
class Ends:
    """Of a connection, as `ip:port`."""

    local_address: str
    remote_address: str


class Client(Protocol):
    """Whose request it is: the addresses (`ip:port`) of both ends of its connection."""

    @property
    def local_address(self) -> str: ...

    @property
    def remote_address(self) -> str: ...


async def open_connection(
    plan: Cluster, endpoint: LiveEndpoint, purpose: Purpose, contexts: Contexts, factory: Callable[[], P]
) -> P:
    """Raises ProxyError CONNECT_FAILURE or CONNECT_TIMEOUT."""
    try:
        async with asyncio.timeout(plan.connect_timeout):
            return await _open(plan, endpoint, purpose, contexts, factory)
    except TimeoutError:
        raise failure(Kind.CONNECT_TIMEOUT, "connection timeout") from None
    except ssl.SSLError as error:
        raise failure(Kind.CONNECT_FAILURE, f"TLS_error: {reason(error)}") from None
    except OSError as error:
        raise failure(Kind.CONNECT_FAILURE, cause_of(error)) from None
    except (UnicodeError, OverflowError):  # of a name or port that a client asks for
        raise failure(Kind.CONNECT_FAILURE, "no such address") from None


async def _open(
    plan: Cluster, endpoint: LiveEndpoint, purpose: Purpose, contexts: Contexts, factory: Callable[[], P]
) -> P:
    loop = asyncio.get_running_loop()
    name = None if plan.tls is None else _server_name(purpose)
    # a first context reads the system's roots: not while requests wait
    context = await loop.run_in_executor(None, contexts.of, plan.tls) if plan.tls is not None else None
    sock = await _connected(endpoint, plan.connections.keepalive if plan.connections is not None else None)
    try:
        if purpose.header:
            await loop.sock_sendall(sock, purpose.header)
        transport, protocol = await loop.create_connection(factory, sock=sock, ssl=context, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    if plan.tls is not None:
        _check_names(plan.tls, purpose, transport)
    return protocol


async def _connected(endpoint: LiveEndpoint, keepalive: Keepalive | None) -> socket.socket:
    loop = asyncio.get_running_loop()
    address: Any
    if endpoint.address.startswith("unix://"):
        address, family = endpoint.address.removeprefix("unix://"), socket.AF_UNIX
        address = "\0" + address[1:] if address.startswith("@") else address
    else:
        # of an address this is no look-up; of a name the first answer is taken
        found = await loop.getaddrinfo(endpoint.address, endpoint.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive is not None:
                _keep_alive(sock, keepalive)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket, wanted: Keepalive) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (("TCP_KEEPCNT", wanted.probes), ("TCP_KEEPIDLE", wanted.time), ("TCP_KEEPINTVL", wanted.interval))
    for name, value in options:
        if value is not None and hasattr(socket, name):  # macOS calls one of them otherwise
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _server_name(purpose: Purpose) -> str:
    """The SNI, which may be whatever a client has put into its Host."""
    try:
        purpose.server_name.encode("idna")
    except UnicodeError:
        cause = f"TLS_error: {purpose.server_name[:80]} is no server name"
        raise failure(Kind.CONNECT_FAILURE, cause) from None
    return purpose.server_name


def _check_names(tls: UpstreamTls, purpose: Purpose, transport: asyncio.BaseTransport) -> None:
    names = tls.names or ((purpose.server_name,) if tls.verify_host else ())
    wrong = mismatch(transport.get_extra_info("ssl_object"), names) if names else ""
    if wrong:
        transport.close()
        raise failure(Kind.CONNECT_FAILURE, f"TLS_error: {wrong}")


def failure(kind: Kind, cause: str) -> ProxyError:
    return ProxyError(kind, Side.UPSTREAM, cause, Retry.SAFE)


def cause_of(error: OSError) -> str:
    """Envoy's words where it has some."""
    words = error.strerror or str(error)
    if words.startswith("[") and "] " in words:
        words = words.split("] ", 1)[1]
    elif words.startswith("Connect call failed") and error.errno:
        words = os.strerror(error.errno)  # asyncio puts the address in its place
    return f"delayed connect error: {error.errno}|{words}" if error.errno else words
