"""The declarative field reader: a message is a dataclass whose fields say how they are read.

`text()`, `whole()`, `message(Destination)` and their like make dataclass fields that carry their reader;
`read_message` reads any such class. Every problem is collected with file, line, column and path, nothing is
raised, and a value of the wrong type leaves the field at its default. Knows no kind and no field.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from meshproxy.base.origin import Origin
from meshproxy.model.document import entries, mark, scalar, value_kind
from meshproxy.model.durations import parse_duration
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

    ONE_OF names groups of fields of which one at most may be written. IGNORED names fields that are known and not
    read; a class that is not STRICT ignores all it does not declare: Kubernetes kinds, of which a part is read.
    """

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = ()
    IGNORED: ClassVar[frozenset[str]] = frozenset()
    STRICT: ClassVar[bool] = True

    at: Place = dataclasses.field(default=NOWHERE, compare=False, repr=False)

    def rules(self) -> Iterable[Problem]:
        """What is wrong across the fields of this message."""
        return ()


@dataclass(frozen=True, slots=True)
class _Declared:
    attribute: str
    read: Read
    check: Check | None


@dataclass(frozen=True, slots=True)
class _Table:
    fields: Mapping[str, _Declared]
    required: tuple[str, ...]
    has_rules: bool


@functools.cache
def _table(cls: type[Message]) -> _Table:
    fields: dict[str, _Declared] = {}
    required = []
    for declared in dataclasses.fields(cls):
        if "read" not in declared.metadata:
            continue
        entry = _Declared(declared.name, declared.metadata["read"], declared.metadata["check"])
        spelling = declared.metadata["name"]
        for name in (spelling,) if spelling else (json_name(declared.name), declared.name.rstrip("_")):
            fields[name] = entry
        if declared.metadata["required"]:
            required.append(declared.name)
    return _Table(fields, tuple(required), cls.rules is not Message.rules)


def read_message(cls: type[M], node: Node, at: Place, problems: list[Problem], **values: Any) -> M:
    """The message of class `cls` at `node`, defaults where nothing (usable) is written.

    `values` are fields that are not read: a resource's `meta`.
    """
    table = _table(cls)
    if isinstance(node, MappingNode):
        found, wrong = entries(node)
        problems.extend(_at_node(at, key, message) for key, message in wrong)
        for name, (key, value) in found.items():
            declared = table.fields.get(name)
            if declared is None:
                if cls.STRICT and name not in cls.IGNORED:
                    problems.append(_at_node(at, key, _unknown(cls, name, table.fields)))
                continue
            _read_field(declared, value, at, values, problems)
    elif value_kind(node) != "null":
        problems.append(at.error("", f"expected a mapping, got {_shown(node)}"))
    for name in table.required:
        if not values.get(name) and name not in at.marks:
            problems.append(at.error("", f"{json_name(name)} is required"))
        elif values.get(name) == "":
            problems.append(at.error(name, f"{json_name(name)} must not be empty"))
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
    if name in at.marks:
        spot.wrong(f"{json_name(name)} is written in both spellings: keep one")
        return
    at.marks[name] = mark(value)
    read = declared.read(value, spot)
    if read is not WRONG:
        values[name] = read
        if declared.check is not None and (message := declared.check(read)):
            spot.wrong(message)


def _at_node(at: Place, node: Node, message: str) -> Problem:
    line, column = mark(node)
    path = f"{at.path}.{node.value}" if isinstance(node, ScalarNode) else at.path
    return Problem(SCHEMA_ERROR, Level.ERROR, message, Origin(at.home.file, line, column, at.home.resource, path))


def _unknown(cls: type[Message], name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'unknown field "{name}" in {cls.__name__}{hint}'


def _shown(node: Node) -> str:
    kind = value_kind(node)
    return f"the {kind} {node.value}" if kind in ("number", "boolean") else f"a {kind}"


# --- readers of single values


def _text(node: Node, spot: Spot) -> Any:
    if isinstance(node, ScalarNode) and (kind := value_kind(node)) == "string":
        return node.value
    hint = f': quote it as "{node.value}"' if isinstance(node, ScalarNode) and kind in ("number", "boolean") else ""
    return spot.wrong(f"expected a string, got {_shown(node)}{hint}")


def _boolean(node: Node, spot: Spot) -> Any:
    value = scalar(node) if isinstance(node, ScalarNode) else None
    if isinstance(value, bool):
        return value
    written = f'the string "{node.value}"' if isinstance(value, str) else _shown(node)
    return spot.wrong(f"expected true or false, got {written}")


def _number(node: Node) -> int | float | None:
    """A number, or as proto JSON allows a quoted one."""
    if not isinstance(node, ScalarNode):
        return None
    value = scalar(node)
    if isinstance(value, str):
        value = scalar(ScalarNode("", value))
    return None if isinstance(value, bool | str) else value


def _whole(low: int, high: int) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        value = _number(node)
        if value is None or value != value // 1:
            written = f'"{node.value}"' if isinstance(node, ScalarNode) else _shown(node)
            return spot.wrong(f"expected a whole number, got {written}")
        if not low <= value <= high:
            return spot.wrong(f"{node.value} is not in the range {low} to {high}")
        return int(value)

    return read


def _whole_or_text(node: Node, spot: Spot) -> Any:
    return (_text if value_kind(node) == "string" else _whole(0, UINT32))(node, spot)


def _double(node: Node, spot: Spot) -> Any:
    value = _number(node)
    return spot.wrong(f"expected a number, got {_shown(node)}") if value is None else float(value)


def _duration(node: Node, spot: Spot) -> Any:
    if not isinstance(node, ScalarNode) or value_kind(node) != "string":
        hint = f': write "{node.value}s"' if value_kind(node) == "number" else ""
        return spot.wrong(f'expected a duration such as "1.5s", got {_shown(node)}{hint}')
    seconds = parse_duration(node.value)
    if seconds is None:
        return spot.wrong(f'"{node.value}" is not a duration: write it as "1.5s", "100ms" or "1h30m"')
    return seconds


def _bytes(node: Node, spot: Spot) -> Any:
    written = _text(node, spot)
    if written is WRONG:
        return WRONG
    try:
        return base64.b64decode("".join(written.split()), validate=True)
    except (binascii.Error, ValueError):
        return spot.wrong("expected base64")


def _enum(names: tuple[str, ...]) -> Read:
    """Names, or as proto JSON allows their numbers: the order of `names` is the proto's."""

    def read(node: Node, spot: Spot) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names) and names[value]:
            return names[value]
        known = [name for name in names if name]
        written = f'"{node.value}"' if isinstance(value, str) else _shown(node)
        close = difflib.get_close_matches(str(value).upper(), known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        return spot.wrong(f"{written} is none of {', '.join(known)}{hint}")

    return read


def _message(cls: type[Message]) -> Read:
    def read(node: Node, spot: Spot) -> Message:
        key = where(json_name(spot.name), spot.item)
        return read_message(cls, node, Place(spot.at.home, mark(node), key, spot.at), spot.problems)

    return read


# --- readers of lists and maps


def _list(element: Read, check: Check | None) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        if not isinstance(node, SequenceNode):
            hint = f': write "- {node.value}"' if value_kind(node) == "string" else ""
            return spot.wrong(f"expected a list, got {_shown(node)}{hint}")
        return tuple(
            value
            for index, item in enumerate(node.value)
            if (value := _read_item(item, spot.inside(index, item), element, check)) is not WRONG
        )

    return read


def _map(element: Read, check: Check | None) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        if not isinstance(node, MappingNode):
            return spot.wrong(f"expected a mapping, got {_shown(node)}")
        found, wrong = entries(node)
        spot.problems.extend(_at_node(spot.at, key, message) for key, message in wrong)
        return {
            name: value
            for name, (_, item) in found.items()
            if (value := _read_item(item, spot.inside(name, item), element, check)) is not WRONG
        }

    return read


def _read_item(node: Node, spot: Spot, element: Read, check: Check | None) -> Any:
    value = element(node, spot)
    if value is not WRONG and check is not None and (message := check(value)):
        spot.wrong(message)
    return value


def _not_null(element: Read) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        return spot.wrong("must not be null") if value_kind(node) == "null" else element(node, spot)

    return read


# --- declarations

INT32 = 2**31 - 1
UINT32 = 2**32 - 1
UINT64 = 2**64 - 1


def _field(read: Read, default: Any, *, required: bool = False, name: str = "", check: Check | None = None) -> Any:
    metadata = {"read": read, "required": required, "name": name, "check": check}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def text(check: Check | None = None, *, required: bool = False, name: str = "", default: str | None = "") -> Any:
    """A string, "" where absent. `name` is the written name where it is not the proto JSON one."""
    return _field(_text, default, required=required, name=name, check=check)


def texts(check: Check | None = None, *, required: bool = False, name: str = "") -> Any:
    """A list of strings; `check` is for each."""
    return _field(_list(_not_null(_text), check), (), required=required, name=name)


def text_map(check: Check | None = None) -> Any:
    """A map of strings; `check` is for each value."""
    return _field(_map(_not_null(_text), check), {})


def boolean(default: bool | None = False) -> Any:
    """A bool; `boolean(None)` is a wrapper, None where absent."""
    return _field(_boolean, default)


def whole(low: int = 0, high: int = UINT32, *, default: int | None = 0, required: bool = False, name: str = "") -> Any:
    """A whole number; a wrapper where `default` is None."""
    return _field(_whole(low, high), default, required=required, name=name)


def wholes(low: int = 0, high: int = UINT32) -> Any:
    """A list of whole numbers."""
    return _field(_list(_not_null(_whole(low, high)), None), ())


def whole_map(low: int = 0, high: int = UINT32) -> Any:
    """A map of whole numbers."""
    return _field(_map(_not_null(_whole(low, high)), None), {})


def double(check: Check | None = None, *, default: float | None = 0.0) -> Any:
    """A float; a wrapper where `default` is None."""
    return _field(_double, default, check=check)


def duration(check: Check | None = None, *, required: bool = False) -> Any:
    """Seconds as a float, None where absent."""
    return _field(_duration, None, check=check, required=required)


def octets(*, required: bool = False) -> Any:
    """Bytes, base64 as written, None where absent."""
    return _field(_bytes, None, required=required)


def octets_map() -> Any:
    """A map of bytes, base64 as written."""
    return _field(_map(_not_null(_bytes), None), {})


def enum(*names: str) -> Any:
    """One of `names` (in the proto's order, "" for a number without a name), "" where absent."""
    return _field(_enum(names), "")


def message(cls: type[Message], *, required: bool = False, name: str = "") -> Any:
    """A message, None where absent."""
    return _field(_message(cls), None, required=required, name=name)


def raw() -> Any:
    """The node itself, None where absent: for what is read later, or not at all."""
    return _field(lambda node, _spot: node, None)


def messages(cls: type[Message], *, required: bool = False) -> Any:
    """A list of messages; null among them is an error."""
    return _field(_list(_not_null(_message(cls)), None), (), required=required)


def message_map(cls: type[Message]) -> Any:
    """A map of messages; a null among them is an empty message."""
    return _field(_map(_message(cls), None), {})


def whole_or_text(*, name: str = "") -> Any:
    """Kubernetes' IntOrString: an int or a str, 0 where absent."""
    return _field(_whole_or_text, 0, name=name)
