"""Contents of files that may or may not be there, and a digest of them all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import xxhash


def content(path: str) -> bytes:
    """Empty where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def digest(files: Collection[str], before: str = "") -> str:
    """Differs when the contents of any of `files` do; `before` itself for no files."""
    if not files:
        return before
    hashed = xxhash.xxh3_128(before.encode())
    for path in files:
        for part in (path.encode(errors="surrogateescape"), content(path)):
            hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()
