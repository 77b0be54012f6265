"""`%START_TIME(format)%`: a Unix time in the words of strftime and `%3f`; always UTC. Owns no clock."""

from __future__ import annotations

import re
import time

DEFAULT = "%Y-%m-%dT%H:%M:%S.%3fZ"
_SPECIFIER = re.compile(r"%(?:([1-9]?)f|([EO]?[a-zA-Z%]))")
_HALF = 0.0000005  # of a microsecond: a float of today's Unix time is no finer than 0.2 µs
_WHOLE = 1 - _HALF
_KNOWN = frozenset("aAbBcCdDeFgGhHIjmMprRsSTuUVwWxXyYzZ%")


class StartTime:
    """`render` renders a time, to the microsecond. All but the fraction is kept for the second it was made in; where
    that is milliseconds, as usual, the whole: requests come many a millisecond."""

    __slots__ = ("_behind", "_digits", "_milliseconds", "_pieces", "_second", "_template", "_text", "render")

    def __init__(self, pattern: str) -> None:
        self._pieces: list[str] = []  # strftime patterns, and the fractions' `%0nd` between them
        self._digits: list[int] = []  # how many each fraction has
        self._second = -1
        self._template = ""
        self._milliseconds = -1
        self._text = self._behind = ""
        self._parse(pattern or DEFAULT)
        self.render = self._in_milliseconds if self._digits == [3] else self._in_any

    def _in_any(self, at: float) -> str:
        offset = at - self._second
        if not 0 <= offset < _WHOLE:
            self._second = int(at + _HALF)
            self._template = "".join(self._rendered(self._second))
            offset = max(at - self._second, 0.0)
        micro = int((offset + _HALF) * 1_000_000)
        return self._template % tuple([micro * 1000 // 10 ** (9 - digits) for digits in self._digits])

    def _in_milliseconds(self, at: float) -> str:
        milliseconds = int((at + _HALF) * 1000)
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            second, fraction = divmod(milliseconds, 1000)
            if second != self._second:
                self._second = second
                texts, number = self._rendered(second), self._pieces.index("%03d")
                parts = texts[:number], texts[number + 1 :]
                self._template, self._behind = ("".join(part).replace("%%", "%") for part in parts)
            self._text = f"{self._template}{fraction:03d}{self._behind}"
        return self._text

    def _rendered(self, second: int) -> list[str]:
        moment = time.gmtime(second)
        fixed = {"%s": str(second), "%Z": "UTC", "%z": "+0000"}
        out: list[str] = []
        for piece in self._pieces:
            if piece.startswith("%0"):
                out.append(piece)
            else:
                text = fixed[piece] if piece in fixed else time.strftime(piece, moment)
                out.append(text.replace("%", "%%"))
        return out

    def _parse(self, pattern: str) -> None:
        position = 0
        while (start := pattern.find("%", position)) >= 0:
            self._literal(pattern[position:start])
            found = _SPECIFIER.match(pattern, start)
            if found is None or (found[2] and found[2] not in _KNOWN):
                raise ValueError(f"not a time format: {pattern[start : start + 2]!r}")
            if found[2]:
                self._pieces.append(found[0])
            else:
                digits = int(found[1] or 9)
                self._digits.append(digits)
                self._pieces.append(f"%0{digits}d")
            position = found.end()
        self._literal(pattern[position:])

    def _literal(self, text: str) -> None:
        if "\n" in text:
            raise ValueError("a time format has no line end")
        if text:
            self._pieces.append(text)
