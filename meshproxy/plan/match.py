"""Conditions on a request head: the matchers of one value, and what they are applied to.

Everything is bytes and compares letter by letter; what Istio makes case-insensitive is folded by the compiler or
by `Path`. `holds` answers; `explain` says in words what was wanted and what was got.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from meshproxy.base.message import Request
from meshproxy.plan.regex import Regex


class ValueMatch(Protocol):
    """One string matcher of Istio's StringMatch, on one value."""

    def matches(self, value: bytes) -> bool: ...

    def describe(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Exact:
    value: bytes

    def matches(self, value: bytes) -> bool:
        return value == self.value

    def describe(self) -> str:
        return f'exact "{self.value.decode("utf-8", "replace")}"'


@dataclass(frozen=True, slots=True)
class Prefix:
    """A plain string prefix: `/foo` also matches `/foobar`, as in Istio."""

    value: bytes

    def matches(self, value: bytes) -> bool:
        return value.startswith(self.value)

    def describe(self) -> str:
        return f'prefix "{self.value.decode("utf-8", "replace")}"'


@dataclass(frozen=True, slots=True)
class Pattern:
    """RE2, against the whole value."""

    regex: Regex

    def matches(self, value: bytes) -> bool:
        return self.regex.matches(value)

    def describe(self) -> str:
        return f'regex "{self.regex.pattern.decode("utf-8", "replace")}"'


@dataclass(frozen=True, slots=True)
class Present:
    """Any value, the empty one too."""

    def matches(self, value: bytes) -> bool:
        return True

    def describe(self) -> str:
        return "to be present"


PathMatch = Exact | Prefix | Pattern


class Condition(Protocol):
    """One thing a route asks of the request, beside its path."""

    def holds(self, request: Request) -> bool: ...

    def explain(self, request: Request) -> str: ...


#: Envoy keeps these as one value: repeated lines are joined with a comma before they are compared. All other
#: repeated lines are compared one by one.
JOINED = frozenset(
    name.encode()
    for name in (
        "accept accept-encoding access-control-request-headers access-control-request-method authorization "
        "cache-control content-type expect forwarded grpc-accept-encoding grpc-timeout origin te user-agent via "
        "x-envoy-original-path x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port "
        "x-forwarded-proto x-request-id"
    ).split()
)


def _header_values(request: Request, name: bytes) -> list[bytes]:
    found = request.values(name)
    if len(found) > 1 and name in JOINED:
        return [b",".join(found)]
    return found


def _got(found: list[bytes]) -> str:
    return "got none" if not found else "got " + ", ".join(f'"{v.decode("latin-1")}"' for v in found)


@dataclass(frozen=True, slots=True)
class HeaderIs:
    """Any line of the header satisfies `match`. `name` in lower case; pseudo headers too (`:method`…)."""

    name: bytes
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        found = request.values(self.name)
        if not found:
            return False
        if len(found) > 1:
            found = _header_values(request, self.name)
        matches = self.match.matches
        for value in found:  # noqa: SIM110 (a generator costs more than the comparison)
            if matches(value):
                return True
        return False

    def explain(self, request: Request) -> str:
        name = self.name.decode("latin-1")
        return f"header {name}: wanted {self.match.describe()}, {_got(_header_values(request, self.name))}"


@dataclass(frozen=True, slots=True)
class HeaderIsNot:
    """No line of the header satisfies `match`; a missing header counts as an empty value, unless only its
    presence was asked."""

    name: bytes
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        found = _header_values(request, self.name)
        if not found:
            return isinstance(self.match, Present) or not self.match.matches(b"")
        matches = self.match.matches
        return not any(matches(value) for value in found)

    def explain(self, request: Request) -> str:
        name = self.name.decode("latin-1")
        return f"without header {name}: wanted not {self.match.describe()}, {_got(_header_values(request, self.name))}"


@dataclass(frozen=True, slots=True)
class MethodIs:
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        return self.match.matches(request.method)

    def explain(self, request: Request) -> str:
        return f'method: wanted {self.match.describe()}, got "{request.method.decode("latin-1")}"'


@dataclass(frozen=True, slots=True)
class SchemeIs:
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        return self.match.matches(request.scheme)

    def explain(self, request: Request) -> str:
        return f'scheme: wanted {self.match.describe()}, got "{request.scheme.decode("latin-1")}"'


@dataclass(frozen=True, slots=True)
class AuthorityIs:
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        return self.match.matches(request.host)

    def explain(self, request: Request) -> str:
        return f'authority: wanted {self.match.describe()}, got "{request.host.decode("latin-1")}"'


@dataclass(frozen=True, slots=True)
class QueryIs:
    """The first value of a query parameter, not decoded; a parameter without `=` has the empty value."""

    name: bytes
    match: ValueMatch

    def holds(self, request: Request) -> bool:
        value = query_value(request.query, self.name)
        return value is not None and self.match.matches(value)

    def explain(self, request: Request) -> str:
        value = query_value(request.query, self.name)
        got = _got([] if value is None else [value])
        return f"query parameter {self.name.decode('latin-1')}: wanted {self.match.describe()}, {got}"


def query_value(query: bytes | None, name: bytes) -> bytes | None:
    """The first value of the parameter `name` in a raw query string."""
    if query is None or name not in query:
        return None
    for part in query.split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name:
            return value
    return None
