"""Taking up a snapshot beside running requests: who holds the interpreter for how long.

Reading a large snapshot makes hundreds of thousands of objects, all to stay. A collection in between would look at
every one of them while requests wait, so there is none until they are out of its sight.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import sys

from meshproxy.plan.snapshot import Snapshot

_TURN = 0.0005
"""Seconds after which the reading thread lets the loop run."""
_YOUNG = 5_000


async def read_snapshot(pickled: bytes) -> Snapshot:
    """The snapshot, read in a thread. Collections stay off: call `settle` when it is in place."""
    gc.disable()
    turn = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        snapshot: Snapshot = await asyncio.get_running_loop().run_in_executor(None, pickle.loads, pickled)
    finally:
        sys.setswitchinterval(turn)
    return snapshot


def settle() -> None:
    """What there is now stays; the collector need not look at it again."""
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 100)
    gc.enable()
