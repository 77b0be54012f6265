"""The README's tables of fields, held against the model (which fields there are) and the compiler (which do not act).

`fields/` writes every field. What the compiler says of it is the truth: a field is unsupported where MPX0001 names it
or a message around it, wherever it is written.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.findings import _VALUES
from meshproxy.compiler.options import BuildOptions
from meshproxy.model.catalog import Catalog, Source, read_catalog
from meshproxy.model.place import json_name
from meshproxy.model.problem import UNSUPPORTED, Level
from meshproxy.model.reader import Message

README = (Path(__file__).parents[2] / "README.md").read_text()
FIELDS = Path(__file__).parent / "fields"
REFUSED = FIELDS / "refused.yaml"
SAMPLES = sorted(set(FIELDS.glob("*.yaml")) - {REFUSED})
ABSTRACT = {"Message", "Partial", "Part", "Resource", "WholeResource", "Policy", "Envelope", "Metadata"}
COLUMNS = ("acts", "unsupported", "checks", "refused")
#: Where MPX0001 speaks of one value that makes all of its message (or of the one around it) a dead letter.
KEYS = (".port.protocol", ".mode")

Field = tuple[str, str]
"""Message and field, as the README names them."""


def message_name(cls: type[Message]) -> str:
    return f"k8s.{cls.__name__}" if cls.__module__.endswith("kubernetes") else cls.__name__


def field_name(declared: dataclasses.Field[Any]) -> str:
    return json_name(declared.name)


def subclasses(cls: type[Message]) -> Iterator[type[Message]]:
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def declared_fields() -> set[Field]:
    """All fields that are read, but for those of metadata."""
    return {
        (message_name(cls), field_name(declared))
        for cls in subclasses(Message)
        if cls.__name__ not in ABSTRACT and cls.__module__.startswith("meshproxy.model.")
        for declared in dataclasses.fields(cls)
        if "read" in declared.metadata and declared.name != "meta"
    }


def documented() -> dict[Field, str]:
    """Message and field → the column it stands in."""
    block = README.partition("<!-- fields -->")[2].partition("<!-- /fields -->")[0]
    found: dict[Field, str] = {}
    for row in re.findall(r"^\| `.*$", block, re.MULTILINE):
        name, *columns = [cell.strip() for cell in row.strip("|").split("|")]
        for column, cell in zip(COLUMNS, columns, strict=True):
            for field in re.findall(r"`([^`]+)`", cell):
                key = (name.strip("`"), field)
                assert key not in found, f"{key} stands in the README twice"
                found[key] = column
    return found


def messages(value: Any) -> Iterator[Message]:
    """A message and all those inside it."""
    if isinstance(value, Message):
        yield value
        for declared in dataclasses.fields(value):
            if declared.name not in ("at", "meta"):
                yield from messages(getattr(value, declared.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from messages(item)
    elif isinstance(value, Mapping):
        yield from messages(tuple(value.values()))


def inside(path: str, around: str) -> bool:
    return path == around or path.startswith((f"{around}.", f"{around}["))


def judged(catalog: Catalog, silent: set[tuple[str, str]]) -> Iterator[tuple[Field, bool]]:
    """Every field written, and whether MPX0001 speaks of it. `silent` is the (resource, path) pairs it names."""
    for declared in dataclasses.fields(catalog):
        for resource in getattr(catalog, declared.name):
            for message in messages(resource):
                resource_name, base = message.at.home.resource, message.at.path
                for field in dataclasses.fields(message):
                    if field.name not in message.at.marks or "read" not in field.metadata:
                        continue
                    path = f"{base}.{field_name(field)}"
                    flagged = any(name == resource_name and inside(path, around) for name, around in silent)
                    yield (message_name(type(message)), field_name(field)), flagged


def compiled(sample: Path) -> tuple[Catalog, set[tuple[str, str]]]:
    catalog, read = read_catalog([Source(sample.name, sample.read_bytes())])
    _, problems = build_snapshot(catalog, BuildOptions(labels={"app": "shop"}))
    errors = [str(problem) for problem in (*read, *problems) if problem.level is Level.ERROR]
    assert not errors, "\n".join(errors)
    return catalog, {(p.origin.resource, whole(p.origin.path)) for p in problems if p.code == UNSUPPORTED}


def whole(path: str) -> str:
    """The path of everything that is without effect where MPX0001 names `path`."""
    return next((path.removesuffix(key) for key in KEYS if path.endswith(key)), path)


@pytest.fixture(scope="module")
def verdicts() -> dict[Field, bool]:
    """Every field written in the samples → whether it is unsupported wherever it is written."""
    found: dict[Field, set[bool]] = defaultdict(set)
    for sample in SAMPLES:
        for field, flagged in judged(*compiled(sample)):
            found[field].add(flagged)
    return {field: flags == {True} for field, flags in found.items()}


def test_the_readme_names_every_field_that_is_read():
    assert set(documented()) == declared_fields()


def test_the_samples_write_every_field_of_istio_s_kinds(verdicts: dict[Field, bool]):
    refused = {field for field, column in documented().items() if column == "refused"}
    assert {key for key in declared_fields() if not key[0].startswith("k8s.")} - set(verdicts) == refused


def test_the_readme_names_every_value_that_does_not_act_yet():
    expected = {
        f"{json_name(name)}: {value or 'NONE'}"
        for fields in _VALUES.values()
        for name, values in fields.items()
        for value in values
    }
    assert {value for value in expected if f"`{value}`" not in README} == set()


def test_what_the_readme_calls_refused_is_an_error():
    catalog, problems = read_catalog([Source("refused.yaml", REFUSED.read_bytes())])
    wrong = {(p.origin.resource, p.origin.path) for p in problems if p.level is Level.ERROR}
    refused = {field for field, column in documented().items() if column == "refused"}
    assert refused == {field for field, flagged in judged(catalog, wrong) if flagged}


def test_what_the_readme_calls_unsupported_is_a_finding_and_nothing_else_is(verdicts: dict[Field, bool]):
    said = {field for field, column in documented().items() if column == "unsupported"}
    assert said == {field for field, flagged in verdicts.items() if flagged}
