"""A worker as a process of its own, under a supervisor: does what the channel says, ends when the channel does."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from typing import cast

import uvloop

from meshproxy.control.built import Built
from meshproxy.control.channel import Channel
from meshproxy.control.data_plane import make_worker
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import CannotBindError
from meshproxy.control.worker import Worker
from meshproxy.telemetry.stats import Stats

Queue = asyncio.Queue[tuple[str, object]]


def main(argv: Sequence[str]) -> int:
    """Descriptors of the channel and of the statistics, and our number."""
    channel, stats, index = map(int, argv)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(socket.socket(fileno=channel), Stats.attach(stats, index)))


async def _serve(sock: socket.socket, stats: Stats) -> int:
    orders: Queue = asyncio.Queue()
    channel = await Channel.open(
        sock, lambda kind, payload: orders.put_nowait((kind, payload)), lambda: orders.put_nowait(("closed", None))
    )
    kind, settings = await orders.get()
    if not isinstance(settings, Settings):
        return 1 if kind == "closed" else 0
    loop = asyncio.get_running_loop()
    # an interrupt typed at a terminal reaches all of us: the supervisor decides
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, orders.put_nowait, ("drain", settings.drain_time))
    try:
        worker = make_worker(settings, stats)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    worker.start()
    try:
        return await _obey(worker, channel, orders)
    finally:
        worker.abort()
        channel.close()


async def _obey(worker: Worker, channel: Channel, orders: Queue) -> int:
    while True:
        kind, payload = await orders.get()
        if kind == "apply":
            generation, built = cast(tuple[int, Built], payload)
            channel.send("applied", (generation, await _applied(worker, built)))
        elif kind == "replay":
            channel.send("verdict", await worker.replay(cast(Built, payload)))
        elif kind == "explain":
            await worker.explain_header(cast(bool, payload))
        elif kind == "endpoints":
            channel.send("endpoints", await worker.endpoints())
        elif kind == "reopen":
            worker.reopen_log()
        elif kind == "drain":
            await worker.drain(cast(float, payload))
            return 0
        else:  # closed: nobody is there to restart or stop us
            return 1


async def _applied(worker: Worker, built: Built) -> str:
    """What was wrong; empty for nothing."""
    try:
        await worker.apply(built)
    except CannotBindError as error:
        return str(error)
    return ""
