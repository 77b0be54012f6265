"""The declarative reader: types, spellings, unknown fields, and that one mistake is one finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import Node

from meshproxy.model.document import Source, read_documents
from meshproxy.model.fields import (
    boolean,
    double,
    duration,
    enum,
    message,
    messages,
    octets,
    text,
    text_map,
    texts,
    whole,
    whole_map,
)
from meshproxy.model.place import Home, Place, json_name
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message, read_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Message):
    name: str = text(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(Message):
    ONE_OF: ClassVar = (("some_text", "some_bytes"),)

    some_text: str = text()
    some_texts: tuple[str, ...] = texts()
    some_map: Mapping[str, str] = text_map()
    some_flag: bool = boolean()
    some_number: int = whole(0, 10)
    some_numbers: Mapping[str, int] = whole_map()
    some_share: float = double()
    some_time: float | None = duration()
    some_choice: str = enum("ONE", "TWO")
    some_bytes: bytes | None = octets()
    some_part: Part | None = message(Part)
    some_parts: tuple[Part, ...] = messages(Part)


def read(yaml: str) -> tuple[Everything, list[Problem]]:
    problems: list[Problem] = []
    nodes: list[Node] = list(read_documents(Source("a.yaml", yaml.encode()), problems))
    place = Place(Home("a.yaml", "Thing a"), (1, 1), "spec")
    return read_message(Everything, nodes[0], place, problems), problems


@pytest.mark.parametrize(
    ("written", "attribute", "value"),
    [
        ("someText: a", "some_text", "a"),
        ("some_text: a", "some_text", "a"),
        ("someTexts: [a, b]", "some_texts", ("a", "b")),
        ("someMap: {a: b, 1: c}", "some_map", {"a": "b", "1": "c"}),
        ("someFlag: true", "some_flag", True),
        ("someNumber: 7", "some_number", 7),
        ("someNumber: '7'", "some_number", 7),
        ("someNumber: 7.0", "some_number", 7),
        ("someNumbers: {a: 1}", "some_numbers", {"a": 1}),
        ("someShare: 12", "some_share", 12.0),
        ("someShare: '0.5'", "some_share", 0.5),
        ("someTime: 1m", "some_time", 60.0),
        ("someChoice: TWO", "some_choice", "TWO"),
        ("someChoice: 1", "some_choice", "TWO"),
        ("someBytes: aGk=", "some_bytes", b"hi"),
        ("somePart: {name: a}", "some_part", Part(name="a")),
        ("someParts: [{name: a}]", "some_parts", (Part(name="a"),)),
        ("someText: null", "some_text", ""),
        ("someParts:", "some_parts", ()),
    ],
)
def test_a_field_is_read_by_its_type(written: str, attribute: str, value: object) -> None:
    made, problems = read(written)
    assert not problems
    assert getattr(made, attribute) == value


@pytest.mark.parametrize(
    ("written", "column", "message"),
    [
        ("someText: 1", 11, 'expected a string, got the number 1: quote it as "1"'),
        ("someText: true", 11, 'expected a string, got the boolean true: quote it as "true"'),
        ("someText: [a]", 11, "expected a string, got a list"),
        ("someText: !x a", 11, "expected a string, got a value with the tag !x"),
        ("someTexts: a", 12, 'expected a list, got a string: write "- a"'),
        ("someTexts: [1]", 13, 'expected a string, got the number 1: quote it as "1"'),
        ("someMap: a", 10, "expected a mapping, got a string"),
        ("someMap: {a: b, a: c}", 17, 'the key "a" stands here twice: first on line 1'),
        ("someFlag: yes", 11, 'expected true or false, got the string "yes"'),
        ("someFlag: 'true'", 11, 'expected true or false, got the string "true"'),
        ("someNumber: 1.5", 13, 'expected a whole number, got "1.5"'),
        ("someNumber: 010", 13, 'expected a whole number, got "010"'),
        ("someNumber: 11", 13, "11 is not in the range 0 to 10"),
        ("someNumber: 1e999", 13, 'expected a whole number, got "1e999"'),
        ("someShare: a", 12, "expected a number, got a string"),
        ("someTime: 5", 11, 'expected a duration such as "1.5s", got the number 5: write "5s"'),
        ("someTime: soon", 11, '"soon" is not a duration: write it as "1.5s", "100ms" or "1h30m"'),
        ("someChoice: tow", 13, '"tow" is none of ONE, TWO; did you mean "TWO"?'),
        ("someChoice: 2", 13, "the number 2 is none of ONE, TWO"),
        ("someBytes: a?", 12, "expected base64"),
        ("somePart: a", 11, "expected a mapping, got a string"),
        ("someParts: {name: a}", 12, "expected a list, got a mapping"),
        ("someParts: [null]", 13, "must not be null"),
        ("somePrat: {}", 1, 'unknown field "somePrat" in Everything; did you mean "somePart"?'),
        ("xyz: {}", 1, 'unknown field "xyz" in Everything'),
        ("someText: a\nsome_text: b", 12, "someText is written in both spellings: keep one"),
        ("someText: a\nsomeBytes: aGk=", 12, "someText and someBytes exclude each other: keep one"),
        ("somePart: {}", 11, "name is required"),
        ("somePart: {name: ''}", 18, "name must not be empty"),
        ("? [a]\n: b", 3, "a key must be a string, not a list"),
    ],
)
def test_a_wrong_value_is_one_finding_that_says_what_to_write(written: str, column: int, message: str) -> None:
    _, problems = read(written)
    assert [problem.message for problem in problems][:1] == [message]
    assert len(problems) <= 2
    assert problems[0].origin.column == column
    assert problems[0].origin.path.startswith("spec")


def test_a_wrong_value_leaves_the_default_and_the_rest_is_read() -> None:
    made, problems = read("someText: 1\nsomeTexts: [a, 2, b]\nsomeNumber: 3")
    assert (made.some_text, made.some_texts, made.some_number) == ("", ("a", "b"), 3)
    assert len(problems) == 2


def test_places_know_line_column_and_path_of_every_field() -> None:
    made, _ = read("someTexts:\n- a\n- b\nsomeParts:\n- name: c\nsomeMap:\n  x: y")
    assert (made.at.field("some_texts", 1).line, made.at.field("some_texts", 1).path) == (3, "spec.someTexts[1]")
    assert (made.at.field("some_map", "x").line, made.at.field("some_map", "x").path) == (7, "spec.someMap.x")
    name = made.some_parts[0].at.field("name")
    assert (name.line, name.column, name.path) == (5, 9, "spec.someParts[0].name")
    assert (name.file, name.resource) == ("a.yaml", "Thing a")
    assert made.some_parts[0].at.origin.path == "spec.someParts[0]"


def test_an_absent_field_is_placed_at_its_message() -> None:
    made, _ = read("someText: a\nsomeNumber: 1")
    assert (made.at.field("some_share").line, made.at.field("some_share").path) == (1, "spec.someShare")


def test_messages_are_equal_by_what_they_say_not_where() -> None:
    assert read("someText: a")[0] == read("\n\nsome_text: a")[0]


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("without_headers", "withoutHeaders"),
        ("consecutive_5xx_errors", "consecutive5xxErrors"),
        ("http2_keep_alive", "http2KeepAlive"),
        ("from_", "from"),
        ("host", "host"),
    ],
)
def test_the_json_name_is_protos(name: str, spelling: str) -> None:
    assert json_name(name) == spelling


words = st.sampled_from(
    ["1", "true", "null", "a", "''", "[]", "{}", "[a]", "{a: b}", "1.5", "'7'", "1s", "ONE", "!x a", "<<"]
)
names = st.sampled_from([json_name(name) for name in Everything.__dataclass_fields__])


@given(st.dictionaries(names, words, max_size=6))
def test_any_fields_with_any_values_are_read_or_reported(fields: dict[str, str]) -> None:
    read("{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}")
