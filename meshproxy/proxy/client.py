"""What an exchange knows of the connection it answers on. The one implementation is `downstream.Downstream`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from meshproxy.base.headers import Fields


class Client(Protocol):
    """Addresses are `ip:port`."""

    transport: asyncio.Transport
    server_name: str  # asked for by SNI; empty without TLS
    blocked: bool  # its write buffer is over the high-water mark
    server: tuple[bytes, bytes]  # the field by which this listener names itself
    forwarded: Callable[..., Fields]  # (request, client) → the fields this listener sends on

    @property
    def local_address(self) -> str: ...

    @property
    def remote_address(self) -> str: ...

    @property
    def remote_ip(self) -> bytes: ...

    def touch(self) -> None:
        """Something moves: the idle time-out begins anew."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def take_held(self) -> list[bytes]: ...

    def exchange_done(self, *, keep: bool) -> None: ...
