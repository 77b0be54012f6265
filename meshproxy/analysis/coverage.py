"""Whether anything is left for a rule once the rules before it have had their pick.

Owns the search for a request that a block of conditions takes and none of the earlier blocks does. A block is a
conjunction of literals; the search makes a request, looks which earlier block takes it, and falsifies that block's
open literals one after the other. A finding needs every branch refuted by proof, so it is never wrong; where the
search runs out of steps, or a regex keeps its secret, there is no finding. Requests are text: `*` of `OPTIONS *`
is no path, and no header value holds a line break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from meshproxy.analysis.values import OneOf, Opaque, Starts, Values, example
from meshproxy.plan.match import JOINED

_STEPS = 400
_MOST_ASKED = 100


class Arity(Enum):
    """How many values a request has for a subject: always one, one or none, any number of lines."""

    ONE = auto()
    OPTIONAL = auto()
    MANY = auto()


_ARITY = {
    "uri": Arity.ONE,
    "scheme": Arity.ONE,
    "method": Arity.ONE,
    "authority": Arity.ONE,
    "port": Arity.ONE,
    "gateway": Arity.ONE,
    "header": Arity.MANY,
}
_WISHES: Mapping[str, tuple[bytes, ...]] = {"method": (b"GET", b"POST", b"PUT"), "uri": (b"/",)}


class Subject(NamedTuple):
    """What a condition is about: `Subject("uri")`, `Subject("header", "end-user")`."""

    kind: str
    name: str = ""

    @property
    def arity(self) -> Arity:
        if self.kind == "header" and self.name.encode() in JOINED:
            return Arity.OPTIONAL  # its lines are one value
        return _ARITY.get(self.kind, Arity.OPTIONAL)


URI = Subject("uri")


@dataclass(frozen=True, slots=True)
class Literal:
    """One value of the subject is among `values`; not `positive`: none is."""

    subject: Subject
    values: Values
    positive: bool = True

    def negated(self) -> Literal:
        return Literal(self.subject, self.values, not self.positive)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One match block of one rule. `takes` is false where what it matches may still go on to later rules."""

    rule: int
    match: int | None
    literals: tuple[Literal, ...]
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Covered:
    """`by` are the blocks that leave nothing (none: the block contradicts itself); `witness` is a request, in
    words, that `block` would have taken, where one is known for certain."""

    block: Block
    by: tuple[Block, ...]
    witness: str = ""


@dataclass(slots=True)
class _Facts:
    """What is assumed of one subject: values it must have, values it must not have."""

    wanted: tuple[Values, ...] = ()
    unwanted: tuple[Values, ...] = ()

    def possible(self, arity: Arity) -> bool:
        if arity is Arity.MANY:
            return all(example((values,), self.unwanted) is not None for values in self.wanted)
        if arity is Arity.OPTIONAL and not self.wanted:
            return True
        return example(self.wanted, self.unwanted) is not None

    def values(self, subject: Subject) -> tuple[tuple[bytes, ...], bool]:
        """Values that fit, and whether they are certain to."""
        found: list[tuple[bytes, tuple[Values, ...]]] = []
        if subject.arity is Arity.MANY:
            found = [(example((w,), self.unwanted) or b"", (w,)) for w in self.wanted]
        elif subject.arity is Arity.ONE or self.wanted:
            wishes = [v for v in _WISHES.get(subject.kind, ()) if self._fits(v, self.wanted)]
            found = [(wishes[0] if wishes else example(self.wanted, self.unwanted) or b"", self.wanted)]
        return tuple(value for value, _ in found), all(self._fits(value, wanted) for value, wanted in found)

    def _fits(self, value: bytes, wanted: Sequence[Values]) -> bool:
        return all(w.holds(value) for w in wanted) and not any(u.holds(value) for u in self.unwanted)


_NOTHING_KNOWN = _Facts()


@dataclass(slots=True)
class _State:
    """Facts by subject; grows by `assume`, which gives None where that is proven impossible."""

    facts: dict[Subject, _Facts]
    requests: dict[Subject, tuple[tuple[bytes, ...], bool]] = field(default_factory=dict)

    def assume(self, literal: Literal) -> _State | None:
        old = self.facts.get(literal.subject, _NOTHING_KNOWN)
        if literal.positive:
            new = _Facts((*old.wanted, literal.values), old.unwanted)
        else:
            new = _Facts(old.wanted, (*old.unwanted, literal.values))
        if not new.possible(literal.subject.arity):
            return None
        return _State({**self.facts, literal.subject: new})

    def may_hold(self, literal: Literal) -> bool:
        """Whether the request this state stands for fulfils the literal, or may for all that is known."""
        subject = literal.subject
        made = self.requests.get(subject)
        if made is None:
            made = self.facts.get(subject, _NOTHING_KNOWN).values(subject)
            self.requests[subject] = made
        values, certain = made
        if certain:
            return any(literal.values.holds(value) for value in values) is literal.positive
        return self.assume(literal) is not None


class Coverage:
    """The blocks of one table in order, each asked once with `check`, from the first to the last.

    Blocks are found again by their path, so that a table costs little more than its length.
    """

    def __init__(self, domain: Mapping[Subject, Values]) -> None:
        self._domain = {subject: _Facts((values,)) for subject, values in domain.items()}
        self._domain.setdefault(URI, _Facts((Starts(b"/", 1),)))
        self._exact: dict[bytes, list[Block]] = {}
        self._prefix: dict[bytes, list[Block]] = {}
        self._anywhere: list[Block] = []
        self._added: list[Block] = []
        self._regexes = False

    def check(self, block: Block) -> Covered | None:
        """Whether the blocks added so far leave nothing to `block`."""
        state: _State | None = _State(dict(self._domain))
        for literal in block.literals:
            state = state.assume(literal) if state is not None else None
        if state is None:
            return Covered(block, ())
        search = _Search(self._candidates(block))
        by = search.refuted(state)
        if by is None:
            return None
        return Covered(block, tuple(sorted(by, key=lambda b: (b.rule, b.match or 0))), _words(state))

    def add(self, block: Block) -> None:
        path = _path(block)
        if not block.takes:
            return
        self._added.append(block)
        self._regexes |= isinstance(path, Opaque)
        if isinstance(path, OneOf) and not path.fold:
            for value in path.values:
                self._exact.setdefault(value, []).append(block)
        elif not isinstance(path, OneOf) and path.prefix and not path.fold:
            self._prefix.setdefault(path.prefix, []).append(block)
        else:
            self._anywhere.append(block)

    def _candidates(self, block: Block) -> list[Block]:
        """The earlier blocks that could have a part in leaving nothing: the others ask for a path that this
        block's requests need not have. Regexes know no such order: with one, all blocks of a table of common
        length are."""
        path = _path(block)
        if len(self._added) <= _MOST_ASKED and (self._regexes or isinstance(path, Opaque)):
            return self._added
        heads = sorted(path.values) if isinstance(path, OneOf) else [path.prefix or b"/"]
        if path.fold:
            heads = [h for head in heads for h in (head, head.lower(), head.upper())]
        found = dict.fromkeys(self._anywhere)
        for head in heads:
            found |= dict.fromkeys(self._exact.get(head, ()))
            for end in range(len(head) + 1):
                found |= dict.fromkeys(self._prefix.get(head[:end], ()))
        return sorted(found, key=lambda b: (b.rule, b.match or 0))


class _Search:
    """One search, with its steps counted."""

    def __init__(self, candidates: Sequence[Block]) -> None:
        self._candidates = candidates
        self._steps = _STEPS

    def refuted(self, state: _State) -> frozenset[Block] | None:
        """The blocks that between them take every request of `state`; None if some request is left, or may be."""
        self._steps -= 1
        taker = next((b for b in self._candidates if all(map(state.may_hold, b.literals))), None)
        if taker is None or self._steps < 0:
            return None
        by = frozenset((taker,))
        for literal in taker.literals:
            rest = state.assume(literal.negated())
            if rest is None:
                continue
            found = self.refuted(rest)
            if found is None:
                return None
            by |= found
        return by


def _path(block: Block) -> Values:
    """The narrowest thing said of the path."""
    return next((lit.values for lit in block.literals if lit.subject == URI and lit.positive), Starts(b"/", 1))


def _words(state: _State) -> str:
    """A request of `state` in words, empty where none is certain."""
    parts: dict[str, list[str]] = {"method": ["GET"], "uri": ["/"]}
    for subject, facts in state.facts.items():
        values, certain = facts.values(subject)
        if not certain:
            return ""
        shown = [value.decode("utf-8", "replace") for value in values]
        parts.setdefault(subject.kind, [])
        parts[subject.kind] = shown if not subject.name else parts[subject.kind] + _named(subject, shown)
    extra = ", ".join([*parts.get("header", ()), *parts.get("query", ())])
    return f"{parts['method'][0]} {parts['uri'][0]}" + (f" with {extra}" if extra else "")


def _named(subject: Subject, values: Sequence[str]) -> list[str]:
    between = ": " if subject.kind == "header" else "="
    return [f"{subject.name}{between}{value}" for value in values]
