"""What an exchange knows of the connection it answers on, and that connection of it. The one implementation of `Client`
is `downstream.Downstream`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from meshproxy.base.errors import ProxyError
from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.base.plain import PlainRequest


class InHand(Protocol):
    """A request that is being answered."""

    @property
    def request(self) -> Request: ...

    def on_client_lost(self) -> None: ...

    def on_client_blocked(self, blocked: bool) -> None: ...

    def on_request_data(self) -> None:
        """More of its body is there, or its end."""

    def on_request_broken(self, error: ProxyError) -> None: ...

    def on_idle(self) -> None:
        """Nothing has moved for too long."""


class Client(Protocol):
    """Addresses are `ip:port`."""

    transport: asyncio.Transport
    server_name: str  # asked for by SNI; empty without TLS
    blocked: bool  # its write buffer is over the high-water mark
    closing: bool  # it takes no further request, and perhaps not even an answer
    server: tuple[bytes, bytes]  # the field by which this listener names itself, and its line
    server_line: bytes
    tail: bytes  # what is added to the head of every plain request, once `begin_tail` has made it
    added: Mapping[bytes, bytes]  # the same as fields
    draws_id: bool  # whatever it calls its request, it gets an id of ours
    forwarded: Callable[..., Fields]  # (request, client) → the fields this listener sends on

    addresses: tuple[str, str] | None  # its own end and ours, once `find_addresses` was asked

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

    def begin_tail(self, request: PlainRequest) -> bytes: ...

    def find_addresses(self) -> tuple[str, str]: ...

    def replace(self, exchange: InHand) -> None:
        """This one answers from now on."""

    def exchange_done(self, *, keep: bool) -> None: ...

    def plain_done(self) -> None: ...
