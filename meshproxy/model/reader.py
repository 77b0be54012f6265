"""The declarative field reader: a message is a dataclass whose fields (see `fields.py`) say how they are read.

`read_message` reads any such class. Every problem is collected with file, line, column and path, nothing is
raised, and a value of the wrong type leaves the field at its default. Knows no kind and no field.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from yaml import MappingNode, Node, ScalarNode

from meshproxy.base.origin import Origin
from meshproxy.model.document import entries, mark, value_kind
from meshproxy.model.place import NOWHERE, Place, json_name, where
from meshproxy.model.problem import SCHEMA_ERROR, Level, Problem

WRONG: Any = object()
"""What a reader gives for a value it reported."""

Check = Callable[[Any], str | None]
"""Says what is wrong with a value of the right type, or None."""

M = TypeVar("M", bound="Message")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value stands: the field `name` (snake_case) of the message at `at`, element or entry `item` of it."""

    at: Place
    name: str
    item: int | str | None
    problems: list[Problem]

    def wrong(self, message: str) -> Any:
        self.problems.append(self.at.error(self.name, message, self.item))
        return WRONG

    def inside(self, item: int | str, node: Node) -> Spot:
        self.at.marks[where(self.name, item)] = mark(node)
        return Spot(self.at, self.name, item, self.problems)


Read = Callable[[Node, Spot], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as written. `at` is its place; it counts for nothing when messages are compared.

    ONE_OF names groups of fields of which one at most may be written. A PROTO message may be written with the
    proto's names too (`export_to`). IGNORED names fields that are known and not read; a class that is not STRICT
    ignores all it does not declare: Kubernetes kinds, of which a part is read.
    """

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = ()
    IGNORED: ClassVar[frozenset[str]] = frozenset()
    PROTO: ClassVar[bool] = True
    STRICT: ClassVar[bool] = True

    at: Place = dataclasses.field(default=NOWHERE, compare=False, repr=False)

    def rules(self) -> Iterable[Problem]:
        """What is wrong across the fields of this message."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial(Message):
    """A message of Kubernetes of which only a part is read."""

    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Message):
    """A message of Istio of which only a part is read."""

    STRICT: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class _Declared:
    attribute: str
    read: Read
    check: Check | None
    required: bool


@dataclass(frozen=True, slots=True)
class _Table:
    fields: Mapping[str, _Declared]
    required: tuple[str, ...]
    has_rules: bool


_TABLES: dict[type, _Table] = {}


def _table(cls: type[Message]) -> _Table:
    fields: dict[str, _Declared] = {}
    required = []
    for declared in dataclasses.fields(cls):
        if "read" not in declared.metadata:
            continue
        entry = _Declared(declared.name, **declared.metadata)
        fields[json_name(declared.name)] = entry
        if cls.PROTO:
            fields[declared.name.rstrip("_")] = entry
        if entry.required:
            required.append(declared.name)
    table = _TABLES[cls] = _Table(fields, tuple(required), cls.rules is not Message.rules)
    return table


def read_message(cls: type[M], node: Node, at: Place, problems: list[Problem], **values: Any) -> M:
    """The message of class `cls` at `node`, defaults where nothing (usable) is written.

    `values` are fields that are not read: a resource's `meta`.
    """
    table = _TABLES.get(cls) or _table(cls)
    if isinstance(node, MappingNode):
        found, wrong = entries(node)
        problems.extend(error_at(at, key, message) for key, message in wrong)
        for name, (key, value) in found.items():
            declared = table.fields.get(name)
            if declared is None:
                if cls.STRICT and name not in cls.IGNORED:
                    problems.append(error_at(at, key, _unknown(cls, name, table.fields)))
                continue
            _read_field(declared, value, at, values, problems)
    elif value_kind(node) != "null":
        problems.append(at.error("", f"expected a mapping, got {shown(node)}"))
    missing = (name for name in table.required if name not in at.marks)
    problems.extend(at.error("", f"{json_name(name)} is required") for name in missing)
    for group in cls.ONE_OF:
        given = [name for name in group if name in at.marks]
        if len(given) > 1:
            named = " and ".join(json_name(name) for name in given)
            problems.append(at.error(given[1], f"{named} exclude each other: keep one"))
    made = cls(at=at, **values)
    if table.has_rules:
        problems.extend(made.rules())
    return made


def _read_field(declared: _Declared, value: Node, at: Place, values: dict[str, Any], problems: list[Problem]) -> None:
    if isinstance(value, ScalarNode) and value_kind(value) == "null":
        return
    name = declared.attribute
    spot = Spot(at, name, None, problems)
    twice = name in at.marks
    at.marks[name] = mark(value)
    if twice:
        spot.wrong(f"{json_name(name)} is written in both spellings: keep one")
        return
    read = declared.read(value, spot)
    if read is not WRONG:
        values[name] = read
        if declared.required and read in ("", ()) and not value.value:
            spot.wrong(f"{json_name(name)} must not be empty")
        elif declared.check is not None and (message := declared.check(read)):
            spot.wrong(message)


def error_at(at: Place, key: Node, message: str, field: str = "") -> Problem:
    """An error at a key of a message, or of the map that is its `field`."""
    steps = (at.path, json_name(field), key.value if isinstance(key, ScalarNode) else "")
    path = ".".join(filter(None, steps))
    return Problem(SCHEMA_ERROR, Level.ERROR, message, Origin(at.home.file, *mark(key), at.home.resource, path))


def _unknown(cls: type[Message], name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'unknown field "{name}" in {cls.__name__}{hint}'


def shown(node: Node) -> str:
    """A value as an error message names it."""
    kind = value_kind(node)
    return f"the {kind} {node.value}" if kind in ("number", "boolean") else f"a {kind}"
