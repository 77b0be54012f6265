"""Writes of one turn of the loop, made one after the other at its end: who reads them is woken once, not for each, and
does not take the processor away in between.
"""

from __future__ import annotations

import asyncio

_FULL = 64


class Outbox:
    """Whoever writes to a transport in another way calls `flush` before, if anything is `pending`: that comes first.
    Who has something while there is something `pending` may append to it."""

    __slots__ = ("_loop", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pending: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        pending = self.pending
        if not pending:
            self._loop.call_soon(self.flush)
        pending.append((transport, data))
        if len(pending) >= _FULL:
            self.flush()  # so that a transport that takes no more can say so

    def flush(self) -> None:
        """Writes everything, in order. A transport that is closing by now takes nothing."""
        pending, self.pending = self.pending, []
        for transport, data in pending:
            try:  # noqa: SIM105 (a suppress for each would cost more than the write's own check)
                transport.write(data)
            except RuntimeError:  # closed since
                pass
