"""`%START_TIME(format)%`: a Unix time in the words of strftime and `%3f`; always UTC. Owns no clock."""

from __future__ import annotations

import re
import time

DEFAULT = "%Y-%m-%dT%H:%M:%S.%3fZ"
_SPECIFIER = re.compile(r"%(?:([1-9]?)f|([EO]?[a-zA-Z%]))")
_HALF = 0.0000005  # of a microsecond: a float of today's Unix time is no finer than 0.2 µs
_WHOLE = 1 - _HALF
_MILLISECONDS = [f"{number:03d}" for number in (*range(1000), 999)]  # what is rounded up to 1 is not the next second
_KNOWN = frozenset("aAbBcCdDeFgGhHIjmMprRsSTuUVwWxXyYzZ%")


class StartTime:
    """Renders a time. All but the fraction is kept for the second it was made in: requests come many a second."""

    __slots__ = ("_behind", "_digits", "_pieces", "_second", "_template")

    def __init__(self, pattern: str) -> None:
        self._pieces: list[str] = []  # strftime patterns, and the fractions' `%0nd` between them
        self._digits: list[int] = []  # how many each fraction has
        self._second = -1
        self._template = ""
        self._behind: str | None = None  # what follows the milliseconds, where they are the only fraction
        self._parse(pattern or DEFAULT)

    def render(self, at: float) -> str:
        """`at` as the pattern says, to the microsecond."""
        offset = at - self._second
        if not 0 <= offset < _WHOLE:
            offset = self._turn(at)
        if self._behind is not None:
            return self._template + _MILLISECONDS[int((offset + _HALF) * 1000)] + self._behind
        micro = int((offset + _HALF) * 1_000_000)
        return self._template % tuple([micro * 1000 // 10 ** (9 - digits) for digits in self._digits])

    def _turn(self, at: float) -> float:
        """Another second than the one before: its text, and how far into it we are."""
        self._second = int(at + _HALF)
        texts = self._rendered(self._second)
        if self._digits == [3]:
            fraction = self._pieces.index("%03d")
            before, behind = texts[:fraction], texts[fraction + 1 :]
            self._template, self._behind = ("".join(part).replace("%%", "%") for part in (before, behind))
        else:
            self._template = "".join(texts)
        return max(at - self._second, 0.0)

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
