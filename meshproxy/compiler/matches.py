"""HTTPMatchRequest to what the plan asks of a request: its path and its other conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshproxy.base.origin import Origin
from meshproxy.compiler.report import Report, UnusableError
from meshproxy.model.checks import is_jwt_claim
from meshproxy.model.http_match import HTTPMatchRequest, StringMatch
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
    Present,
    QueryIs,
    SchemeIs,
    ValueMatch,
)
from meshproxy.plan.regex import Regex
from meshproxy.plan.route import Line

_PSEUDO: dict[str, Callable[[ValueMatch], Condition]] = {
    "scheme": SchemeIs,
    "method": MethodIs,
    "authority": AuthorityIs,
}


def build_regex(pattern: str, origin: Origin) -> Regex:
    try:
        return Regex(pattern.encode())
    except ValueError as error:
        raise UnusableError(f'"{pattern}" is not an RE2 pattern: {error}', origin) from error


def build_path(block: HTTPMatchRequest | None) -> tuple[PathMatch | None, bool]:
    """The path condition, and whether it is to be asked of the path in lower case. Patterns keep their own case."""
    uri = block.uri if block is not None else None
    if block is None or uri is None:
        return None, False
    if uri.regex is not None:
        return Pattern(build_regex(uri.regex, uri.at.field("regex"))), False
    fold = block.ignore_uri_case
    for text, match in ((uri.exact, Exact), (uri.prefix, Prefix)):
        if text is not None:
            value = text.encode()
            return match(value.lower() if fold else value), fold
    return None, False


def build_value(match: StringMatch) -> ValueMatch:
    """A header-like condition: nothing written asks for presence, and so does the pattern `*`, as in Istio."""
    if match.exact is not None:
        return Exact(match.exact.encode())
    if match.prefix is not None:
        return Prefix(match.prefix.encode())
    if match.regex is None or match.regex == "*":
        return Present()
    return Pattern(build_regex(match.regex, match.at.field("regex")))


def build_conditions(block: HTTPMatchRequest) -> tuple[Condition, ...]:
    """All conditions of a match block beside its path; all must hold."""
    return tuple(_conditions(block))


def _conditions(block: HTTPMatchRequest) -> Iterator[Condition]:
    for name, condition in _PSEUDO.items():
        match: StringMatch | None = getattr(block, name)
        if match is not None:
            yield condition(build_value(match))
    for name, match in block.headers.items():
        yield HeaderIs(name.lower().encode(), build_value(match))
    for name, match in block.without_headers.items():
        yield HeaderIsNot(name.lower().encode(), build_value(match))
    for name, match in block.query_params.items():
        yield QueryIs(name.encode(), build_value(match))


def condition_lines(block: HTTPMatchRequest, path: PathMatch | None) -> tuple[Line, ...]:
    """Where what the block asks is written: its `path`, if it has one, then what `build_conditions` builds."""
    singles = (block.uri if path is not None else None, *(getattr(block, name) for name in _PSEUDO))
    named = (block.headers, block.without_headers, block.query_params)
    matches = [match for match in singles if match is not None]
    matches += (match for values in named for match in values.values())
    return tuple((match.at.home.file, match.at.mark[0]) for match in matches)


def asks_for_claims(block: HTTPMatchRequest, report: Report) -> bool:
    """Whether the block matches claims of a JWT: nothing verifies them yet, so it can match nothing."""
    asked = [
        block.at.field(field, key)
        for field in ("headers", "without_headers")
        for key in getattr(block, field)
        if is_jwt_claim(key)
    ]
    for origin in asked:
        report.unsupported("matching claims of a JWT (the whole match block never matches)", origin)
    return bool(asked)


def catches_all(path: PathMatch | None, conditions: tuple[Condition, ...]) -> bool:
    """Whether Istio takes the route for one that ends the list (IsCatchAllRoute): path prefix exactly `/` (or no
    path), or pattern exactly `.*`, and nothing else asked."""
    if conditions:
        return False
    return path is None or path == Prefix(b"/") or (isinstance(path, Pattern) and path.regex.pattern == b".*")
