"""YAML text to trees of nodes with their positions, by the rules of Kubernetes: scalars as JSON has them.

Owns the syntax (libyaml does the work), what a plain scalar means, duplicate keys, merge keys and the bound on
aliases. Knows no kind and no field. Nothing is raised: what cannot be parsed is a Problem, and reading goes on
with the next document of the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from yaml import MappingNode, Node, ScalarNode, SequenceNode, YAMLError
from yaml._yaml import CParser

from meshproxy.base.origin import Origin
from meshproxy.model.problem import UNREADABLE, Level, Problem

Entries = dict[str, tuple[Node, Node]]
Scalar = str | int | float | bool | None

_STRING_TAG = "tag:yaml.org,2002:str"
#: What `resolve` gives a scalar without tag or quotes, and lists and mappings: the text decides.
_PLAIN = ""
_AS_WRITTEN = frozenset((_PLAIN, *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))))
_KEYWORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    spelling: value for value in (True, False) for spelling in (str(value), str(value).lower(), str(value).upper())
}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NEXT_DOCUMENT = re.compile(rb"^---(?=\s|$)", re.MULTILINE)
_MOST_ALIASED_NODES = 100_000
_MOST_SYNTAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name as the user knows it, and its bytes."""

    name: str
    text: bytes


class _Composer(CParser):
    """libyaml's composer without YAML 1.1's idea of types: `on` is a word and `1:20` no number."""

    def resolve(self, _kind: type[Node], _value: str, implicit: bool | tuple[bool, bool]) -> str:
        return _PLAIN if isinstance(implicit, bool) or implicit[0] else _STRING_TAG

    def descend_resolver(self, _parent: Node, _index: Node) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


def read_documents(source: Source, problems: list[Problem]) -> Iterator[Node]:
    """The root nodes of the documents of `source` that are not empty, one at a time."""
    text = source.text
    for _ in range(_MOST_SYNTAX_ERRORS):
        try:
            yield from _composed(source, text, problems)
        except YAMLError as error:
            line, column, message = _explained(error, text)
            problem = _unreadable(source, line, column, message)
            if problem not in problems:
                problems.append(problem)
            rest = _from_next_document(text, line)
            if rest is None:
                return
            text = rest
        else:
            return


def _composed(source: Source, text: bytes, problems: list[Problem]) -> Iterator[Node]:
    composer = _Composer(text)
    aliased = b"&" in text and b"*" in text
    while composer.check_node():
        node = composer.get_node()
        assert node is not None  # check_node said so
        if aliased and (why := _too_much(node)):
            problems.append(_unreadable(source, *mark(node), why))
        elif value_kind(node) != "null":
            yield node


def _unreadable(source: Source, line: int, column: int, message: str) -> Problem:
    return Problem(UNREADABLE, Level.ERROR, message, Origin(source.name, line, column))


def _explained(error: YAMLError, text: bytes) -> tuple[int, int, str]:
    at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if at is None:  # libyaml's reader gives an offset only, and not always of the same thing
        return _bad_character(text)
    said = ", ".join(part for name in ("problem", "context") if (part := getattr(error, name, None)))
    return at.line + 1, at.column + 1, f"not valid YAML: {said}"


def _bad_character(text: bytes) -> tuple[int, int, str]:
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        before, message = text[: error.start].decode(), "not valid UTF-8: save the file as UTF-8"
    else:
        found = _FORBIDDEN.search(decoded)
        before = decoded[: found.start()] if found else ""
        named = f" U+{ord(found[0]):04X}" if found else ""
        message = f"not valid YAML: the control character{named} is not allowed"
    return before.count("\n") + 1, len(before) - before.rfind("\n"), message


def _from_next_document(text: bytes, line: int) -> bytes | None:
    """`text` from the first document that begins on or after `line`, blank lines in the place of what precedes it."""
    position = 0
    for _ in range(max(line - 1, 1)):
        position = text.find(b"\n", position) + 1
        if not position:
            return None
    found = _NEXT_DOCUMENT.search(text, position)
    while found and not text[: found.start()].strip():
        found = _NEXT_DOCUMENT.search(text, found.end())
    return b"\n" * text.count(b"\n", 0, found.start()) + text[found.start() :] if found else None


def _too_much(root: Node) -> str:
    """Why the aliases of a document are refused, or nothing: a loop, or many times what was written."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        key = id(node)
        if done:
            open_nodes.discard(key)
            sizes[key] = 1 + sum(sizes[id(child)] for child in _children(node))
            if sizes[key] > _MOST_ALIASED_NODES and sizes[key] > 10 * len(sizes):
                return "the aliases of this document expand to too much: write the values out"
        elif key in open_nodes:
            return "an alias stands inside of what it stands for"
        elif key not in sizes:
            open_nodes.add(key)
            stack.append((node, True))
            stack.extend((child, False) for child in _children(node))
    return ""


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, SequenceNode) else []


def mark(node: Node) -> tuple[int, int]:
    """Line and column of a node, both from 1."""
    at = node.start_mark
    return at.line + 1, at.column + 1


def scalar(node: Node) -> Scalar:
    """What a scalar means in JSON: quoted text is a string, plain text a number, a boolean or null where JSON
    (and YAML 1.2's spellings `~`, `True`, `NULL`) reads it so. `010`, `0x1F`, `1_000`, `yes` are strings."""
    text: str = node.value
    if node.tag not in _AS_WRITTEN:
        return text
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if _INTEGER.fullmatch(text) and len(text) < 40 else float(text)


def value_kind(node: Node) -> str:
    """`mapping`, `list`, `string`, `number`, `boolean` or `null`, as an error message names it."""
    if isinstance(node, MappingNode):
        return "mapping"
    if isinstance(node, SequenceNode):
        return "list"
    if node.tag not in _AS_WRITTEN and node.tag != _STRING_TAG:
        return f"value with the tag {node.tag}"
    value = scalar(node)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def written(node: Node, *path: str) -> str:
    """The string at `path`, "" where there is none: a look ahead that reports nothing."""
    for step in path:
        pairs = node.value if isinstance(node, MappingNode) else ()
        found = next((value for key, value in pairs if key.value == step), None)
        if found is None:
            return ""
        node = found
    return node.value if value_kind(node) == "string" else ""


def entries(node: MappingNode) -> tuple[Entries, list[tuple[Node, str]]]:
    """The entries of a mapping, `<<` merged, and what is wrong with its keys."""
    found: Entries = {}
    wrong: list[tuple[Node, str]] = []
    merged: list[Node] = []
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            wrong.append((key, f"a key must be a string, not a {value_kind(key)}"))
        elif key.value == "<<" and key.tag == _PLAIN:
            merged += value.value if isinstance(value, SequenceNode) else (value,)
        elif key.value in found:
            wrong.append(
                (key, f'the key "{key.value}" stands here twice: first on line {mark(found[key.value][0])[0]}')
            )
        else:
            found[key.value] = key, value
    for base in merged:
        if isinstance(base, MappingNode):
            inherited, more_wrong = entries(base)
            found |= {name: pair for name, pair in inherited.items() if name not in found}
            wrong += more_wrong
        else:
            wrong.append((base, f"<< merges mappings, not a {value_kind(base)}"))
    return found, wrong
