"""What a connection knows of the data plane it belongs to, and what the data plane knows of a connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a client before it speaks HTTP: the server name it asked for, and, where somebody in front of us
    has told, the addresses (`ip:port`) it connected to and from. `secure`: it came by TLS."""

    server_name: str = ""
    addresses: tuple[str, str] | None = None
    secure: bool = False


class Connection(Protocol):
    """A client's connection, whatever it carries."""

    @property
    def transport(self) -> asyncio.Transport: ...

    def start_drain(self) -> None: ...

    def sweep(self, now: float) -> None: ...


class Owner(Protocol):
    """The worker's data plane. `now` is the coarse clock of its sweep."""

    now: float

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def handed_over(self, connection: Connection) -> None: ...
