"""The declarations of fields: `text()`, `whole()`, `message(Destination)` and their like make dataclass fields that
carry their reader. What proto JSON allows for a type is decided here; what a single kind allows is not.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from meshproxy.model.document import Source, entries, mark, read_documents, scalar, value_kind
from meshproxy.model.durations import parse_duration
from meshproxy.model.place import Place, json_name, where
from meshproxy.model.reader import WRONG, Check, Message, Read, Spot, error_at, read_message, shown

# --- readers of single values


def _text(node: Node, spot: Spot) -> Any:
    if isinstance(node, ScalarNode) and (kind := value_kind(node)) == "string":
        return node.value
    hint = f': quote it as "{node.value}"' if isinstance(node, ScalarNode) and kind in ("number", "boolean") else ""
    return spot.wrong(f"expected a string, got {shown(node)}{hint}")


def _boolean(node: Node, spot: Spot) -> Any:
    value = scalar(node) if isinstance(node, ScalarNode) else None
    if isinstance(value, bool):
        return value
    written = f'the string "{node.value}"' if isinstance(value, str) else shown(node)
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
            written = f'"{node.value}"' if isinstance(node, ScalarNode) else shown(node)
            return spot.wrong(f"expected a whole number, got {written}")
        if not low <= value <= high:
            return spot.wrong(f"{node.value} is not in the range {low} to {high}")
        return int(value)

    return read


def _whole_or_text(node: Node, spot: Spot) -> Any:
    return (_text if value_kind(node) == "string" else _whole(0, UINT32))(node, spot)


def _double(node: Node, spot: Spot) -> Any:
    value = _number(node)
    return spot.wrong(f"expected a number, got {shown(node)}") if value is None else float(value)


def _duration(node: Node, spot: Spot) -> Any:
    if not isinstance(node, ScalarNode) or value_kind(node) != "string":
        hint = f': write "{node.value}s"' if value_kind(node) == "number" else ""
        return spot.wrong(f'expected a duration such as "1.5s", got {shown(node)}{hint}')
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
        written = f'"{node.value}"' if isinstance(value, str) else shown(node)
        close = difflib.get_close_matches(str(value).upper(), known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        return spot.wrong(f"{written} is none of {', '.join(known)}{hint}")

    return read


def _message(cls: type[Message]) -> Read:
    def read(node: Node, spot: Spot) -> Message:
        key = where(json_name(spot.name), spot.item)
        return read_message(cls, node, Place(spot.at.home, mark(node), key, spot.at), spot.problems)

    return read


def _embedded(cls: type[Message]) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        text = node.value if value_kind(node) == "string" else ""
        root = next(read_documents(Source(spot.at.home.file, text.encode()), []), None)
        place = Place(spot.at.home, mark(node), json_name(spot.name), spot.at)
        return WRONG if root is None else read_message(cls, root, place, [])

    return read


# --- readers of lists and maps


def _list(element: Read, check: Check | None) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        if not isinstance(node, SequenceNode):
            hint = f': write "- {node.value}"' if value_kind(node) == "string" else ""
            return spot.wrong(f"expected a list, got {shown(node)}{hint}")
        return tuple(
            value
            for index, item in enumerate(node.value)
            if (value := _read_item(item, spot.inside(index, item), element, check)) is not WRONG
        )

    return read


def _map(element: Read, check: Check | None, key_check: Check | None) -> Read:
    def read(node: Node, spot: Spot) -> Any:
        if not isinstance(node, MappingNode):
            return spot.wrong(f"expected a mapping, got {shown(node)}")
        found, wrong = entries(node)
        spot.problems.extend(error_at(spot.at, key, message, spot.name) for key, message in wrong)
        for name, (key, _) in found.items():
            if key_check is not None and (message := key_check(name)):
                spot.problems.append(error_at(spot.at, key, message, spot.name))
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


def _field(read: Read, default: Any, *, required: bool = False, check: Check | None = None) -> Any:
    metadata = {"read": read, "required": required, "check": check}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def text(check: Check | None = None, *, required: bool = False, default: str | None = "") -> Any:
    """A string, "" where absent."""
    return _field(_text, default, required=required, check=check)


def texts(check: Check | None = None, *, required: bool = False) -> Any:
    """A list of strings; `check` is for each."""
    return _field(_list(_not_null(_text), check), (), required=required)


def text_map(check: Check | None = None, *, key: Check | None = None) -> Any:
    """A map of strings; `check` is for each value, `key` for each key."""
    return _field(_map(_not_null(_text), check, key), {})


def boolean(default: bool | None = False) -> Any:
    """A bool; `boolean(None)` is a wrapper, None where absent."""
    return _field(_boolean, default)


def whole(
    low: int = 0,
    high: int = UINT32,
    *,
    default: int | None = 0,
    required: bool = False,
    check: Check | None = None,
) -> Any:
    """A whole number; a wrapper where `default` is None."""
    return _field(_whole(low, high), default, required=required, check=check)


def wholes(low: int = 0, high: int = UINT32) -> Any:
    """A list of whole numbers."""
    return _field(_list(_not_null(_whole(low, high)), None), ())


def whole_map(low: int = 0, high: int = UINT32, *, key: Check | None = None) -> Any:
    """A map of whole numbers; `key` is for each key."""
    return _field(_map(_not_null(_whole(low, high)), None, key), {})


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
    return _field(_map(_not_null(_bytes), None, None), {})


def enum(*names: str) -> Any:
    """One of `names` (in the proto's order, "" for a number without a name), "" where absent."""
    return _field(_enum(names), "")


def message(cls: type[Message], *, required: bool = False) -> Any:
    """A message, None where absent."""
    return _field(_message(cls), None, required=required)


def embedded(cls: type[Message]) -> Any:
    """A message written as YAML in a string, None where there is none; what is wrong in it is not reported."""
    return _field(_embedded(cls), None)


def raw() -> Any:
    """The node itself, None where absent: for what is read later, or not at all."""
    return _field(lambda node, _spot: node, None)


def messages(cls: type[Message], *, required: bool = False) -> Any:
    """A list of messages; null among them is an error."""
    return _field(_list(_not_null(_message(cls)), None), (), required=required)


def message_map(cls: type[Message], *, key: Check | None = None, nulls: bool = True) -> Any:
    """A map of messages; `key` is for each key. A null among them is an empty message, or an error."""
    return _field(_map(_message(cls) if nulls else _not_null(_message(cls)), None, key), {})


def whole_or_text() -> Any:
    """Kubernetes' IntOrString: an int or a str, 0 where absent."""
    return _field(_whole_or_text, 0)
