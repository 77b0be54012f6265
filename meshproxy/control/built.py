"""What goes to a build and what comes back: the values that the serving processes and the build have in common.

A serving process never imports the model or the compiler, so findings arrive as plain values and the snapshot as
bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshproxy.control.settings import Address, Settings

LENGTH = 8
"""Bytes of the number that says how long a pickled `Built` is."""


@dataclass(frozen=True, slots=True)
class Request:
    """`known` is the digest that is served: the same contents are not built again. `certificates` are the files that
    the served configuration named beside itself: they are part of its contents."""

    settings: Settings
    known: str = ""
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of the configuration, and where it is."""

    file: str
    line: int
    column: int
    level: str  # error, warning, info
    code: str
    message: str

    def __str__(self) -> str:
        level = "" if self.level == "error" else f"{self.level}: "
        return f"{self.file}:{self.line}:{self.column}: {level}{self.message}"


@dataclass(frozen=True, slots=True)
class Bound:
    """An address to listen on. `name` as in the plan; port 0: any free one."""

    name: str
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """`snapshot` is the pickled plan, None where the configuration is refused or `unchanged`. `sources` is the digest
    of `files` alone; `skipped` are the kinds that are not read, in words; `certificates` are files it depends on beside
    them; `expiries` says when each certificate that is served ends, in Unix seconds."""

    digest: str
    files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    listeners: tuple[Bound, ...] = ()
    snapshot: bytes | None = None
    sources: str = ""
    certificates: tuple[str, ...] = ()
    expiries: tuple[tuple[str, int], ...] = ()
    skipped: str = ""
    unchanged: bool = False
