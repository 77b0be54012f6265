"""Reading a whole set of files, consistently. What cannot be read is a problem, not an exception."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash

from meshproxy.base.origin import Origin
from meshproxy.control.sources.listing import Listing, listing
from meshproxy.model.document import Source
from meshproxy.model.problem import UNREADABLE, Level, Problem

_ATTEMPTS = 20
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Loaded:
    """`digest` names the contents; it is the same wherever and whenever they are read."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]
    digest: str


def load(paths: tuple[str, ...], given: Mapping[str, bytes]) -> Loaded:
    """Everything `paths` stand for. When something changes in between, all is read again, so that half of one
    version never meets half of another."""
    for _ in range(_ATTEMPTS):
        before = listing(paths, given)
        signature = before.signature()
        loaded = _read(before, given)
        if listing(paths, given).signature() == signature:
            break
        time.sleep(_PAUSE)
    return loaded


def _read(listed: Listing, given: Mapping[str, bytes]) -> Loaded:
    sources = [Source(name, text) for name, text in given.items()]
    errors = list(listed.errors)
    for name in listed.files:
        try:
            sources.append(Source(name, Path(name).read_bytes()))
        except OSError as error:
            errors.append((name, error.strerror or str(error)))
    problems = tuple(
        Problem(UNREADABLE, Level.ERROR, message, Origin(name, line=1, column=1)) for name, message in errors
    )
    return Loaded(tuple(sources), problems, _digest(sources))


def _digest(sources: list[Source]) -> str:
    hashed = xxhash.xxh3_128()
    for source in sources:
        for part in (source.name.encode(errors="surrogateescape"), source.text):
            hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()
