"""What a connection speaks, by its first bytes: TLS, HTTP/1, or something that only its ends know."""

from __future__ import annotations

import re
from enum import Enum, auto

MAX_LINE = 8 * 1024
"""A request line longer than this is taken for something else."""
_METHOD = re.compile(rb"[A-Za-z][A-Za-z\-]{0,31}")
_LINE = re.compile(rb"[A-Za-z][A-Za-z\-]{0,31} \S+ HTTP/1\.[01]")


class Spoken(Enum):
    """OTHER: neither TLS nor HTTP/1."""

    TLS = auto()
    HTTP = auto()
    OTHER = auto()


def sniff(data: bytes) -> Spoken | None:
    """None while more bytes are needed to tell."""
    if not data:
        return None
    if data[:1] == b"\x16":
        return (Spoken.TLS if data[1:2] == b"\x03" else Spoken.OTHER) if len(data) > 1 else None
    line, end, _ = data.partition(b"\n")
    if end:
        return Spoken.HTTP if _LINE.fullmatch(line.rstrip(b"\r")) else Spoken.OTHER
    method = line.partition(b" ")[0]
    if len(line) > MAX_LINE or not _METHOD.fullmatch(method):
        return Spoken.OTHER
    return None
