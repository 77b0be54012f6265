"""Files of route tests to cases: matrices expanded, requests made, everything wrong collected with its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from meshproxy.base.origin import Origin
from meshproxy.cli.curl import read_curl, split_line
from meshproxy.cli.testing.expect import Mismatch, compare
from meshproxy.cli.testing.schema import CaseRequest, RouteTest, ValidatorCase
from meshproxy.cli.testing.validator import compare_validator
from meshproxy.control.asked import Asked, AskedError
from meshproxy.model.document import Source, entries, mark, read_documents, value_kind
from meshproxy.model.place import Home, Place
from meshproxy.model.problem import Problem
from meshproxy.model.reader import error_at, read_message
from meshproxy.plan.explain import Decision

_VARIABLE = re.compile(r"\$\{([A-Za-z_][\w-]*)\}")
_MOST_COMBINATIONS = 10_000

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request and what must become of it. `anywhere`: on whichever listener knows its host. `namespace` and
    `labels` are the caller's where the case has its own."""

    name: str
    asked: Asked
    check: Callable[[Decision], list[Mismatch]]
    origin: Origin
    anywhere: bool = False
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] | None = None


def read_cases(sources: Iterable[Source], namespace: str) -> tuple[list[Case], list[Problem]]:
    """All cases of `sources`. `namespace` is that of short names."""
    problems: list[Problem] = []
    cases: list[Case] = []
    for source in sources:
        home = Home(source.name)
        for root in read_documents(source, problems):
            cases += _document(root, home, namespace, problems)
    return cases, list(dict.fromkeys(problems))


def _document(root: Node, home: Home, namespace: str, problems: list[Problem]) -> Iterator[Case]:
    at = Place(home, mark(root))
    if not isinstance(root, MappingNode):
        problems.append(at.error("", f"expected a mapping with tests or testCases, got a {value_kind(root)}"))
        return
    found, wrong = entries(root)
    problems.extend(error_at(at, key, message) for key, message in wrong)
    for name, (key, value) in found.items():
        read = _READERS.get(name)
        if read is None:
            problems.append(error_at(at, key, f'unknown field "{name}": a file of route tests has tests or testCases'))
        elif not isinstance(value, SequenceNode):
            problems.append(error_at(at, key, f"expected a list of cases, got a {value_kind(value)}"))
        else:
            for index, node in enumerate(value.value):
                place = Place(home, mark(node), f"{name}[{index}]", at)
                yield from read(node, place, namespace, problems)
    if not found:
        problems.append(at.error("", "there is no case: write tests"))


# ---- ours


def _tests(node: Node, at: Place, namespace: str, problems: list[Problem]) -> Iterator[Case]:
    plain, matrix = _without_matrix(node, at, problems)
    for values in _combinations(matrix, at, problems):
        before = len(problems)
        filled = _filled(plain, values, at, problems)
        test = read_message(RouteTest, filled, Place(at.home, at.mark, at.key, at.parent), problems)
        if len(problems) > before or test.request is None or test.expect is None:
            continue
        try:
            asked = _asked(test.request, namespace)
            asked.head()
        except AskedError as error:
            problems.append(test.request.at.error("", str(error)))
            continue
        shown = ", ".join(f"{key}={value}" for key, value in values.items() if value not in test.name)
        yield Case(
            name=f"{test.name} [{shown}]" if shown else test.name,
            asked=asked,
            check=partial(compare, test.expect, test.request.namespace or namespace),
            origin=at.origin,
            namespace=test.request.namespace,
            labels=tuple(sorted(test.request.labels.items())) if "labels" in test.request.at.marks else None,
        )


def _asked(request: CaseRequest, namespace: str) -> Asked:
    name = request.gateway
    gateway = f"{request.namespace or namespace}/{name}" if name and "/" not in name else name
    if request.curl:
        words = split_line(request.curl)
        return read_curl(words[1:] if words[:1] == ["curl"] else words, gateway=gateway)
    authority = f"{request.host}:{request.port}" if request.port else request.host
    path = request.path or "/"
    return Asked(
        url=request.url or f"http://{authority}{path if path.startswith('/') else '/' + path}",
        method=request.method or "GET",
        headers=tuple(request.headers.items()),
        gateway=gateway,
    )


def _without_matrix(node: Node, at: Place, problems: list[Problem]) -> tuple[Node, dict[str, list[str]]]:
    """The case without its matrix, and the matrix: lists of words by name."""
    if not isinstance(node, MappingNode):
        return node, {}
    rest = [(key, value) for key, value in node.value if key.value != "matrix"]
    matrix: dict[str, list[str]] = {}
    for _, written in (pair for pair in node.value if pair[0].value == "matrix"):
        if not isinstance(written, MappingNode):
            problems.append(error_at(at, written, f"expected a mapping of lists, got a {value_kind(written)}"))
            continue
        for key, value in written.value:
            words = value.value if isinstance(value, SequenceNode) else ()
            if not words or not all(isinstance(word, ScalarNode) for word in words):
                problems.append(error_at(at, key, f"matrix.{key.value}: expected a list of words"))
            matrix[key.value] = [word.value for word in words if isinstance(word, ScalarNode)]
    copy = MappingNode(node.tag, rest, node.start_mark, node.end_mark)
    return copy, matrix


def _combinations(matrix: Mapping[str, list[str]], at: Place, problems: list[Problem]) -> Iterator[dict[str, str]]:
    count = 1
    for words in matrix.values():
        count *= len(words)
    if count > _MOST_COMBINATIONS:
        problems.append(at.error("", f"the matrix has {count} combinations: {_MOST_COMBINATIONS} at most"))
        return
    for combination in itertools.product(*matrix.values()):
        yield dict(zip(matrix, combination, strict=True))


def _filled(node: Node, values: Values, at: Place, problems: list[Problem]) -> Node:
    """`node` with every `${name}` replaced."""
    if isinstance(node, ScalarNode) and "${" in node.value:
        unknown = [name for name in _VARIABLE.findall(node.value) if name not in values]
        if unknown:
            problems.append(error_at(at, node, f"${{{unknown[0]}}} is not in the matrix"))
        filled = _VARIABLE.sub(lambda found: values.get(found[1], ""), node.value)
        return ScalarNode(node.tag, filled, node.start_mark, node.end_mark, node.style)
    if isinstance(node, SequenceNode):
        items = [_filled(item, values, at, problems) for item in node.value]
        return SequenceNode(node.tag, items, node.start_mark, node.end_mark)
    if isinstance(node, MappingNode):
        pairs = [
            (_filled(key, values, at, problems), _filled(value, values, at, problems)) for key, value in node.value
        ]
        return MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
    return node


# ---- istio-config-validator's


def _validator_cases(node: Node, at: Place, _namespace: str, problems: list[Problem]) -> Iterator[Case]:
    before = len(problems)
    case = read_message(ValidatorCase, node, at, problems)
    if len(problems) > before or case.request is None:
        return
    request = case.request
    for uri, authority, method in itertools.product(request.uri, request.authority, request.method):
        name = f"{case.description or 'case'} [{method} {authority}{uri}]"
        asked = Asked(url=f"http://{authority}{uri}", method=method, headers=tuple(request.headers.items()))
        try:
            asked.head()
        except AskedError as error:
            problems.append(request.at.error("uri", str(error)))
            continue
        yield Case(name=name, asked=asked, check=partial(compare_validator, case), origin=at.origin, anywhere=True)


_READERS: Mapping[str, Callable[[Node, Place, str, list[Problem]], Iterator[Case]]] = {
    "tests": _tests,
    "testCases": _validator_cases,
}
