"""Sets of values: what a string matcher admits, and what is *proven* about such sets.

Owns: `implies`, `disjoint` and `example`, the three questions coverage asks. Every answer errs to one side: a
proof is only claimed where it holds (`implies`, `disjoint`, `example` is None); what is not decided, such as what a
regex admits whose syntax is not understood, counts as not proven. Refuses to know where a value comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from meshproxy.analysis.automaton import Machine, Undecided, beginning, shortest, words
from meshproxy.analysis.re2_syntax import machine_of
from meshproxy.plan.regex import Regex

#: Appended to a prefix to get a value of nobody's liking: long, and no word of any configuration.
_FRESH = b"~qz7"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A finite set. With `fold`, ASCII case does not count."""

    values: frozenset[bytes]
    fold: bool = False

    def holds(self, value: bytes) -> bool:
        return value in self.values or (self.fold and value.lower() in {v.lower() for v in self.values})


@dataclass(frozen=True, slots=True)
class Starts:
    """Everything that begins with `prefix` and is at least `length` bytes long; with an empty prefix, anything."""

    prefix: bytes
    length: int = 0
    fold: bool = False

    def holds(self, value: bytes) -> bool:
        if len(value) < self.length:
            return False
        return value.startswith(self.prefix) or (self.fold and value.lower().startswith(self.prefix.lower()))


@dataclass(frozen=True, slots=True)
class Opaque:
    """A regex nothing more is known of than that all it matches begins with `prefix`."""

    regex: Regex
    prefix: bytes = b""
    fold: bool = False

    def holds(self, value: bytes) -> bool:
        return self.regex.matches(value)


Values = OneOf | Starts | Opaque
ANYTHING = Starts(b"")


def one(value: bytes, *, fold: bool = False) -> OneOf:
    return OneOf(frozenset((value,)), fold)


def _caseless(value: bytes) -> bool:
    return value.lower() == value.upper()


def _all_cases_hold(values: Values, value: bytes) -> bool:
    """Whether `values` admits every way of writing `value` in upper and lower case."""
    if _caseless(value):
        return values.holds(value)
    if isinstance(values, Opaque):
        return False  # two spellings that match prove nothing about the others
    return values.holds(value.lower()) and values.holds(value.upper())


def _some_case_holds(values: Values, value: bytes) -> bool:
    if isinstance(values, OneOf):
        return any(v.lower() == value.lower() for v in values.values)
    if isinstance(values, Starts):
        return len(value) >= values.length and value.lower().startswith(values.prefix.lower())
    return True  # a regex: not proven otherwise


def _prefix_implies(prefix: bytes, wanted: bytes, *, folded: bool, wanted_folded: bool) -> bool:
    if wanted_folded:
        return prefix.lower().startswith(wanted.lower())
    return prefix.startswith(wanted) and (not folded or _caseless(wanted))


def implies(inner: Values, outer: Values) -> bool:
    """Whether `outer` is proven to admit every value `inner` admits."""
    if inner == outer:
        return True
    if isinstance(inner, OneOf):
        if inner.fold:
            return all(_all_cases_hold(outer, value) for value in inner.values)
        return all(outer.holds(value) for value in inner.values)
    if not isinstance(outer, Starts):
        return False
    length = inner.length if isinstance(inner, Starts) else 0
    return max(length, len(inner.prefix)) >= outer.length and _prefix_implies(
        inner.prefix, outer.prefix, folded=inner.fold, wanted_folded=outer.fold
    )


def disjoint(one_side: Values, other: Values) -> bool:
    """Whether no value is proven to be in both."""
    if isinstance(other, OneOf) and not isinstance(one_side, OneOf):
        return disjoint(other, one_side)
    if isinstance(one_side, OneOf):
        if one_side.fold:
            return not any(_some_case_holds(other, value) for value in one_side.values)
        return not any(other.holds(value) for value in one_side.values)
    assert not isinstance(other, OneOf)
    ours, theirs = one_side.prefix, other.prefix
    if one_side.fold or other.fold:
        ours, theirs = ours.lower(), theirs.lower()
    return not (ours.startswith(theirs) or theirs.startswith(ours))


def example(wanted: Sequence[Values], unwanted: Sequence[Values]) -> bytes | None:
    """A value in all of `wanted` and none of `unwanted`; None only where it is proven that there is none.

    Where a regex is among them that is not understood, the value is a guess at one, as there is no proof.
    """
    if not any(isinstance(values, OneOf) for values in wanted):
        for index, values in enumerate(wanted):
            if any(disjoint(values, other) for other in wanted[:index]):
                return None
            if any(implies(values, other) for other in unwanted):
                return None
        if not wanted and any(implies(ANYTHING, other) for other in unwanted):
            return None
    guesses = _guesses(wanted)
    for value in guesses:
        if all(w.holds(value) for w in wanted) and not any(u.holds(value) for u in unwanted):
            return value
    if any(isinstance(values, OneOf) and not values.fold for values in wanted):
        return None  # its values are all that there are
    try:
        return _shortest(tuple(wanted), tuple(unwanted))
    except Undecided:
        return guesses[-1]


def _guesses(wanted: Sequence[Values]) -> list[bytes]:
    """Plain values worth a try; all that there can be, where some of `wanted` is a list of values as written."""
    listed = sorted((w for w in wanted if isinstance(w, OneOf)), key=lambda values: values.fold)
    if listed:
        return sorted(listed[0].values)
    prefix = max((w.prefix for w in wanted if not isinstance(w, OneOf)), key=len, default=b"")
    return [prefix, prefix + b"x", prefix + _FRESH]


@lru_cache(maxsize=4096)
def _shortest(wanted: tuple[Values, ...], unwanted: tuple[Values, ...]) -> bytes | None:
    found = shortest([_machine(values) for values in wanted], [_machine(values) for values in unwanted])
    return found.encode() if found is not None else None


@lru_cache(maxsize=1024)
def _machine(values: Values) -> Machine:
    """Raises Undecided where it has none."""
    try:
        if isinstance(values, OneOf):
            return words(sorted(value.decode() for value in values.values), fold=values.fold)
        if isinstance(values, Starts):
            return beginning(values.prefix.decode(), values.length - len(values.prefix), fold=values.fold)
    except UnicodeDecodeError:
        raise Undecided from None
    found = machine_of(values.regex.pattern)
    if found is None:
        raise Undecided
    return found
