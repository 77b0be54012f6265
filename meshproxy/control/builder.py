"""Asking for a build: starts the process (build.py) and waits for what it says. Never blocks the loop."""

from __future__ import annotations

import asyncio
import pickle
from asyncio.subprocess import PIPE

from meshproxy.control.built import Built, Finding, Request
from meshproxy.control.processes import command, environment


async def build(request: Request) -> Built:
    """What `request` builds to. A build that dies is a finding, like all that keeps a configuration from serving."""
    process = await asyncio.create_subprocess_exec(*command("_build"), stdin=PIPE, stdout=PIPE, env=environment())
    try:
        answer, _ = await process.communicate(pickle.dumps(request))
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        return Built(digest="", findings=(_died(request, process.returncode),))
    built: Built = pickle.loads(answer)
    return built


def _died(request: Request, code: int) -> Finding:
    how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
    file = request.settings.config[0] if request.settings.config else "-"
    return Finding(file=file, line=1, column=1, level="error", code="MPX0000", message=f"building it {how}")
