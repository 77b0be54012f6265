"""`meshproxy run`, from the first build to the exit code: what starts when, what a signal does.

Joins build, serving processes and reload. Shows nothing to people but the `ready:` line and what went wrong.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from meshproxy.control.built import Bound, Built
from meshproxy.control.live import LiveRow
from meshproxy.control.pause import settle
from meshproxy.control.reload import Reloader, summary
from meshproxy.control.settings import Settings, address_text
from meshproxy.control.sockets import CannotBindError, bound_address
from meshproxy.telemetry.metrics import count_build
from meshproxy.telemetry.stats import Stats

if TYPE_CHECKING:  # nothing of a guard where there is none
    from meshproxy.control.guard import Verdict

OK, FAILURE, CONFIG, CANNOT_BIND = 0, 1, 65, 69
_MESH = "mesh"


class Fleet(Protocol):
    """What serves: the worker in this process, or the supervisor of several."""

    def start(self) -> None: ...
    async def apply(self, built: Built) -> Sequence[Bound]: ...
    async def replay(self, built: Built) -> Verdict | None: ...
    async def endpoints(self) -> tuple[LiveRow, ...]: ...
    async def explain_header(self, enabled: bool) -> None: ...
    async def drain(self, seconds: float) -> None: ...
    def reopen_log(self) -> None: ...
    def abort(self) -> None: ...


OpenAdmin = Callable[["Service"], Awaitable[asyncio.Server]]
"""Opens the admin address, or raises CannotBindError."""


class Service:
    """One run. `state` is what /ready says: PRE_INITIALIZING, LIVE, DRAINING."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = "PRE_INITIALIZING"
        # the supervisor writes a column of its own, behind those of the workers
        several = settings.workers > 1
        self.stats = Stats.create(settings.workers + several, worker=settings.workers if several else 0)
        self.reloader = Reloader(settings, self.stats)
        self.fleet: Fleet | None = None
        self._admin: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._failed = False
        count_build(self.stats)

    async def run(self, open_admin: OpenAdmin) -> int:
        """Until a signal ends it."""
        self._handle_signals()
        self.reloader.begin()
        await asyncio.sleep(0)  # the build's process starts now, and we import the data plane beside it
        try:
            code = await self._unless_stopped(self._start(open_admin))
            if code is None or code != OK:
                return code or OK
            assert self.fleet is not None
            await self._unless_stopped(self.reloader.run(self.fleet))
            self.state = "DRAINING"
            await self._drain(self.fleet)
        finally:
            await self.reloader.close()
            if self.fleet is not None:
                self.fleet.abort()
            if self._admin is not None:
                self._admin.close()
        return FAILURE if self._failed else OK

    async def _start(self, open_admin: OpenAdmin) -> int:
        """The exit code of a start that failed, or OK."""
        try:
            self.fleet = self._make_fleet()
            self.fleet.start()
            self._admin = await open_admin(self)
            status = await self.reloader.load(self.fleet)
        except CannotBindError as error:
            return _say(str(error), CANNOT_BIND)
        except OSError as error:
            return _say(f"{error.filename}: {error.strerror}", FAILURE)
        if status.result != "applied":
            return CONFIG
        gc.collect()
        settle()
        self.state = "LIVE"
        listening = [f"{_role(bound)} {address_text(bound.address)}" for bound in status.bound]
        listening.insert(1, f"admin {address_text(bound_address(self._admin.sockets[0]))}")
        return _say(f"ready: {', '.join(listening)}; {summary(status)}", OK)

    def _make_fleet(self) -> Fleet:
        if self.settings.access_log not in ("-", "off"):
            # said once and at once, not by every worker that cannot start
            os.close(os.open(self.settings.access_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))
        # neither is needed where the other is: the supervisor never serves a request
        if self.settings.workers > 1:
            from meshproxy.control.supervisor import Supervisor

            return Supervisor(self.settings, self.stats, self._fail)
        from meshproxy.control.data_plane import make_worker

        return make_worker(self.settings, self.stats)

    async def _drain(self, fleet: Fleet) -> None:
        """Until everything has ended, or a second signal comes."""
        draining = asyncio.ensure_future(fleet.drain(self.settings.drain_time))
        at_once = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        at_once.cancel()

    async def _unless_stopped(self, work: Awaitable[int | None]) -> int | None:
        """What `work` gives; None where we are to stop first."""
        doing = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((doing, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if doing.done():
            return doing.result()
        doing.cancel()
        await asyncio.wait((doing,))
        return None

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reloader.want)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_log)

    def _end(self) -> None:
        (self._at_once if self._stop.is_set() else self._stop).set()

    def _fail(self) -> None:
        self._failed = True
        self._stop.set()

    def _reopen_log(self) -> None:
        if self.fleet is not None:
            self.fleet.reopen_log()


def _role(bound: Bound) -> str:
    return "listen" if bound.name == _MESH else "gateway"


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr, flush=True)
    return code
