"""Asking for builds: starts the process (build.py), waits for what it says, sends it away. Never blocks the loop.

Starting one costs more than most builds do, so it stays for a moment: reloads often come in a row.
"""

from __future__ import annotations

import asyncio
import pickle
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from meshproxy.control.built import LENGTH, Built, Finding, Request
from meshproxy.control.processes import command, environment

_STAY = 2.0
_LARGE = 1 << 20
"""After a build of so many bytes the process is too big to stay."""


class Builder:
    """At most one process; builds do not overlap."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._started: list[Process] = []  # and not seen to end
        self._leaving: asyncio.TimerHandle | None = None

    async def build(self, request: Request) -> Built:
        """What `request` builds to. A build that dies is a finding, like all that keeps a configuration from
        serving."""
        if self._leaving is not None:
            self._leaving.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            process = await asyncio.create_subprocess_exec(
                *command("_build"), stdin=PIPE, stdout=PIPE, env=environment()
            )
            self._process = process
            self._started = [each for each in self._started if each.returncode is None] + [process]
        try:
            answer = await _asked(process, request)
        except (EOFError, OSError):
            return Built(digest="", findings=(_died(request, await process.wait()),))
        except asyncio.CancelledError:
            process.kill()
            raise
        self._leaving = asyncio.get_running_loop().call_later(0 if len(answer) > _LARGE else _STAY, self.dismiss)
        built: Built = pickle.loads(answer)
        return built

    def dismiss(self) -> None:
        """The process ends when it has nothing more to read."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    async def close(self) -> None:
        """No process is left behind, not even for who would have to collect what is left of it."""
        if self._leaving is not None:
            self._leaving.cancel()
        for process in self._started:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()


async def _asked(process: Process, request: Request) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(pickle.dumps(request))
    await process.stdin.drain()
    return await process.stdout.readexactly(int.from_bytes(await process.stdout.readexactly(LENGTH), "little"))


def _died(request: Request, code: int) -> Finding:
    how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
    file = request.settings.config[0] if request.settings.config else "-"
    return Finding(file=file, line=1, column=1, level="error", code="MPX0000", message=f"building it {how}")
