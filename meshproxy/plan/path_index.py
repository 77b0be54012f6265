"""Routes by the path they ask for: what a path can match, in first-match order, without looking at the rest.

Every exact path and every prefix knows all routes that a path found there can take: its own, those of shorter
prefixes and those without a path, cut behind the first that asks for nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge

from meshproxy.base.message import Request
from meshproxy.plan.match import Exact, Pattern, Prefix
from meshproxy.plan.prefixes import NONE, Prefixes
from meshproxy.plan.regex import RegexSet
from meshproxy.plan.route import Route

Numbered = tuple[int, Route]
"""A route and its place in the table."""

_COPIED = 64
"""Up to so many candidates are listed at every path anew; longer lists are kept once and merged when asked."""


def first_holding(candidates: Iterable[Numbered], request: Request, found: Numbered | None = None) -> Numbered | None:
    """The first of `candidates` whose conditions hold, unless `found` stands before it."""
    for candidate in candidates:
        if found is not None and candidate[0] > found[0]:
            return found
        for condition in candidate[1].conditions:
            if not condition.holds(request):
                break
        else:
            return candidate
    return found


class _Merged:
    """Several lists of candidates, as one in order."""

    __slots__ = ("lists",)

    def __init__(self, lists: list[tuple[Numbered, ...]]) -> None:
        self.lists = lists

    def __iter__(self) -> Iterator[Numbered]:
        return merge(*self.lists)


class PathIndex:
    """Routes whose path is exact, a prefix, or none (the empty prefix)."""

    __slots__ = ("_at", "_exact", "_found", "_prefixes")

    def __init__(self, routes: Iterable[Numbered]) -> None:
        exact: dict[bytes, list[Numbered]] = {}
        prefixed: dict[bytes, list[Numbered]] = {}
        for pair in routes:
            match pair[1].path:
                case Exact(value):
                    exact.setdefault(value, []).append(pair)
                case Prefix(value):
                    prefixed.setdefault(value, []).append(pair)
                case _:
                    prefixed.setdefault(b"", []).append(pair)
        self._prefixes = Prefixes(prefixed)
        keys, parents = self._prefixes.keys, self._prefixes.parents
        lists = [_cut(prefixed[key]) for key in keys]
        self._at = [_joined(lists, parents, index, ()) for index in range(len(keys))]
        self._exact = {
            value: _joined(lists, parents, self._prefixes.longest(value), _cut(own)) for value, own in exact.items()
        }

    def candidates(self, path: bytes) -> Iterable[Numbered]:
        """All routes whose path condition `path` satisfies, in order."""
        found = self._exact.get(path)
        if found is not None:
            return found
        index = self._prefixes.longest(path)
        return self._at[index] if index >= 0 else ()


def _joined(
    lists: list[tuple[Numbered, ...]], parents: list[int], index: int, own: tuple[Numbered, ...]
) -> tuple[Numbered, ...] | _Merged:
    """`own` and the lists of prefix `index` and of all prefixes it begins with."""
    chain = [own] if own else []
    while index != NONE:
        chain.append(lists[index])
        index = parents[index]
    if len(chain) == 1:
        return chain[0]
    if sum(map(len, chain)) > _COPIED:
        return _Merged(chain)
    return _cut(sorted(pair for part in chain for pair in part))


def _cut(pairs: list[Numbered]) -> tuple[Numbered, ...]:
    """Up to and with the first that no request with this path can pass by."""
    for count, (_, route) in enumerate(pairs, 1):
        if not route.conditions:
            return tuple(pairs[:count])
    return tuple(pairs)


class PatternIndex:
    """Routes whose path is a pattern, all asked in one pass over the path."""

    __slots__ = ("_first", "_routes", "_set")

    def __init__(self, routes: list[Numbered]) -> None:
        self._routes = routes
        self._first = routes[0][0]
        self._set = RegexSet([pair[1].path.regex.pattern for pair in routes if isinstance(pair[1].path, Pattern)])

    def first_holding(self, request: Request, found: Numbered | None) -> Numbered | None:
        if found is not None and found[0] < self._first:
            return found
        return first_holding([self._routes[index] for index in self._set.matching(request.path)], request, found)
