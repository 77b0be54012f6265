"""RE2 patterns (as in Istio: no look-around, no back-references, linear time), on bytes.

The lower-level binding is used: the wrapper's `fullmatch` costs six times as much. Raises `ValueError` for a
pattern RE2 refuses. Pickles by its pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from re2 import _re2

_BOTH = _re2.RE2.Anchor.ANCHOR_BOTH
_UNANCHORED = _re2.RE2.Anchor.UNANCHORED
_NOTHING = (-1, -1)


def _options() -> Any:
    options = _re2.RE2.Options()
    options.log_errors = False
    return options


class Regex:
    """One compiled pattern; equal and hashable by its text."""

    __slots__ = ("_re2", "pattern")

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self._re2 = _re2.RE2(pattern, _options())
        if not self._re2.ok():
            error = self._re2.error()
            raise ValueError(error.decode() if isinstance(error, bytes) else str(error))

    def matches(self, value: bytes) -> bool:
        """Whether the whole of `value` matches."""
        found: bool = self._re2.Match(_BOTH, value, 0, len(value))[0] != _NOTHING
        return found

    def substitute(self, value: bytes, rewrite: bytes) -> bytes:
        """Every non-overlapping match replaced, from left to right; `\\1` a group, `\\0` the whole match,
        `\\\\` a backslash (RE2::GlobalReplace). An empty match right behind the last one is not one."""
        out = bytearray()
        position, last_end = 0, -1
        while position <= len(value):
            spans = self._re2.Match(_UNANCHORED, value, position, len(value))
            start, end = spans[0]
            if start < 0:
                break
            out += value[position:start]
            if start == end == last_end:
                step = _character_length(value, start)
                out += value[start : start + step]
                position = start + step
            else:
                out += _expanded(rewrite, value, spans)
                position = last_end = end
        return bytes(out + value[position:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"

    def __reduce__(self) -> tuple[type[Regex], tuple[bytes]]:
        return Regex, (self.pattern,)


def _character_length(value: bytes, position: int) -> int:
    """Of the UTF-8 character there, 1 where there is none."""
    for length in (1, 2, 3, 4):
        try:
            value[position : position + length].decode()
        except UnicodeDecodeError:
            continue
        return length
    return 1


def _expanded(rewrite: bytes, value: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    out = bytearray()
    position = 0
    while position < len(rewrite):
        byte = rewrite[position : position + 1]
        position += 1
        if byte != b"\\":
            out += byte
            continue
        escaped = rewrite[position : position + 1]
        position += 1
        if escaped.isdigit():
            group = int(escaped)
            start, end = spans[group] if group < len(spans) else _NOTHING
            out += value[start:end] if start >= 0 else b""
        else:
            out += escaped
    return bytes(out)


class RegexSet:
    """Many patterns asked at once: `matching(value)` gives the indices of all that match the whole value, in order.

    One pass of RE2 over the value, whatever the number of patterns, as long as they fit RE2's memory; RE2 crashes or
    says "no match" where they do not, so what does not fit is split, and a pattern that always matches stands guard.
    """

    __slots__ = ("_parts", "patterns")

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self.patterns = tuple(patterns)
        regexes = [Regex(pattern) for pattern in self.patterns]
        self._parts: list[tuple[int, list[Regex], Any]] = []
        self._add(0, regexes)

    def _add(self, start: int, regexes: list[Regex]) -> None:
        if not regexes:
            return
        compiled = _compiled_set(regexes)
        if compiled is None and len(regexes) > 1:
            middle = len(regexes) // 2
            self._add(start, regexes[:middle])
            self._add(start + middle, regexes[middle:])
        else:
            self._parts.append((start, regexes, compiled))

    def matching(self, value: bytes) -> list[int]:
        found: list[int] = []
        for start, regexes, compiled in self._parts:
            indices: list[int] = compiled.Match(value) if compiled is not None else []
            if len(regexes) in indices:
                found += sorted(start + index for index in indices if index < len(regexes))
            else:
                found += [start + index for index, regex in enumerate(regexes) if regex.matches(value)]
        return found

    def __reduce__(self) -> tuple[type[RegexSet], tuple[tuple[bytes, ...]]]:
        return RegexSet, (self.patterns,)


_SET_MEMORY = 64 << 20  # a bound, not an allocation: 10,000 patterns fit
_ALWAYS = rb"\C*"


def _compiled_set(regexes: list[Regex]) -> Any | None:
    """An RE2 set with the guard behind the last pattern, or None where RE2's memory does not suffice."""
    options = _options()
    options.max_mem = _SET_MEMORY
    compiled = _re2.Set(_BOTH, options)
    for regex in regexes:
        compiled.Add(regex.pattern)
    compiled.Add(_ALWAYS)
    return compiled if compiled.Compile() else None
