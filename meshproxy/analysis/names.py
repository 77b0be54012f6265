"""Words about names in messages: quoting, lists, and "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "reviews"?`, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, sorted(set(known) - {name}), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def quoted(names: Iterable[str]) -> str:
    """`"a", "b"` in order."""
    return ", ".join(f'"{name}"' for name in names)


def known(what: str, names: Iterable[str], limit: int = 8) -> str:
    """`; known subsets: v1, v2`, or `; there are no subsets`; with at most `limit` names."""
    found = sorted(set(names))
    if not found:
        return f"; there are no {what}"
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return f"; known {what}: {', '.join(found[:limit])}{more}"
