"""Problems for people and machines: text with an excerpt of the file, JSON, GitHub annotations.

Owns how a finding looks; knows nothing of what is found, and writes nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from meshproxy.analysis.codes import CODES
from meshproxy.model.problem import Level, Problem

_WORDS = {Level.ERROR: "Error", Level.WARNING: "Warning", Level.INFO: "Info"}
_COLORS = {Level.ERROR: "31", Level.WARNING: "33", Level.INFO: "36"}
_ANNOTATIONS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "notice"}
LEVELS = {word.lower(): level for level, word in sorted(_WORDS.items())}

_WIDTH = 120  # of an excerpt: what is written as JSON has lines without end

Texts = Mapping[str, bytes]
"""What was read, by the name of its file: where excerpts are taken from."""


def render(problems: Sequence[Problem], form: str, *, texts: Texts, color: bool = False) -> str:
    """All problems in the form `text`, `json` or `github`; empty for none, except in JSON."""
    return _FORMS[form](problems, texts, color)


def counted(problems: Iterable[Problem]) -> str:
    """`1 error, 2 warnings`, or `no findings`."""
    levels = [problem.level for problem in problems]
    parts = [
        f"{count} {word.lower()}{'s' if count > 1 and level is not Level.INFO else ''}"
        for level, word in _WORDS.items()
        if (count := levels.count(level))
    ]
    return ", ".join(parts) or "no findings"


def _text(problems: Sequence[Problem], texts: Texts, color: bool) -> str:
    lines = {name: text.decode("utf-8", "replace").splitlines() for name, text in texts.items()}
    return "".join(_one_text(problem, lines.get(problem.origin.file, ()), color) for problem in problems)


def _one_text(problem: Problem, lines: Sequence[str], color: bool) -> str:
    origin = problem.origin
    word = _WORDS[problem.level]
    if color:
        word = f"\x1b[1;{_COLORS[problem.level]}m{word}\x1b[0m"
    place = f"{origin.resource} {origin}" if origin.resource else str(origin)
    return f"{word} [{problem.code}] ({place}) {problem.message}\n" + _excerpt(lines, origin.line, origin.column)


def _excerpt(lines: Sequence[str], line: int, column: int) -> str:
    if not 1 <= line <= len(lines):
        return ""
    start = max(0, column - _WIDTH // 2) if len(lines[line - 1]) > _WIDTH else 0
    shown = lines[line - 1][start : start + _WIDTH].replace("\t", " ")
    number = str(line).rjust(5)
    return f"{number} | {shown}\n{' ' * len(number)} | {' ' * (column - 1 - start)}^\n"


def fields(problem: Problem) -> dict[str, object]:
    """The keys of one finding in JSON."""
    origin = problem.origin
    kind, _, name = origin.resource.partition(" ")
    namespace, _, name = name.rpartition("/")
    return {
        "code": problem.code,
        "level": _WORDS[problem.level].lower(),
        "message": problem.message,
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "file": origin.file,
        "line": origin.line,
        "column": origin.column,
        "path": origin.path,
    }


def _json(problems: Sequence[Problem], _texts: Texts, _color: bool) -> str:
    return json.dumps([fields(problem) for problem in problems], indent=2, ensure_ascii=False) + "\n"


def _github(problems: Sequence[Problem], _texts: Texts, _color: bool) -> str:
    return "".join(map(_one_github, problems))


def _one_github(problem: Problem) -> str:
    origin = problem.origin
    code = CODES.get(problem.code)
    title = f"{problem.code} {code.title}" if code else problem.code
    properties = {"file": origin.file, "line": origin.line, "col": origin.column, "title": title}
    written = ",".join(f"{key}={escaped(str(value), ':,')}" for key, value in properties.items())
    message = f"{origin.resource}: {problem.message}" if origin.resource else problem.message
    return f"::{_ANNOTATIONS[problem.level]} {written}::{escaped(message)}\n"


def escaped(value: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        value = value.replace(character, f"%{ord(character):02X}")
    return value


_FORMS: Mapping[str, Callable[[Sequence[Problem], Texts, bool], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
FORMS = tuple(_FORMS)
