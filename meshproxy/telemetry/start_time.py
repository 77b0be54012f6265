"""`%START_TIME(format)%`: a Unix time in the words of strftime and `%3f`; always UTC. Owns no clock."""

from __future__ import annotations

import re
import time

DEFAULT = "%Y-%m-%dT%H:%M:%S.%3fZ"
_SPECIFIER = re.compile(r"%(?:([1-9]?)f|([EO]?[a-zA-Z%]))")
_KNOWN = frozenset("aAbBcCdDeFgGhHIjmMprRsSTuUVwWxXyYzZ%")


class StartTime:
    """Renders a time. All but the fraction is kept for the second it was made in: requests come many a second."""

    __slots__ = ("_pieces", "_scales", "_second", "_template")

    def __init__(self, pattern: str) -> None:
        self._pieces: list[str] = []  # strftime patterns, and the fractions' `%0nd` between them
        self._scales: list[int] = []  # nanoseconds in the last digit of each fraction
        self._second = -1
        self._template = ""
        self._parse(pattern or DEFAULT)

    def __call__(self, at: float) -> str:
        second, micro = divmod(int(at * 1_000_000 + 0.5), 1_000_000)
        if second != self._second:
            self._template = self._rendered(second)
            self._second = second
        return self._template % tuple([micro * 1000 // scale for scale in self._scales])

    def _rendered(self, second: int) -> str:
        moment = time.gmtime(second)
        fixed = {"%s": str(second), "%Z": "UTC", "%z": "+0000"}
        out: list[str] = []
        for piece in self._pieces:
            if piece.startswith("%0"):
                out.append(piece)
            else:
                text = fixed[piece] if piece in fixed else time.strftime(piece, moment)
                out.append(text.replace("%", "%%"))
        return "".join(out)

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
                self._scales.append(10 ** (9 - digits))
                self._pieces.append(f"%0{digits}d")
            position = found.end()
        self._literal(pattern[position:])

    def _literal(self, text: str) -> None:
        if "\n" in text:
            raise ValueError("a time format has no line end")
        if text:
            self._pieces.append(text)
