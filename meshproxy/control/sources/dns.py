"""Names to addresses, looked up again and again: every minute, as Istio's mesh default has it (dnsRefreshRate).

The system's resolver tells no TTL, so the time between two looks is fixed. It blocks, so it has threads of its own. The
last good answer is kept while a name cannot be looked up; it is tried again after a second, then ever more rarely.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue

from meshproxy.base import clock
from meshproxy.telemetry.stats import Stats

EVERY = 60.0
_FIRST_PAUSE = 1.0
_THREADS = 4
_GATHER = 0.05
"""Answers that come within this time are one change."""

LookUp = Callable[[str], Awaitable[tuple[str, ...]]]
"""Raises OSError where there is no answer."""


class Names:
    """`answers` by name; `changed` is called when they are others."""

    def __init__(
        self, changed: Callable[[], None], stats: Stats, look_up: LookUp | None = None, every: float = EVERY
    ) -> None:
        self.answers: dict[str, tuple[str, ...]] = {}
        self._changed = changed
        self._look_up = look_up or system_resolver()
        self._every = every
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tried: dict[str, asyncio.Event] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._succeeded = stats.counter("meshproxy_dns_success_total")
        self._failed = stats.counter("meshproxy_dns_failure_total")

    def want(self, names: frozenset[str]) -> None:
        """Exactly these are kept up to date from now on."""
        for gone in self._tasks.keys() - names:
            self._tasks.pop(gone).cancel()
            self._tried.pop(gone)
            self.answers.pop(gone, None)
        for name in sorted(names - self._tasks.keys()):
            self._tried[name] = asyncio.Event()
            self._tasks[name] = asyncio.get_running_loop().create_task(self._keep(name))

    async def first(self, patience: float) -> None:
        """Until every name has been looked up once, or patience ends."""
        waiting = [asyncio.ensure_future(event.wait()) for event in self._tried.values() if not event.is_set()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=patience)
            for each in late:
                each.cancel()

    def stop(self) -> None:
        self.want(frozenset())
        if self._telling is not None:
            self._telling.cancel()

    async def _keep(self, name: str) -> None:
        """One name, until it is not wanted any more."""
        failures = 0
        while True:
            try:
                found = await self._look_up(name)
            except OSError as error:
                if not failures:
                    kept = "its last answer is kept" if name in self.answers else "it has no endpoint"
                    print(f"DNS: {name}: {error.strerror or error}: {kept}", file=sys.stderr)
                failures += 1
                self._failed.add()
            else:
                failures = 0
                self._succeeded.add()
                self._take(name, found)
            self._tried[name].set()
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), self._every) if failures else self._every
            # a little apart, so that names which began together do not stay together
            await asyncio.sleep(pause * (0.9 + 0.2 * clock.draw()))

    def _take(self, name: str, found: tuple[str, ...]) -> None:
        known = self.answers.get(name)
        self.answers[name] = found
        if known != found and self._tried[name].is_set() and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_GATHER, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._changed()


def system_resolver() -> LookUp:
    """The system's: hosts file, resolv.conf, and what else it is set up with."""
    threads = _Threads()

    async def look_up(name: str) -> tuple[str, ...]:
        return await threads.run(name)

    return look_up


def _addresses(name: str) -> tuple[str, ...]:
    """IPv6 addresses are used where there are no others, as Envoy's AUTO has it."""
    by_family: dict[int, dict[str, None]] = {}
    for family, _, _, _, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
        by_family.setdefault(family, {})[str(address[0])] = None
    return tuple(by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6) or ())


class _Threads:
    """Nobody waits for them when the process ends: a resolver may hang for half a minute."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[str, asyncio.Future[tuple[str, ...]]]] = SimpleQueue()
        self._started = 0

    async def run(self, name: str) -> tuple[str, ...]:
        future: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._asked.put((name, future))
        if self._started < _THREADS:
            self._started += 1
            threading.Thread(target=self._serve, name="meshproxy-dns", daemon=True).start()
        return await future

    def _serve(self) -> None:
        while True:
            name, future = self._asked.get()
            try:
                answer: tuple[str, ...] | OSError = _addresses(name)
            except (OSError, UnicodeError) as error:
                answer = error if isinstance(error, OSError) else OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending
                future.get_loop().call_soon_threadsafe(_answer, future, answer)


def _answer(future: asyncio.Future[tuple[str, ...]], answer: tuple[str, ...] | OSError) -> None:
    if future.done():
        return
    if isinstance(answer, OSError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
