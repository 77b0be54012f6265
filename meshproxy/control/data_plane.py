"""Joins the parts that serve in one process: statistics, access log, proxy."""

from __future__ import annotations

import asyncio
import ctypes

from meshproxy.base.units import MIB
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import raise_open_files
from meshproxy.control.sources.dns import Names
from meshproxy.control.worker import Worker
from meshproxy.proxy.options import Options
from meshproxy.proxy.plain import SHORTER
from meshproxy.proxy.proxy import Proxy
from meshproxy.telemetry.stats import Stats

_OTHER_FILES = 64
"""Open files that are no connections."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT, _APART = 16 * MIB, MIB


def _keep_freed_memory() -> None:
    """glibc gives the top of its heap back to the system at once, and takes it again, page fault by page fault, for the
    next read of 256 KB: a third of what a large body costs. Elsewhere there is no such switch."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT)
    mallopt(_MMAP_THRESHOLD, _APART)


def make_worker(settings: Settings, stats: Stats) -> Worker:
    """Ready to be given a snapshot. Raises OSError for an access log that cannot be written."""
    _keep_freed_memory()
    files = raise_open_files()
    log = None
    if settings.access_log != "off":
        # 1 MiB that a proxy without a log does not need
        from meshproxy.telemetry.access_log import AccessLog, compile_format

        form = settings.access_log_format
        log = AccessLog(settings.access_log, compile_format(form), compile_format(form, SHORTER))
    # every downstream connection may need one upstream
    options = Options(max_connections=max(1, (files - _OTHER_FILES) // 2))
    proxy = Proxy(
        loop=asyncio.get_running_loop(),
        stats=stats,
        access_log=log,
        options=options,
        namespace=settings.namespace,
        labels=settings.labels,
    )
    ring = None
    if settings.guard:
        from meshproxy.control.guard import Ring  # as above

        ring = Ring(settings.guard_requests)
        proxy.watch(ring.watched)
    return Worker(proxy, log, shared=settings.workers > 1, ring=ring, names=lambda changed: Names(changed, stats))
