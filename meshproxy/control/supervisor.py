"""Several worker processes on the same addresses: started, given every snapshot, watched, started again, drained.

Holds the addresses (bound, never listening), so that port 0 is the same for all and a restart finds them free.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from meshproxy.base import clock
from meshproxy.control.built import Bound, Built
from meshproxy.control.channel import Channel
from meshproxy.control.live import LiveRow, together
from meshproxy.control.processes import command, environment
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import CannotBindError, bound_address, reserve
from meshproxy.telemetry.stats import Stats

if TYPE_CHECKING:
    from meshproxy.control.guard import Verdict

_SHORT_LIFE = 10.0
_MOST_SHORT_LIVES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_GRACE = 2.0
"""Beyond the drain time, before a worker that does not end is killed."""
_ANSWER = 2.0
_REPLAY = 60.0


@dataclass(slots=True)
class _Member:
    """One worker; `generation` is the last one it said it serves."""

    index: int
    process: Process
    channel: Channel
    started: float
    generation: int = 0
    rows: asyncio.Future[tuple[LiveRow, ...]] | None = None
    verdict: asyncio.Future[Verdict | None] | None = None


class Supervisor:
    """`failed` is called when workers cannot be kept alive."""

    def __init__(self, settings: Settings, stats: Stats, failed: Callable[[], None]) -> None:
        self._settings = settings
        self._stats = stats
        self._failed = failed
        self._members: dict[int, _Member] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._reserved: dict[Bound, tuple[socket.socket, Bound]] = {}
        self._built: Built | None = None
        self._generation = 0
        self._refusals: list[str] = []
        self._news = asyncio.Event()
        self._stopping = False
        self._explains = False
        self._restarts = stats.counter("meshproxy_worker_restarts_total")
        self._serving = stats.gauge("meshproxy_workers")

    def start(self) -> None:
        """Begins to keep the workers alive."""
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(index)) for index in range(self._settings.workers)]

    async def apply(self, built: Built) -> Sequence[Bound]:
        """All workers serve `built` when this returns; none does when it raises CannotBindError."""
        before = self._built
        resolved = self._reserve(built)
        self._refusals.clear()
        await self._give(resolved)
        if self._refusals:
            why = self._refusals[0]
            if before is not None:
                await self._give(before)
            raise CannotBindError(why)
        for dropped in [known for known in self._reserved if known not in built.listeners]:
            self._reserved.pop(dropped)[0].close()
        return resolved.listeners

    async def endpoints(self) -> tuple[LiveRow, ...]:
        """Of all workers that answer."""
        members = list(self._members.values())
        for member in members:
            if member.rows is None or member.rows.done():
                member.rows = asyncio.get_running_loop().create_future()
                member.channel.send("endpoints")
        waiting = [member.rows for member in members if member.rows is not None]
        done, _ = await asyncio.wait(waiting, timeout=_ANSWER) if waiting else (set(), None)
        return together(future.result() for future in waiting if future in done)

    async def replay(self, built: Built) -> Verdict | None:
        """What `built` would do to the last requests of all workers that answer; None without a guard."""
        members = list(self._members.values())
        for member in members:
            member.verdict = asyncio.get_running_loop().create_future()
            member.channel.send("replay", built)
        waiting = [member.verdict for member in members if member.verdict is not None]
        done, _ = await asyncio.wait(waiting, timeout=_REPLAY) if waiting else (set(), None)
        found = [verdict for future in done if (verdict := future.result()) is not None]
        if not found:
            return None
        from meshproxy.control.guard import together as verdicts_together  # nothing of a guard where there is none

        return verdicts_together(found)

    async def explain_header(self, enabled: bool) -> None:
        self._explains = enabled
        for member in self._members.values():
            member.channel.send("explain", enabled)

    def reopen_log(self) -> None:
        for member in self._members.values():
            member.channel.send("reopen")

    async def drain(self, seconds: float) -> None:
        """Returns when all workers have ended; kills those that do not in time."""
        self._stopping = True
        self._news.set()
        for member in self._members.values():
            member.channel.send("drain", seconds)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=seconds + _GRACE)
        self.abort()

    def abort(self) -> None:
        """Ends all workers at once."""
        self._stopping = True
        for member in self._members.values():
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()
        for held, _ in self._reserved.values():
            held.close()
        self._reserved.clear()

    def _reserve(self, built: Built) -> Built:
        """Holds every address of `built`; its listeners with the ports they really have."""
        fresh: list[Bound] = []
        try:
            for wanted in built.listeners:
                if wanted not in self._reserved:
                    held = reserve(wanted.address)
                    self._reserved[wanted] = held, Bound(wanted.name, bound_address(held))
                    fresh.append(wanted)
        except CannotBindError:
            for wanted in fresh:
                self._reserved.pop(wanted)[0].close()
            raise
        return replace(built, listeners=tuple(self._reserved[wanted][1] for wanted in built.listeners))

    async def _give(self, built: Built) -> None:
        """Hands `built` to all workers and waits until each serves it, those included that die and come again."""
        self._built = built
        self._generation += 1
        generation = self._generation
        for member in self._members.values():
            member.channel.send("apply", (generation, built))
        while not self._stopping and not self._all_serve(generation):
            self._news.clear()
            await self._news.wait()

    def _all_serve(self, generation: int) -> bool:
        members = self._members.values()
        return len(members) == self._settings.workers and all(member.generation >= generation for member in members)

    async def _keep(self, index: int) -> None:
        """One worker's place: starts it, waits for its end, starts it again."""
        short_lives = 0
        while not self._stopping:
            member = await self._spawn(index)
            code = await member.process.wait()
            self._members.pop(index, None)
            self._stats.zero_gauges(index)
            self._serving.set(len(self._members))
            if self._stopping:
                break
            short_lives = short_lives + 1 if clock.monotonic() - member.started < _SHORT_LIFE else 1
            print(f"worker {index} (pid {member.process.pid}) ended with {code}: starting it again", file=sys.stderr)
            self._restarts.add()
            if short_lives > _MOST_SHORT_LIVES:
                print(f"worker {index} does not stay alive: giving up", file=sys.stderr)
                self._failed()
                return
            await asyncio.sleep(min(_FIRST_PAUSE * 2 ** (short_lives - 1), _LONGEST_PAUSE))

    async def _spawn(self, index: int) -> _Member:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command("_worker", str(theirs.fileno()), str(self._stats.fd), str(index)),
                stdin=DEVNULL,
                pass_fds=(theirs.fileno(), self._stats.fd),
                env=environment(),
            )
        channel = await Channel.open(ours, lambda kind, payload: self._received(index, kind, payload), lambda: None)
        member = self._members[index] = _Member(index, process, channel, clock.monotonic())
        channel.send("start", self._settings)
        if self._explains:
            channel.send("explain", True)
        if self._built is not None:
            channel.send("apply", (self._generation, self._built))
        return member

    def _received(self, index: int, kind: str, payload: object) -> None:
        member = self._members.get(index)
        if member is None:
            return
        if kind == "endpoints" and member.rows is not None and not member.rows.done():
            member.rows.set_result(cast(tuple[LiveRow, ...], payload))
        elif kind == "verdict" and member.verdict is not None and not member.verdict.done():
            member.verdict.set_result(cast("Verdict | None", payload))
        elif kind == "applied":
            member.generation, refusal = cast(tuple[int, str], payload)
            if refusal:
                self._refusals.append(refusal)
            self._serving.set(sum(each.generation > 0 for each in self._members.values()))
            self._news.set()
