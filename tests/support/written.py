"""Istio YAML in tests, with the place of the expected finding marked in it by `«`."""

import textwrap
from dataclasses import dataclass

from meshproxy.model.catalog import Catalog, Source, read_catalog
from meshproxy.model.problem import Level, Problem

MARK = "«"
HEAD = "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata:\n  name: it\n  namespace: here\nspec:\n"


@dataclass(frozen=True)
class Marked:
    """A text without its mark, and line and column (from 1) where the mark stood."""

    text: str
    line: int
    column: int


def marked(text: str) -> Marked:
    """Takes the one mark out of `text`."""
    assert text.count(MARK) == 1, text
    before = text[: text.index(MARK)]
    return Marked(text.replace(MARK, ""), before.count("\n") + 1, len(before) - before.rfind("\n"))


def object_of(kind: str, spec: str) -> str:
    """A whole Istio object of this kind in the namespace `here`."""
    return HEAD.format(kind=kind) + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n"


def read(text: str) -> tuple[Catalog, tuple[Problem, ...]]:
    """The catalog and the problems of one file called it.yaml."""
    return read_catalog([Source("it.yaml", text.encode())])


def assert_found(kind: str, spec: str, level: Level, path: str, message: str) -> None:
    """Reading an object gives exactly one finding: at the mark, at this path, with these words."""
    expected = marked(object_of(kind, spec))
    _, problems = read(expected.text)
    assert len(problems) == 1, [f"{each} at {each.origin.path}" for each in problems]
    (problem,) = problems
    assert message in problem.message
    assert (problem.level, problem.origin.path) == (level, path)
    assert (problem.origin.line, problem.origin.column) == (expected.line, expected.column)
    assert (problem.origin.file, problem.origin.resource) == ("it.yaml", f"{kind} here/it")


def assert_accepted(kind: str, spec: str) -> None:
    """Reading an object gives no finding."""
    catalog, problems = read(object_of(kind, spec))
    assert not problems, [f"{each} at {each.origin.path}" for each in problems]
    assert not catalog.skipped
