"""What a route asks of a request, as Envoy's RouteMatch."""

from __future__ import annotations

from typing import assert_never

from meshproxy.export.messages import Json, present, regex, string_match, text
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
from meshproxy.plan.route import Route

_PSEUDO: dict[type, str] = {MethodIs: ":method", SchemeIs: ":scheme", AuthorityIs: ":authority"}


def export_match(route: Route) -> Json:
    asked = {
        "case_sensitive": False if route.ignore_case else None,
        "headers": [_header(each) for each in route.conditions if not isinstance(each, QueryIs)],
        "query_parameters": [_query(each) for each in route.conditions if isinstance(each, QueryIs)],
    }
    return {**_path(route.path), **present(asked)}


def _path(path: PathMatch | None) -> Json:
    match path:
        case None:
            return {"prefix": "/"}
        case Exact(value):
            return {"path": text(value)}
        case Prefix(value):
            return {"prefix": text(value)}
        case Pattern(pattern):
            return {"safe_regex": regex(pattern)}
    assert_never(path)


def _asked(match: ValueMatch) -> Json:
    return {"present_match": True} if isinstance(match, Present) else {"string_match": string_match(match)}


def _query(condition: QueryIs) -> Json:
    return {"name": text(condition.name), **_asked(condition.match)}


def _header(condition: Condition) -> Json:
    """A missing header is an empty one to what must not match it, unless presence is all that is asked."""
    match condition:
        case HeaderIs(name, match):
            return {"name": text(name), **_asked(match)}
        case HeaderIsNot(name, match):
            asked = {"name": text(name), **_asked(match), "invert_match": True}
            return asked if isinstance(match, Present) else {**asked, "treat_missing_header_as_empty": True}
        case MethodIs(match) | SchemeIs(match) | AuthorityIs(match):
            return {"name": _PSEUDO[type(condition)], **_asked(match)}
    raise TypeError(f"no header matcher: {condition!r}")
