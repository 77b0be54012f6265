"""IP addresses and authorities as text."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def is_ip(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_authority(authority: str, default: int = 0) -> tuple[str, int]:
    """Host, in lower case and without brackets, and port of `host:port`."""
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port or not (port.isascii() and port.isdigit()):
        host, port = authority, str(default)
    return host.lower().removeprefix("[").removesuffix("]"), int(port)
