"""What a regex says beyond doubt: a plain word, a choice of words, a word and anything after it, a first word.

Owns: reading an RE2 pattern as Istio applies it (against the whole value) into the simplest set of values that is
exactly the same. Refuses to guess: what it does not understand stays an opaque regex.
"""

from __future__ import annotations

import re

from meshproxy.analysis.values import OneOf, Opaque, Starts, Values
from meshproxy.plan.regex import Regex

_SPECIAL = frozenset(".+*?()[]{}|^$\\")
_ESCAPED = frozenset(_SPECIAL | set("-/ :;,=&%#@!~'\"<>_"))
#: What may follow a word and leave the set simple: nothing, anything, anything but nothing.
_TAILS = {"": None, ".*": 0, ".+": 1}


def read_pattern(pattern: str) -> Values | None:
    """The values `pattern` admits; None where RE2 refuses it."""
    try:
        regex = Regex(pattern.encode())
    except ValueError:
        return None
    branches = _branches(_unwrapped(pattern))
    read = [_literal(_unanchored(branch)) for branch in branches]
    if all(rest == "" for _, rest in read):
        return OneOf(frozenset(word.encode() for word, _ in read))
    if len(read) > 1:
        return Opaque(regex)
    word, rest = read[0]
    prefix = word.encode()
    if rest in _TAILS:
        return Starts(prefix, len(prefix) + (_TAILS[rest] or 0))
    return Opaque(regex, prefix)


def _unanchored(branch: str) -> str:
    """Without `^` and `$`: the whole value is matched anyway."""
    branch = branch.removeprefix("^")
    if branch.endswith("$") and not re.search(r"(?<!\\)(\\\\)*\\\$$", branch):
        branch = branch[:-1]
    return branch


def _unwrapped(pattern: str) -> str:
    """Without the anchors and the one pair of parentheses around it all, if there is one."""
    inner = _unanchored(pattern) if len(_branches(pattern)) == 1 else pattern
    if not (inner.startswith("(") and inner.endswith(")")):
        return inner
    body = inner[1:-1].removeprefix("?:")
    simple = not body.startswith("?") and not any(c in "()[]" for c in body) and not body.endswith("\\")
    return body if simple else inner


def _branches(pattern: str) -> list[str]:
    """The alternatives at the outermost level; brackets and escapes are stepped over."""
    branches, depth, position, start = [], 0, 0, 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "[":
            position = _after_class(pattern, position)
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            branches.append(pattern[start:position])
            start = position + 1
        position += 1
    return [*branches, pattern[start:]]


def _after_class(pattern: str, position: int) -> int:
    position += 2 if pattern[position + 1 : position + 2] == "^" else 1
    if pattern[position : position + 1] == "]":
        position += 1
    while position < len(pattern) and pattern[position] != "]":
        if pattern.startswith("[:", position):
            position = pattern.find(":]", position) + 1
        elif pattern[position] == "\\":
            position += 1
        position += 1
    return position + 1


def _literal(branch: str) -> tuple[str, str]:
    """The plain characters at the head of `branch`, and the rest of it."""
    word: list[str] = []
    starts: list[int] = []
    position = 0
    while position < len(branch):
        character, length = branch[position], 1
        if character == "\\" and branch[position + 1 : position + 2] in _ESCAPED:
            character, length = branch[position + 1], 2
        elif character in _SPECIAL:
            break
        word.append(character)
        starts.append(position)
        position += length
    if branch[position : position + 1] in ("*", "?", "+", "{") and word:
        position = starts[-1]  # the quantifier's character is not certain
        word.pop()
    return "".join(word), branch[position:]
