"""From the files to what is served: builds, applies, and remembers how it went.

A configuration with an error anywhere is refused whole; the last good one serves on, and the refusal is loud: on
stderr, in a metric, in `status`. Builds never overlap; what changes during one is built right after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from meshproxy.base import clock
from meshproxy.base.units import duration_text
from meshproxy.control.builder import Builder
from meshproxy.control.built import Bound, Built, Finding, Request
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import CannotBindError
from meshproxy.control.sources.contents import digest
from meshproxy.control.sources.watch import Watch
from meshproxy.telemetry.stats import Stats

if TYPE_CHECKING:  # nothing of a guard where there is none
    from meshproxy.control.guard import Verdict

_GUARDED = "MPX0004"
_TOLD = {
    "debug": ("error", "warning", "reload", "info"),
    "info": ("error", "warning", "reload"),
    "warning": ("error", "warning"),
    "error": ("error",),
}
"""What is written to stderr, by log level."""


class Serving(Protocol):
    """What takes a built configuration into service: a worker, or the supervisor of several."""

    async def apply(self, built: Built) -> Sequence[Bound]:
        """All of it or nothing. Gives the addresses bound; raises CannotBindError."""

    async def replay(self, built: Built) -> Verdict | None:
        """What it would do to the last requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How it stands. `result` is that of the last attempt: `applied`, `unchanged` or `refused`."""

    generation: int = 0
    digest: str = ""
    files: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    skipped: str = ""  # kinds that are not read, in words
    bound: tuple[Bound, ...] = ()
    result: str = ""
    attempted: float = 0.0
    applied: float = 0.0
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()


class Reloader:
    """Owns the served generation. `built` is the last one applied."""

    def __init__(
        self, settings: Settings, stats: Stats, build: Callable[[Request], Coroutine[None, None, Built]] | None = None
    ) -> None:
        self.status = Status()
        self.built: Built | None = None
        self._settings = settings
        self._builder = Builder()
        self._build = build or self._builder.build
        self._begun: asyncio.Task[Built] | None = None
        self._started = 0.0
        self._wanted = asyncio.Event()
        self._watch = Watch(settings.config, settings.given, self.want)
        self._results = {
            result: stats.counter("meshproxy_config_reloads_total", (("result", result),))
            for result in ("applied", "unchanged", "refused")
        }
        self._generation = stats.gauge("meshproxy_config_generation")
        self._applied = stats.gauge("meshproxy_config_last_reload_success_timestamp_seconds")
        self._good = stats.gauge("meshproxy_config_last_reload_successful")
        self._stats = stats
        self._told_skipped = ""

    def want(self) -> None:
        """Something may have changed: look, soon."""
        self._wanted.set()

    def begin(self) -> None:
        """Starts the build that the next `load` waits for; there is much else to do meanwhile."""
        if self._begun is None:
            self._started = clock.monotonic()
            request = Request(
                self._settings, self.status.digest, self.built.certificates if self.built is not None else ()
            )
            self._begun = asyncio.get_running_loop().create_task(self._build(request))

    async def load(self, serving: Serving) -> Status:
        """One attempt. Raises CannotBindError only for the first configuration: later ones are refused for it."""
        at = clock.wall()
        self.begin()
        assert self._begun is not None
        built = await self._begun
        self._begun = None
        if built.certificates:
            self._watch.also(built.certificates)
        if built.certificates and digest(built.certificates, built.sources) != built.digest:
            self.want()  # one of them has changed since it was read
        if built.unchanged:
            outcome = replace(self.status, result="unchanged", findings=self.built.findings if self.built else ())
        elif built.snapshot is None:
            outcome = replace(self.status, result="refused", findings=built.findings)
        else:
            outcome = await self._take_up(built, serving)
        self.status = replace(outcome, attempted=at, seconds=clock.monotonic() - self._started)
        if self.status.result == "applied":
            self.status = replace(self.status, applied=clock.wall())
        self._report()
        return self.status

    async def run(self, serving: Serving) -> None:
        """Reloads for every change, until cancelled."""
        self._watch.start()
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self.load(serving)
        finally:
            self._watch.stop()
            self._builder.dismiss()

    async def close(self) -> None:
        """Nothing is built any more."""
        await self._builder.close()

    async def _take_up(self, built: Built, serving: Serving) -> Status:
        if self._settings.guard and self.status.generation:
            built = await self._guarded(built, serving)
            if built.snapshot is None:
                return replace(self.status, result="refused", findings=built.findings)
        try:
            bound = await serving.apply(built)
        except CannotBindError as error:
            if not self.status.generation:
                raise
            finding = Finding(file=built.files[0], line=1, column=1, level="error", code="MPX0000", message=str(error))
            return replace(self.status, result="refused", findings=(*built.findings, finding))
        self.built = built
        return replace(
            self.status,
            generation=self.status.generation + 1,
            digest=built.digest,
            files=built.files,
            counts=tuple(sorted(built.counts.items())),
            skipped=built.skipped,
            bound=tuple(bound),
            result="applied",
            findings=built.findings,
        )

    async def _guarded(self, built: Built, serving: Serving) -> Built:
        """`built` with what it would do to the last requests, if that is too much; without its snapshot where it is
        refused for that."""
        verdict = await serving.replay(built)
        if verdict is None or verdict.percent <= self._settings.guard_threshold:
            return built
        refuses = self._settings.guard == "refuse"
        level = "error" if refuses else "warning"
        file = self._settings.config[0]
        finding = Finding(file=file, line=1, column=1, level=level, code=_GUARDED, message=str(verdict))
        return replace(built, findings=(*built.findings, finding), snapshot=None if refuses else built.snapshot)

    def _report(self) -> None:
        """On stderr and in metrics."""
        status = self.status
        self._results[status.result].add()
        self._generation.set(status.generation)
        self._applied.set(int(status.applied))
        for name, ends in self.built.expiries if self.built is not None else ():
            labels = (("certificate", name),)
            self._stats.gauge("meshproxy_certificate_expiration_timestamp_seconds", labels).set(ends)
        self._good.set(status.result != "refused")
        with contextlib.suppress(OSError):  # nobody listens any more
            sys.stderr.write("".join(line + "\n" for line in self._lines(status)))
            sys.stderr.flush()

    def _lines(self, status: Status) -> list[str]:
        """What is worth saying at this log level; of what is skipped, only what is new."""
        told = _TOLD[self._settings.log_level]
        lines = [str(finding) for finding in status.findings if finding.level in told]
        if status.result == "refused" and status.generation:
            lines.append(f"reload refused: generation {status.generation} serves on")
        elif status.result == "applied" and status.generation > 1 and "reload" in told:
            lines.append(f"reload: generation {status.generation}, {summary(status)}")
        if status.skipped != self._told_skipped and "reload" in told:
            self._told_skipped = status.skipped
            lines.append(f"skipped: {status.skipped or 'nothing any more'}")
        return lines


def summary(status: Status) -> str:
    """Counts and duration, for people."""
    counts = ", ".join(f"{count} {kind}" for kind, count in status.counts if count) or "nothing"
    return f"{counts} ({duration_text(round(status.seconds, 3))})"
