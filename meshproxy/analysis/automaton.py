"""Machines that accept sets of words, and the shortest word that some accept and others do not.

Owns: the states, the product walk and its bound. Characters are code points; a line break is none. Refuses to know
regexes: `re2_syntax.py` reads those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Set = tuple[tuple[int, int], ...]
"""Characters, as ascending ranges with both ends in them."""

_HIGHEST = 0x10FFFF
_LINE_BREAKS: Set = ((0, 0), (10, 10), (13, 13))
_PLAIN = "xab01/-_.AZ9~% "
"""What a word is made of where there is a choice."""
_MOST_STEPS = 1_500
LAST = 0
"""The state in which a word is accepted."""


def union(one: Set, other: Set) -> Set:
    found: list[tuple[int, int]] = []
    for low, high in sorted((*one, *other)):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def negated(found: Set) -> Set:
    rest: list[tuple[int, int]] = []
    start = 0
    for low, high in union((), found):
        if low > start:
            rest.append((start, low - 1))
        start = high + 1
    if start <= _HIGHEST:
        rest.append((start, _HIGHEST))
    return tuple(rest)


ANY = negated(_LINE_BREAKS)


@dataclass(frozen=True, slots=True)
class _State:
    """Reads one character of `read` and goes to `after`, or goes to any of `after` and reads nothing; `where` is
    what must be so for that: at the start of the word, at its end."""

    read: Set | None
    after: tuple[int, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    states: tuple[_State, ...]
    first: int

    def begun(self) -> frozenset[int]:
        return self._closed((self.first,), "start")

    def accepts(self, states: frozenset[int], *, empty: bool) -> bool:
        """Whether the word may end here."""
        return LAST in states or LAST in self._closed(states, "start end" if empty else "end")

    def step(self, states: Iterable[int], character: int) -> frozenset[int]:
        found = [s.after[0] for s in map(self.states.__getitem__, states) if s.read and _holds(s.read, character)]
        return self._closed(found, "")

    def _closed(self, states: Iterable[int], where: str) -> frozenset[int]:
        """With all states that are reached without reading."""
        seen = set(states)
        open_states = list(seen)
        while open_states:
            state = self.states[open_states.pop()]
            if state.read is None and state.where in where:
                fresh = [each for each in state.after if each not in seen]
                seen.update(fresh)
                open_states += fresh
        return frozenset(seen)


def _holds(found: Set, character: int) -> bool:
    return any(low <= character <= high for low, high in found)


class Builder:
    """Makes the states of one machine, from the last to the first; `most` states, else `refused` is raised."""

    def __init__(self, most: int, refused: type[Exception]) -> None:
        self._states = [_State(None, ())]
        self._most = most
        self._refused = refused

    def _add(self, state: _State) -> int:
        if len(self._states) >= self._most:
            raise self._refused
        self._states.append(state)
        return len(self._states) - 1

    def read(self, characters: Set, after: int) -> int:
        return self._add(_State(characters, (after,)))

    def fork(self, *after: int) -> int:
        return self._add(_State(None, after))

    def join(self, fork: int, *after: int) -> None:
        """Says later where a fork leads."""
        self._states[fork] = _State(None, after)

    def at_start(self, after: int) -> int:
        return self._add(_State(None, (after,), "start"))

    def at_end(self, after: int) -> int:
        return self._add(_State(None, (after,), "end"))

    def machine(self, first: int) -> Machine:
        return Machine(tuple(self._states), first)


def words(texts: Iterable[str], *, fold: bool = False) -> Machine:
    """The machine of some words."""
    builder = Builder(1 << 20, OverflowError)
    return builder.machine(builder.fork(*(_spelled(builder, text, LAST, fold=fold) for text in texts)))


def beginning(prefix: str, more: int = 0, *, fold: bool = False) -> Machine:
    """The machine of the words that begin with `prefix` and have at least `more` characters behind it."""
    builder = Builder(1 << 20, OverflowError)
    loop = builder.fork()
    builder.join(loop, builder.read(ANY, loop), LAST)
    for _ in range(more):
        loop = builder.read(ANY, loop)
    return builder.machine(_spelled(builder, prefix, loop, fold=fold))


def _spelled(builder: Builder, text: str, after: int, *, fold: bool) -> int:
    for character in reversed(text):
        ways = {character, character.lower(), character.upper()} if fold and character.isascii() else {character}
        after = builder.read(union((), tuple((ord(way), ord(way)) for way in ways)), after)
    return after


class Undecided(Exception):  # noqa: N818 (a verdict, not an error)
    """The walk was given up."""


def shortest(wanted: Sequence[Machine], unwanted: Sequence[Machine], characters: Set = ANY) -> str | None:
    """A shortest word that all of `wanted` and none of `unwanted` accept; None: there is none, which is certain.

    Raises Undecided where that takes too long.
    """
    machines = (*wanted, *unwanted)
    must = len(wanted)
    alphabet = _alphabet(machines, characters)
    begun = tuple(machine.begun() for machine in machines)
    seen = {begun}
    queue = deque([(begun, "")])
    steps = 0
    while queue:
        here, word = queue.popleft()
        accepting = (m.accepts(s, empty=not word) for m, s in zip(machines, here, strict=True))
        if all(yes is (number < must) for number, yes in enumerate(accepting)):
            return word
        for character in alphabet:
            steps += 1
            if steps > _MOST_STEPS:
                raise Undecided
            there = tuple(m.step(s, ord(character)) for m, s in zip(machines, here, strict=True))
            if there not in seen and all(there[:must]):
                seen.add(there)
                queue.append((there, word + character))
    return None


def _alphabet(machines: Sequence[Machine], characters: Set) -> list[str]:
    """One of every kind of characters that the machines tell apart."""
    sets = list({state.read: None for machine in machines for state in machine.states if state.read is not None})
    starts = {low for found in (*sets, characters) for low, _ in found}
    starts |= {high + 1 for found in (*sets, characters) for _, high in found if high < _HIGHEST}
    kinds: dict[tuple[bool, ...], str] = {}
    for code in (*map(ord, _PLAIN), *sorted(starts)):
        if _holds(characters, code) and not 0xD800 <= code <= 0xDFFF:
            kinds.setdefault(tuple(_holds(found, code) for found in sets), chr(code))
    return list(kinds.values())
