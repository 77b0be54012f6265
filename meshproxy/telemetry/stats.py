"""Counters, gauges and histograms in one shared-memory region: a column of 64-bit slots per process.

Each slot has one writer, so nothing on the hot path is locked; readers add the columns up. Names and labels stand in
an append-only directory in the same region, so that all processes agree on indices; registering (cold) takes a file
lock. Only what is touched of the region takes memory. Owns: the layout, registration, sums. Refuses: rendering.

    header: 4 × int64 (columns, slots used, bytes of directory used, start of the columns) | directory | columns
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]

_COLUMNS, _SLOTS, _DIRECTORY = 0, 1, 2
_HEADER_BYTES = 4096
_DIRECTORY_BYTES = 64 << 20
SLOTS = 1 << 18
"""Slots of one column."""
_SPILL = 64
"""Slots at the end of each column, written by what found no room and read by nobody."""


class Counter:
    """Only grows. `view[index] += 1` is what `add` does, without the call."""

    __slots__ = ("index", "view")

    def __init__(self, view: memoryview[int], index: int) -> None:
        self.view = view
        self.index = index

    def add(self, n: int = 1) -> None:
        self.view[self.index] += n


class Gauge:
    """Goes up and down in this process; `total` adds all processes."""

    __slots__ = ("_region", "index", "view")

    def __init__(self, view: memoryview[int], index: int, region: memoryview[int]) -> None:
        self.view = view
        self.index = index
        self._region = region

    def add(self, n: int = 1) -> None:
        self.view[self.index] += n

    def set(self, value: int) -> None:
        self.view[self.index] = value

    def total(self) -> int:
        return sum(self._region[self.index :: SLOTS])


class Histogram:
    """Slots: one for each bound, one for what is above them all, one for the sum. `bounds` are in the unit observed."""

    __slots__ = ("bounds", "index", "sum_index", "view")

    def __init__(self, view: memoryview[int], index: int, bounds: Sequence[float]) -> None:
        self.view = view
        self.index = index
        self.bounds = bounds
        self.sum_index = index + len(bounds) + 1

    def observe(self, value: int) -> None:
        view = self.view
        view[self.index + bisect_left(self.bounds, value)] += 1
        view[self.sum_index] += value


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered series. `bounds` only of histograms; `scale` divides what was stored when it is shown."""

    kind: str  # counter, gauge, histogram
    name: str
    labels: Labels
    index: int
    bounds: tuple[float, ...] = ()
    scale: int = 1

    @property
    def width(self) -> int:
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


class Stats:
    """One process's hold on the region: it writes its own column, `worker`, and can read them all."""

    def __init__(self, fd: int, worker: int) -> None:
        self.fd = fd
        self.worker = worker
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)
        whole = memoryview(self._memory)
        self._header = whole[:_HEADER_BYTES].cast("q")
        self._names = whole[_HEADER_BYTES : _HEADER_BYTES + _DIRECTORY_BYTES]
        self._region = whole[_HEADER_BYTES + _DIRECTORY_BYTES :].cast("q")
        self.columns = self._header[_COLUMNS]
        self.view = self._region[worker * SLOTS : (worker + 1) * SLOTS]
        self._entries: dict[tuple[str, Labels], Entry] = {}
        self._read = 0
        self.before_reading: list[Callable[[], None]] = []  # what this process has counted elsewhere is added then

    @classmethod
    def create(cls, workers: int, worker: int = 0) -> Stats:
        """A new region with a column for each of `workers` processes; this one writes column `worker`."""
        fd = _anonymous_file()
        os.ftruncate(fd, _HEADER_BYTES + _DIRECTORY_BYTES + workers * SLOTS * 8)
        os.pwrite(fd, workers.to_bytes(8, "little"), _COLUMNS * 8)
        return cls(fd, worker)

    @classmethod
    def attach(cls, fd: int, worker: int) -> Stats:
        """The region behind an inherited `fd`. Counters of a predecessor go on, its gauges are set to zero."""
        stats = cls(fd, worker)
        stats.zero_gauges(worker)
        return stats

    def counter(self, name: str, labels: Labels = ()) -> Counter:
        return Counter(self.view, self._register("counter", name, labels).index)

    def gauge(self, name: str, labels: Labels = ()) -> Gauge:
        return Gauge(self.view, self._register("gauge", name, labels).index, self._region)

    def histogram(self, name: str, labels: Labels, bounds: tuple[float, ...], scale: int = 1) -> Histogram:
        entry = self._register("histogram", name, labels, bounds, scale)
        return Histogram(self.view, entry.index, entry.bounds)

    def entries(self) -> tuple[Entry, ...]:
        """Everything registered by any process, in order."""
        for settle in self.before_reading:
            settle()
        self._catch_up()
        return tuple(self._entries.values())

    def values(self, entry: Entry) -> tuple[int, ...]:
        """The slots of `entry`, each summed over all processes."""
        region, first = self._region, entry.index
        return tuple(sum(region[index::SLOTS]) for index in range(first, first + entry.width))

    def zero_gauges(self, worker: int) -> None:
        """What a process that has ended left in its column is not so any more."""
        for entry in self.entries():
            if entry.kind == "gauge":
                self._region[worker * SLOTS + entry.index] = 0

    def _register(self, kind: str, name: str, labels: Labels, bounds: tuple[float, ...] = (), scale: int = 1) -> Entry:
        key = (name, labels)
        entry = self._entries.get(key)
        if entry is not None:
            return entry
        with self._locked():
            self._catch_up()
            return self._entries.get(key) or self._append(Entry(kind, name, labels, 0, bounds, scale))

    def _append(self, wanted: Entry) -> Entry:
        """Under the lock: gives `wanted` its slots, and writes it down before the header says that it is there."""
        text = json.dumps([wanted.kind, wanted.name, wanted.labels, wanted.bounds, wanted.scale]).encode()
        line = len(text).to_bytes(4, "little") + text
        slot, start = self._header[_SLOTS], self._header[_DIRECTORY]
        if slot + wanted.width > SLOTS - _SPILL or start + len(line) > _DIRECTORY_BYTES:
            return Entry(wanted.kind, wanted.name, wanted.labels, SLOTS - _SPILL, wanted.bounds, wanted.scale)
        self._names[start : start + len(line)] = line
        self._header[_SLOTS] = slot + wanted.width
        self._header[_DIRECTORY] = start + len(line)
        self._catch_up()
        return self._entries[wanted.name, wanted.labels]

    def _catch_up(self) -> None:
        """Reads what other processes have registered since."""
        end = self._header[_DIRECTORY]
        while self._read < end:
            start = self._read + 4
            length = int.from_bytes(self._names[self._read : start], "little")
            kind, name, pairs, bounds, scale = json.loads(bytes(self._names[start : start + length]))
            labels = tuple((key, value) for key, value in pairs)
            self._entries[name, labels] = Entry(kind, name, labels, self._next, tuple(bounds), scale)
            self._read = start + length

    @property
    def _next(self) -> int:
        """The slot behind the last entry read: indices follow from the order of the directory."""
        last = next(reversed(self._entries.values()), None)
        return last.index + last.width if last else 0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("meshproxy-stats")
    import tempfile  # only where there is no memfd (macOS)

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
