"""An RE2 pattern as a machine that reads one character after the other.

Owns the syntax: what RE2 accepts is either read exactly or refused (None), never guessed at. Word boundaries, Unicode
classes, `\\Q…\\E` and the flags `m` and `U` are refused. The pattern is taken to be one that RE2 accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from meshproxy.analysis.automaton import LAST, Builder, Machine, Set, negated, union

_MOST_STATES = 2_000
_DIGIT: Set = ((48, 57),)
_WORD: Set = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Set = ((9, 10), (12, 13), (32, 32))
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_POSIX: dict[str, Set] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "digit": _DIGIT,
    "lower": ((97, 122),),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\?(?:P?<\w+>|([is]*)(?:-([is]+))?([:)]))")
_HEX = re.compile(r"x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))")
_FOLDED_BEYOND_ASCII = {"k": 0x212A, "s": 0x17F}

Node = Callable[[int], int]
"""Given the state that comes after, makes the states for one part of the pattern and gives the first."""


class _Refused(Exception):  # noqa: N818 (a verdict, not an error)
    """Nothing is said about this pattern."""


@lru_cache(maxsize=1024)
def machine_of(pattern: bytes) -> Machine | None:
    """The machine that accepts what `pattern` matches as a whole; None where the syntax is not understood."""
    try:
        text = pattern.decode()
        reader = _Reader(text)
        node = reader.alternatives()
        if reader.position < len(text):
            return None
        return reader.builder.machine(node(LAST))
    except (UnicodeDecodeError, _Refused, RecursionError):
        return None


class _Reader:
    """Recursive descent over the pattern; `fold` is the flag `i` where it stands now."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.fold = False
        self.builder = Builder(_MOST_STATES, _Refused)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise _Refused
        self.position += 1
        return character

    def alternatives(self) -> Node:
        branches = [self._sequence()]
        while self._peek() == "|":
            self.position += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else self._either(branches)

    def _either(self, branches: list[Node]) -> Node:
        return lambda after: self.builder.fork(*(branch(after) for branch in branches))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))

        def node(after: int) -> int:
            for part in reversed(parts):
                after = part(after)
            return after

        return node

    def _repeated(self, part: Node) -> Node:
        while True:
            counted = _REPEAT.match(self.text, self.position)
            if self._peek() in _QUANTIFIERS:
                low, high = _QUANTIFIERS[self._next()]
            elif counted:
                self.position = counted.end()
                low = int(counted[1])
                high = low if counted[2] is None else int(counted[3]) if counted[3] else None
            else:
                return part
            if self._peek() == "?":  # lazy: the same words
                self.position += 1
            part = self._times(part, low, high)

    def _times(self, part: Node, low: int, high: int | None) -> Node:
        def node(after: int) -> int:
            if high is None:
                loop = self.builder.fork()
                self.builder.join(loop, part(loop), after)
                after = loop
            else:
                for _ in range(high - low):
                    after = self.builder.fork(part(after), after)
            for _ in range(low):
                after = part(after)
            return after

        return node

    def _atom(self) -> Node:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._one_of(self._class())
        if character == ".":
            return self._one_of(negated(((10, 10),)))
        if character == "^":
            return self.builder.at_start
        if character == "$":
            return self.builder.at_end
        if character == "\\":
            return self._escape()
        if character in "*+?":
            raise _Refused
        return self._one_of(self._folded(((ord(character), ord(character)),)))

    def _group(self) -> Node:
        before = self.fold
        opened = _GROUP.match(self.text, self.position)
        if opened is None and self._peek() == "?":
            raise _Refused
        if opened is not None:
            self.position = opened.end()
            self._flags(opened[1] or "", opened[2] or "")
            if opened[3] == ")":
                if self._peek() in _QUANTIFIERS or self._peek() == "{":
                    raise _Refused  # RE2 repeats what stands before the flags
                return lambda after: after
        node = self.alternatives()
        if self._next() != ")":
            raise _Refused
        self.fold = before
        return node

    def _flags(self, on: str, off: str) -> None:
        if "i" in on + off:  # `s` is about line breaks, and there are none
            self.fold = "i" in on and "i" not in off

    def _escape(self) -> Node:
        character = self._peek()
        if character == "A":
            self.position += 1
            return self.builder.at_start
        if character == "z":
            self.position += 1
            return self.builder.at_end
        return self._one_of(self._spelled(self._escaped()))

    def _escaped(self) -> Set:
        """What follows a backslash, in a class or not: one character as written, or many."""
        coded = _HEX.match(self.text, self.position)
        if coded:
            self.position = coded.end()
            code = int(coded[1] or coded[2], 16)
            return ((code, code),)
        character = self._next()
        if character.lower() in _CLASSES:
            found = _CLASSES[character.lower()]
            folded = self._folded(found)
            return folded if character.islower() else negated(folded)
        if character in _CONTROLS:
            return ((_CONTROLS[character], _CONTROLS[character]),)
        if character.isalnum() or ord(character) > 127:
            raise _Refused
        return ((ord(character), ord(character)),)

    def _class(self) -> Set:
        found: Set = ()
        inverted = self._peek() == "^"
        self.position += inverted
        first = True
        while first or self._peek() != "]":
            first = False
            found = union(found, self._class_item())
        self.position += 1
        return negated(found) if inverted else found

    def _class_item(self) -> Set:
        if self.text.startswith("[:", self.position):
            name, closed, _ = self.text[self.position + 2 :].partition(":]")
            if not closed or name.lstrip("^") not in _POSIX:
                raise _Refused
            self.position += len(name) + 4
            found = self._folded(_POSIX[name.lstrip("^")])
            return negated(found) if name.startswith("^") else found
        low = self._class_character()
        if self._peek() != "-" or self.text[self.position + 1 : self.position + 2] in ("]", ""):
            return self._spelled(low)
        self.position += 1
        high = self._class_character()
        return self._folded(((low[0][0], high[-1][1]),))

    def _class_character(self) -> Set:
        character = self._next()
        if character == "\\":
            return self._escaped()
        return ((ord(character), ord(character)),)

    def _spelled(self, found: Set) -> Set:
        """One character with its other letter case; `\\w` and its like have both already."""
        return self._folded(found) if found[0][0] == found[-1][1] else found

    def _folded(self, found: Set) -> Set:
        """With the other letter case, where that counts."""
        if not self.fold:
            return found
        codes = [code for low, high in found for code in range(low, min(high, 127) + 1)]
        if any(high > 127 for _, high in found):
            raise _Refused
        both = {ord(way) for code in codes for way in (chr(code).lower(), chr(code).upper())}
        both |= {_FOLDED_BEYOND_ASCII[chr(code)] for code in both if chr(code) in _FOLDED_BEYOND_ASCII}
        return union((), tuple((code, code) for code in both))

    def _one_of(self, found: Set) -> Node:
        return lambda after: self.builder.read(found, after)
