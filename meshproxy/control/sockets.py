"""Listening sockets: opened, reserved, and the limits of how many a process may have."""

from __future__ import annotations

import os
import resource
import socket

from meshproxy.control.settings import Address, address_text

BACKLOG = 4096
"""The system caps it at net.core.somaxconn."""


class CannotBindError(OSError):
    """An address that we cannot listen on, in words for the user."""


def bind(address: Address, *, shared: bool = False) -> socket.socket:
    """A bound socket, not listening yet. `shared`: other processes of ours bind the same address (SO_REUSEPORT)."""
    try:
        family, _, _, _, resolved = socket.getaddrinfo(
            *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_bind(address, error) from error
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # inherited by accepted connections: a message's last segment does not wait for an acknowledgement
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(resolved)
    except OSError as error:
        bound.close()
        raise _cannot_bind(address, error) from error
    return bound


def reserve(address: Address) -> socket.socket:
    """Bound for our processes to share, while it is ours alone: SO_REUSEPORT would not say that somebody else who
    sets it too listens there already."""
    if address[1]:
        probe = bind(address)
        try:
            # binding succeeds beside a socket that does not listen; listening tells
            probe.listen(1)
        except OSError as error:
            raise _cannot_bind(address, error) from error
        finally:
            probe.close()
    return bind(address, shared=True)


def bound_address(bound: socket.socket) -> Address:
    host, port = bound.getsockname()[:2]
    return str(host), int(port)


def raise_open_files() -> int:
    """As many open files as the system lets us have; gives their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


def _cannot_bind(address: Address, error: OSError) -> CannotBindError:
    # a failed name look-up has numbers of its own
    why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return CannotBindError(f"cannot bind {address_text(address)}: {why}")
