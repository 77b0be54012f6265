"""Envoy's messages as plain JSON values: what all parts of the export write the same way."""

from __future__ import annotations

from typing import Any

from meshproxy.plan.fault import MILLION
from meshproxy.plan.match import Exact, Pattern, Prefix, ValueMatch
from meshproxy.plan.regex import Regex

Json = dict[str, Any]

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
KEEP_CASE = {
    "stateful_formatter": {
        "name": "preserve_case",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        },
    }
}
"""Header names keep the letter case they came with."""


def typed(message: str, **fields: Any) -> Json:
    """An extension's message, such as `filters.http.cors.v3.Cors`."""
    return {"@type": f"{_EXTENSIONS}.{message}", **fields}


def extension(name: str, message: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": typed(message, **fields)}


def duration(seconds: float) -> str:
    """To the microsecond, without an exponent."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def fraction(share: int) -> Json:
    """A share in millionths."""
    return {"numerator": share, "denominator": "MILLION"} if share < MILLION else {"numerator": 100}


def text(value: bytes) -> str:
    """What came from YAML is UTF-8."""
    return value.decode()


def regex(pattern: Regex) -> Json:
    return {"regex": text(pattern.pattern)}


def string_match(match: ValueMatch) -> Json:
    """A StringMatcher; `Present` has none."""
    match match:
        case Exact(value):
            return {"exact": text(value)}
        case Prefix(value):
            return {"prefix": text(value)}
        case Pattern(pattern):
            return {"safe_regex": regex(pattern)}
    raise TypeError(f"no string matcher: {match!r}")


def present(fields: Json) -> Json:
    """Without what says nothing."""
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
