"""A request that reaches a given route: made from what the route asks, then bent until no earlier route takes it.

The table that serves is asked who takes each attempt, so a witness is never wrong; where the search runs out of
steps, or a regex keeps its secret, there is none.
"""

from __future__ import annotations

import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from meshproxy.base.message import Request
from meshproxy.plan.match import (
    AuthorityIs,
    Condition,
    Exact,
    HeaderIs,
    HeaderIsNot,
    MethodIs,
    PathMatch,
    Pattern,
    Prefix,
    QueryIs,
    SchemeIs,
    ValueMatch,
)
from meshproxy.plan.route import Route
from meshproxy.plan.table import VirtualHost

_STEPS = 300
_LENGTHS, _BRANCHES = 3, 4
"""How many strings of a pattern are tried: so often repeated, so many alternatives."""
_FRESH = b"~qz7"
"""No word of any configuration."""
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE")

Subject = tuple[str, bytes]
"""What a condition is about: `("header", b"end-user")`."""


@dataclass(frozen=True, slots=True)
class _PathIs:
    """The path of a route as a condition."""

    match: PathMatch
    ignore_case: bool

    def holds(self, request: Request) -> bool:
        return self.match.matches(request.path.lower() if self.ignore_case else request.path)


_Asked = _PathIs | Condition
_Demands = tuple[tuple[_Asked, bool], ...]
"""Conditions, and whether they are to hold."""


def witness(
    host: VirtualHost,
    route: Route,
    authority: bytes,
    *,
    schemes: Sequence[bytes] = (b"http", b"https"),
    also: Route | None = None,
    refused: Callable[[Request], tuple[bool, Route | None]] = lambda _: (False, None),
) -> Request | None:
    """A request to `authority` that `host` gives to `route`, and that has all that `also` asks for.

    `refused` may not want it: it says so, and which route's requests to avoid for that.
    """
    wanted = (*_asked(route), *(_asked(also) if also is not None else ()))
    open_demands: list[_Demands] = [tuple((each, True) for each in wanted)]
    for _ in range(_STEPS):
        if not open_demands:
            return None
        demands = open_demands.pop()
        request = _made(demands, authority, schemes)
        if request is None:
            continue
        taker = host.routes.find(request)
        if taker is route:
            is_refused, taker = refused(request)
            if not is_refused:
                return request
        if taker is not None:
            open_demands += [(*demands, (each, False)) for each in reversed(tuple(_asked(taker)))]
    return None


def _asked(route: Route) -> Iterator[_Asked]:
    if route.path is not None:
        yield _PathIs(route.path, route.ignore_case)
    yield from route.conditions


def _made(demands: _Demands, authority: bytes, schemes: Sequence[bytes]) -> Request | None:
    """A request that meets all demands, each subject for itself; None where none is found."""
    by_subject: dict[Subject, list[tuple[_Asked, bool]]] = {}
    for each, holds in demands:
        by_subject.setdefault(_subject(each), []).append((each, holds))
    parts = _Parts(authority=authority, scheme=schemes[0])
    for subject, own in by_subject.items():
        tried = (parts.having(subject, value) for value in _candidates(subject, own, parts, schemes))
        fitting = next((p for p in tried if all(each.holds(p.request()) is holds for each, holds in own)), None)
        if fitting is None:
            return None
        parts = fitting
    return parts.request()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A request in the making; a value None is one that is absent."""

    authority: bytes
    method: bytes = b"GET"
    scheme: bytes = b"http"
    path: bytes = b"/"
    headers: Mapping[bytes, bytes | None] = field(default_factory=dict)
    query: Mapping[bytes, bytes | None] = field(default_factory=dict)

    def having(self, subject: Subject, value: bytes | None) -> _Parts:
        kind, name = subject
        if kind == "header":
            return replace(self, headers={**self.headers, name: value})
        if kind == "query":
            return replace(self, query={**self.query, name: value})
        changes: Any = {kind: value}
        return replace(self, **changes)

    def request(self) -> Request:
        pairs = [b"%b=%b" % (name, value) for name, value in self.query.items() if value is not None]
        fields = [(name, value) for name, value in self.headers.items() if value is not None]
        request = Request(self.method, self.path, b"&".join(pairs) if pairs else None, self.authority, fields)
        request.scheme = self.scheme
        return request


def _subject(each: _Asked) -> Subject:
    match each:
        case HeaderIs(name, _) | HeaderIsNot(name, _):
            return ("method" if name == b":method" else "header", name)
        case QueryIs(name, _):
            return "query", name
        case MethodIs():
            return "method", b""
        case SchemeIs():
            return "scheme", b""
        case AuthorityIs():
            return "authority", b""
    return "path", b""


def _candidates(
    subject: Subject, own: Iterable[tuple[_Asked, bool]], parts: _Parts, schemes: Sequence[bytes]
) -> Iterator[bytes | None]:
    """Values worth a try, the plainest first."""
    kind, _ = subject
    matches: list[ValueMatch] = [each.match for each, _ in own]  # type: ignore[union-attr]
    if kind == "authority":
        yield parts.authority
        return
    if kind == "scheme":
        yield from schemes
        return
    if kind == "method":
        yield from _METHODS
    elif kind == "path":
        yield b"/"
    else:
        yield None
        yield b"x"
    for match in matches:
        for value in _samples(match):
            if kind != "path" or value.startswith(b"/"):
                yield value
    yield b"/" + _FRESH if kind == "path" else _FRESH


def _samples(match: ValueMatch) -> Iterator[bytes]:
    """Values that `match` accepts, and such as are near to it."""
    match match:
        case Exact(value):
            yield value
            yield value + _FRESH
        case Prefix(value):
            for more in (b"", b"/", b"x", b"/x", _FRESH, b"/" + _FRESH):
                yield value + more
        case Pattern(regex):
            yield from filter(regex.matches, _of_pattern(regex.pattern.decode("utf-8", "replace")))


# ---- regexes


def _of_pattern(pattern: str) -> Iterator[bytes]:
    """Guesses at what `pattern` accepts: short ones, then longer ones."""
    try:
        tree = sre_parser.parse(pattern)
    except (re_error, OverflowError, RecursionError):
        return
    for length in range(_LENGTHS):
        for branch in range(_BRANCHES):
            yield "".join(_walk(tree, length, branch)).encode()


re_error = sre_parser.error


def _walk(tree: Any, length: int, branch: int) -> Iterator[str]:
    """One string of a parsed pattern: repeats taken `length` times where they may, of alternatives number `branch`."""
    for kind, value in tree:
        if kind is sre.LITERAL:
            yield chr(value)
        elif kind is sre.ANY:
            yield "x"
        elif kind is sre.NOT_LITERAL:
            yield "x" if chr(value) != "x" else "y"
        elif kind is sre.IN:
            yield _of_class(value, branch)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, inner = value
            for _ in range(min(max(low, length), high)):
                yield from _walk(inner, length, branch)
        elif kind is sre.SUBPATTERN:
            yield from _walk(value[-1], length, branch)
        elif kind is sre.BRANCH:
            branches = value[1]
            yield from _walk(branches[branch % len(branches)], length, branch)


def _of_class(items: Any, choice: int) -> str:
    """A character of a class, a plain one where it may be; number `choice` of those."""
    negated = items[0][0] is sre.NEGATE
    accepted = [c for c in "xab01/-_. AZ9~%" if any(map(_accepts, items, [c] * len(items))) is not negated]
    if accepted:
        return accepted[choice % len(accepted)]
    kind, value = items[-1]
    return chr(value[0] if kind is sre.RANGE else value) if kind in (sre.RANGE, sre.LITERAL) else "x"


_CLASSES: Mapping[Any, Any] = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
    sre.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
}


def _accepts(item: Any, character: str) -> bool:
    kind, value = item
    if kind is sre.LITERAL:
        return chr(value) == character
    if kind is sre.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    return bool(kind is sre.CATEGORY and _CLASSES[value](character))
