"""Noticing that files changed: the system's notifications on directories, and a slow look for where they fail.

Calls `changed` on the loop when the signature of the set of files differs from what it was; never reads a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection

from meshproxy.control.sources.listing import listing

_QUIET_MS = 50
"""Told when nothing has happened for so long…"""
_LONGEST_MS = 400
"""… or after so long, when it does not get quiet."""
_POLL_MS = 10_000
"""Notifications do not come from network file systems, nor for all that lies behind symbolic links."""
_RETRY = 1.0


class Watch:
    """Watches from `start` to `stop`. One thread waits for notifications, and sleeps otherwise."""

    def __init__(self, paths: tuple[str, ...], given: Collection[str], changed: Callable[[], None]) -> None:
        self._paths = paths
        self._given = given
        self._beside: tuple[str, ...] = ()
        self._changed = changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meshproxy-watch", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        # taken before the first load, so that nothing that happens during it is missed
        self._directories, self._signature = self._listed()

    def also(self, files: tuple[str, ...]) -> None:
        """Watches these beside the configuration, from now on: who calls has seen them as they are."""
        if files != self._beside:
            self._beside = files
            self._directories, signature = self._listed()
            self._signature = (self._signature[0], signature[1])

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError  # 2 MiB, not needed by workers

        while not self._stopping.is_set():
            watched = self._directories
            try:
                # after this, not before, the first look: what happens from here on is told
                with RustNotify(list(watched), False, False, 0, False, True) as notify:
                    self._look()
                    while self._directories == watched:
                        if notify.watch(_LONGEST_MS, _QUIET_MS, _POLL_MS, self._stopping) == "stop":
                            return
                        self._look()
            except (OSError, WatchfilesRustInternalError):
                # a directory has gone, or the system has no more notifications to give
                self._stopping.wait(_RETRY)
                self._look()

    def _listed(self) -> tuple[tuple[str, ...], tuple[int, int]]:
        """All directories to watch; what the configuration looks like, and what stands beside it."""
        paths, beside = listing(self._paths, self._given), listing(self._beside)
        directories = tuple(dict.fromkeys(paths.directories + beside.directories))
        return directories, (paths.signature(), beside.signature())

    def _look(self) -> None:
        self._directories, signature = self._listed()
        if signature != self._signature and self._loop is not None:
            self._signature = signature
            with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending
                self._loop.call_soon_threadsafe(self._changed)
