"""YAML as Kubernetes reads it, and its mistakes as findings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import MappingNode, Node, SequenceNode

from meshproxy.model.document import Source, entries, read_documents, scalar
from meshproxy.model.problem import UNREADABLE, Problem


def plain(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {name: plain(value) for name, (_, value) in entries(node)[0].items()}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.value]
    return scalar(node)


def load(text: str | bytes) -> tuple[list[Any], list[Problem]]:
    problems: list[Problem] = []
    source = Source("a.yaml", text.encode() if isinstance(text, str) else text)
    return [plain(node) for node in read_documents(source, problems)], problems


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "n", "On", "YES", "1:20", "190:20:30", "010", "0o14"])
def test_words_and_numbers_of_yaml_1_1_are_strings(word: str) -> None:
    assert load(f"a: {word}") == ([{"a": word}], [])


@pytest.mark.parametrize(
    "word", ["0x1F", "1_000", "+1", ".5", "1.", ".inf", ".NaN", "2024-01-01", "2024-01-01T00:00:00Z", "=", "1e"]
)
def test_what_json_has_no_number_for_is_a_string(word: str) -> None:
    assert load(f"a: {word}") == ([{"a": word}], [])


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("-0.5E-2", -0.005),
    ],
)
def test_plain_words_mean_what_json_and_yaml_1_2_say(word: str, value: object) -> None:
    ((read,), problems) = load(f"a: {word}")
    assert read == {"a": value}
    assert type(read["a"]) is type(value)
    assert not problems


@pytest.mark.parametrize("written", ['"on"', "'1'", "!!str 1", "|-\n  true", ">-\n  null"])
def test_quoted_tagged_and_block_text_is_a_string(written: str) -> None:
    ((read,), _) = load(f"a: {written}")
    assert isinstance(read["a"], str)


words = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\x7f"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(words.map(lambda key: key[:99]).filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), values, min_size=1, max_size=5))
def test_json_is_read_as_json(value: dict[str, Any]) -> None:
    assert load(json.dumps(value)) == ([value], [])


def test_documents_come_one_by_one_and_empty_ones_not_at_all() -> None:
    assert load("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n...\n") == ([{"a": 1}, {"b": 2}], [])


def test_a_byte_order_mark_is_no_text() -> None:
    assert load(b"\xef\xbb\xbfa: 1") == ([{"a": 1}], [])


def test_windows_line_ends_are_line_ends() -> None:
    assert load("a: 1\r\nb:\r\n- c\r\n") == ([{"a": 1, "b": ["c"]}], [])


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\n\tb: 2", 2, 1, "tab"),
        ("a: {\n", 2, 1, "not valid YAML"),
        ("a: [1, 2\nb: 3", 2, 2, "not valid YAML"),
        ("a: 'b", 1, 6, "end of stream"),
        ("a: *b", 1, 4, "undefined alias"),
        ("a: b: c", 1, 5, "not valid YAML"),
        ("- a\nb: c", 2, 1, "not valid YAML"),
        ("a: 1\nb: é\x00", 2, 5, "U+0000"),
        ("a: 1\nb: \x07", 2, 4, "U+0007"),
        ("[" * 5000, 1, 1001, "nesting"),
        ("%YAML 3.0\n---\na: 1", 1, 1, "not valid YAML"),
    ],
)
def test_a_syntax_error_is_a_finding_at_its_place(text: str, line: int, column: int, message: str) -> None:
    _, problems = load(text)
    assert len(problems) == 1
    assert problems[0].code == UNREADABLE
    assert message in problems[0].message
    assert (problems[0].origin.line, problems[0].origin.column) == (line, column)


def test_other_encodings_are_named() -> None:
    _, problems = load(b"a: 1\nb: \xe4")
    assert str(problems[0]) == "a.yaml:2:4: not valid UTF-8: save the file as UTF-8"


def test_reading_goes_on_after_a_broken_document() -> None:
    read, problems = load("a: 1\n---\nb: {\n---\nc: 3\n---\nd: [\n---\ne: 5\n")
    assert read == [{"a": 1}, {"c": 3}, {"e": 5}]
    assert [problem.origin.line for problem in problems] == [4, 8]


def test_positions_after_a_broken_document_are_those_of_the_file() -> None:
    problems: list[Problem] = []
    nodes = list(read_documents(Source("a", b"b: {\n---\n\nc: 3\n"), problems))
    assert [node.start_mark.line for node in nodes] == [3]


def test_a_key_twice_is_wrong_and_the_first_counts() -> None:
    (node,) = read_documents(Source("a", b"a: 1\nb: 2\na: 3"), [])
    assert isinstance(node, MappingNode)
    found, wrong = entries(node)
    assert scalar(found["a"][1]) == 1
    assert [message for _, message in wrong] == ['the key "a" stands here twice: first on line 1']


def test_merge_keys_fill_in_what_is_not_written() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\nw: {<<: *x}"
    ((read,), problems) = load(text)
    assert read["z"] == {"a": 0, "b": 2, "c": 4}
    assert read["w"] == {"a": 1, "b": 2}
    assert not problems


def test_aliases_are_what_they_stand_for() -> None:
    assert load("a: &a [1, 2]\nb: *a")[0] == [{"a": [1, 2], "b": [1, 2]}]


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    read, problems = load("\n".join(lines))
    assert not read
    assert "aliases" in problems[0].message


def test_an_alias_inside_of_itself_is_refused() -> None:
    read, problems = load("a: &a\n  b: *a")
    assert not read
    assert "inside" in problems[0].message


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    load(data)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@#,? \n\t<", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    load(text)
