"""One serving process's share: its listening sockets, and the data plane behind them.

Opens what a new snapshot adds, closes what it drops, leaves everything else alone. Decides nothing about requests.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from meshproxy.base import clock
from meshproxy.control.built import Bound, Built
from meshproxy.control.live import LiveRow, rows
from meshproxy.control.pause import read_snapshot, settle
from meshproxy.control.sockets import BACKLOG, bind, bound_address
from meshproxy.plan import dns
from meshproxy.plan.snapshot import Snapshot

if TYPE_CHECKING:
    from meshproxy.control.guard import Ring, Verdict
    from meshproxy.control.sources.dns import Names
    from meshproxy.proxy.context import Explain
    from meshproxy.telemetry.access_log import AccessLog
    from meshproxy.upstream.clusters import Clusters

_LOOK = 0.01
_FLUSH = 0.25
_PATIENCE = 1.0
"""So long a configuration with new names waits for their addresses."""


class DataPlane(Protocol):
    """What serves connections; meshproxy.proxy.proxy.Proxy is it."""

    def stage(self, snapshot: Snapshot) -> Iterator[None]: ...

    def apply(self, snapshot: Snapshot) -> None: ...
    def protocol_factory(self, listener_name: str) -> Callable[[], asyncio.BaseProtocol]: ...
    def start_drain(self) -> None: ...
    def explain(self, explain: Explain | None) -> None: ...
    @property
    def active(self) -> int: ...
    def abort(self) -> None: ...
    @property
    def clusters(self) -> Clusters: ...


class Worker:
    """`shared`: other workers listen on the same addresses. `ring`: the requests that guard a reload. `names` makes
    what looks up names, of what it calls when their addresses change."""

    def __init__(
        self,
        plane: DataPlane,
        log: AccessLog | None = None,
        *,
        shared: bool = False,
        ring: Ring | None = None,
        names: Callable[[Callable[[], None]], Names] | None = None,
    ) -> None:
        self._plane = plane
        self._log = log
        self._shared = shared
        self._ring = ring
        self._names = names(self._readdress) if names is not None else None
        self._snapshot: Snapshot | None = None
        self._open: dict[Bound, tuple[asyncio.Server, Bound]] = {}
        self._flush: asyncio.TimerHandle | None = None

    async def apply(self, built: Built) -> Sequence[Bound]:
        """Serves `built` from now on, or raises CannotBindError and serves on as before."""
        assert built.snapshot is not None
        sockets = self._bind([wanted for wanted in built.listeners if wanted not in self._open])
        before = self._snapshot
        try:
            self._snapshot = await read_snapshot(built.snapshot)
            snapshot = await self._addressed(self._snapshot)
            for _ in self._plane.stage(snapshot):
                await asyncio.sleep(0)
            self._plane.apply(snapshot)
            await self._listen(sockets)
            # freeing a large one takes as long as applying one: requests have their turn in between
            await asyncio.sleep(0)
            del before
        finally:
            settle()
        for dropped in [known for known in self._open if known not in built.listeners]:
            self._open.pop(dropped)[0].close()
        return tuple(self._open[wanted][1] for wanted in built.listeners)

    async def _addressed(self, snapshot: Snapshot) -> Snapshot:
        """With the addresses of its names, as far as they are known soon."""
        if self._names is None:
            return snapshot
        self._names.want(dns.names(snapshot))
        await self._names.first(_PATIENCE)
        return dns.with_addresses(snapshot, self._names.answers)

    def _readdress(self) -> None:
        """A name has other addresses."""
        if self._snapshot is not None and self._names is not None:
            self._plane.apply(dns.with_addresses(self._snapshot, self._names.answers))

    async def replay(self, built: Built) -> Verdict | None:
        """What `built` would do to the last requests; None without a guard."""
        before = self._snapshot
        if self._ring is None or before is None or built.snapshot is None:
            return None
        try:
            after = await read_snapshot(built.snapshot)
            return await asyncio.get_running_loop().run_in_executor(None, self._ring.replay, before, after)
        finally:
            settle()

    async def explain_header(self, enabled: bool) -> None:
        """Whether who asks from this machine is told in a header why."""
        from meshproxy.control.explain_header import explained  # needed only where somebody wants it

        self._plane.explain(explained if enabled else None)

    async def drain(self, seconds: float) -> None:
        """No new connections; those there are may finish, for so long."""
        # connections that wait in the backlog are ours already: take them in
        await asyncio.sleep(_LOOK)
        self.close()
        # the last one accepted is told to the data plane in the loop's next turn
        await asyncio.sleep(0)
        self._plane.start_drain()
        deadline = clock.monotonic() + seconds
        while self._plane.active and clock.monotonic() < deadline:  # noqa: ASYNC110 - no event per connection for this
            await asyncio.sleep(_LOOK)
        self.abort()

    def abort(self) -> None:
        """Ends at once what is still open, and writes what is still to be logged."""
        self.close()
        self._plane.abort()
        if self._names is not None:
            self._names.stop()
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._flush is not None:
            self._flush.cancel()

    def start(self) -> None:
        """From now on the access log is written now and then."""
        self._flush = asyncio.get_running_loop().call_later(_FLUSH, self.start)
        if self._log is not None:
            self._log.flush()

    def reopen_log(self) -> None:
        if self._log is not None:
            self._log.reopen()

    async def endpoints(self) -> tuple[LiveRow, ...]:
        """How the endpoints of all clusters are doing, as seen from here."""
        return rows(self._plane.clusters)

    def close(self) -> None:
        for server, _ in self._open.values():
            server.close()
        self._open.clear()

    def _bind(self, wanted: Sequence[Bound]) -> dict[Bound, socket.socket]:
        sockets: dict[Bound, socket.socket] = {}
        try:
            for each in wanted:
                sockets[each] = bind(each.address, shared=self._shared)
        except OSError:
            for bound in sockets.values():
                bound.close()
            raise
        return sockets

    async def _listen(self, sockets: dict[Bound, socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for wanted, bound in sockets.items():
            address = Bound(wanted.name, bound_address(bound))
            server = await loop.create_server(self._plane.protocol_factory(wanted.name), sock=bound, backlog=BACKLOG)
            self._open[wanted] = server, address
