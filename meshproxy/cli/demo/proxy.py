"""The proxy of the tour: `meshproxy run` as a process of its own, as a user would start it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

START_LIMIT = 30.0  # seconds until it must serve
STOP_LIMIT = 10.0  # seconds until it must have drained


class DemoError(Exception):
    """The proxy ended, or said nothing for too long, before it served."""


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("no free port on 127.0.0.1")


class Proxy:
    """A running `meshproxy run`, stopped at the end of the context. What it says goes on to our stderr, its access
    log to our stdout, but for the first `unseen` lines."""

    def __init__(self, config: Path, arguments: Sequence[str], *, unseen: int = 0) -> None:
        self._unseen = unseen
        self.port = free_port(15001)
        self.admin_port = free_port(15000)
        self._command = [
            *(sys.executable, "-m", "meshproxy", "run"),
            *("--config", str(config)),
            *("--listen", f"127.0.0.1:{self.port}"),
            *("--admin", f"127.0.0.1:{self.admin_port}"),
            *arguments,
        ]

    async def __aenter__(self) -> Proxy:
        # the visitor's own MESHPROXY_… settings are for another proxy
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESHPROXY_")}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._said = asyncio.Event()
        self._relay = asyncio.create_task(self._relay_stderr())
        self._log = asyncio.create_task(self._relay_stdout())
        try:
            await asyncio.wait_for(self._said.wait(), START_LIMIT)
            if self._process.returncode is not None or self._relay.done():
                raise DemoError(f"the proxy ended before it served: {' '.join(self._command)}")
        except TimeoutError:
            await self.__aexit__()
            raise DemoError(f"the proxy did not serve within {START_LIMIT:g} s") from None
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_LIMIT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(self._relay, self._log)

    async def ended(self) -> int:
        """Wait until the proxy ends by itself; its exit code."""
        return await self._process.wait()

    async def _relay_stdout(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if self._unseen:
                self._unseen -= 1
            else:
                print(line.decode(errors="replace"), end="", flush=True)

    async def _relay_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if line.startswith(b"ready:"):
                self._said.set()
            else:
                sys.stderr.write(line.decode(errors="replace"))
        self._said.set()
