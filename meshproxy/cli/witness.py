"""A request that reaches a given route: made from what the route asks, then bent until no earlier route takes it.

The table that serves is asked who takes each attempt, so a witness is never wrong; where the search runs out of
steps, or a regex is not understood, there may be none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from meshproxy.analysis.values import ANYTHING, Opaque, Starts, Values, example, one
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
from meshproxy.plan.regex import Regex
from meshproxy.plan.route import Route
from meshproxy.plan.table import VirtualHost

_STEPS = 300
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
        folded = self.ignore_case and not isinstance(self.match, Pattern)
        return self.match.matches(request.path.lower() if folded else request.path)


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
        found = _value(subject, tuple(own), authority, tuple(schemes))
        if found is None:
            return None
        parts = parts.having(subject, found[0])
    return parts.request()


@lru_cache(maxsize=65536)
def _value(subject: Subject, own: _Demands, authority: bytes, schemes: tuple[bytes, ...]) -> tuple[bytes | None] | None:
    """A value that meets all that is asked of one subject; the search asks the same of it again and again."""
    parts = _Parts(authority=authority, scheme=schemes[0])
    for value in _candidates(subject, own, parts, schemes):
        request = parts.having(subject, value).request()
        if all(each.holds(request) is holds for each, holds in own):
            return (value,)
    return None


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
    found = _shortest(kind, own)
    if found is not None:
        yield found


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
            word = example([Opaque(regex)], [])
            if word is not None and regex.matches(word):
                yield word


# ---- where guessing ends

_WIRE: Mapping[str, Values] = {
    "path": Opaque(Regex(rb"/[!-~]*")),
    "query": Opaque(Regex(rb"[!-~]*")),
    "method": Opaque(Regex(rb"[A-Z]+")),
    "header": Opaque(Regex(rb"([!-~]([ -~]*[!-~])?)?")),
}
"""What a value may be on the wire, in plain letters."""
_NOT_IN: Mapping[str, Values] = {"path": Opaque(Regex(rb".*[?#].*")), "query": Opaque(Regex(rb".*[&#].*"))}


def _shortest(kind: str, own: Iterable[tuple[_Asked, bool]]) -> bytes | None:
    """A value that meets all that is asked, found for certain where all regexes are understood."""
    wanted, unwanted = [_WIRE[kind]], [_NOT_IN[kind]] if kind in _NOT_IN else []
    for each, holds in own:
        (wanted if holds is not isinstance(each, HeaderIsNot) else unwanted).append(_values(each))
    return example(wanted, unwanted)


def _values(each: _Asked) -> Values:
    match: ValueMatch = each.match  # type: ignore[union-attr]
    folded = isinstance(each, _PathIs) and each.ignore_case
    if isinstance(match, Exact):
        return one(match.value, fold=folded)
    if isinstance(match, Prefix):
        return Starts(match.value, len(match.value), fold=folded)
    return Opaque(match.regex) if isinstance(match, Pattern) else ANYTHING
