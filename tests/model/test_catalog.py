"""From files to the catalog: kinds, versions, lists, namespaces, order, duplicates, and what is skipped."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.model.catalog import Source, read_catalog
from meshproxy.model.problem import DUPLICATE, SCHEMA_ERROR, Level
from tests.support.written import read

ENTRY = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s}\nspec: {hosts: [a.com]}\n"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_all_versions_are_one_kind(version: str) -> None:
    catalog, problems = read(ENTRY.replace("io/v1", f"io/{version}") % "a")
    assert not problems
    (entry,) = catalog.service_entries
    assert (entry.meta.kind, entry.meta.api_version) == ("ServiceEntry", f"networking.istio.io/{version}")
    assert str(entry) == "ServiceEntry default/a"


def test_an_object_without_namespace_is_in_the_one_given() -> None:
    catalog, _ = read_catalog([Source("a", (ENTRY % "a").encode())], namespace="prod")
    assert catalog.service_entries[0].meta.full_name == "prod/a"


def test_a_list_is_its_items() -> None:
    items = textwrap.indent(ENTRY % "a", "  ").replace("  apiVersion", "- apiVersion")
    catalog, problems = read(f"apiVersion: v1\nkind: List\nitems:\n{items}{items.replace('name: a', 'name: b')}")
    assert not problems
    assert [entry.meta.name for entry in catalog.service_entries] == ["a", "b"]
    assert catalog.service_entries[1].meta.at.field("name").line == 10


def test_the_oldest_come_first_then_names_then_namespaces() -> None:
    objects = [
        ENTRY % "b",
        ENTRY % "a, namespace: z",
        ENTRY % "a, namespace: y",
        ENTRY % "c, creationTimestamp: '2024-01-01T00:00:00Z'",
        ENTRY % "d, creationTimestamp: 2023-01-01T00:00:00Z",
    ]
    catalog, problems = read("---\n".join(objects))
    assert not problems
    assert [entry.meta.full_name for entry in catalog.service_entries] == [
        "y/a",
        "z/a",
        "default/b",
        "default/d",
        "default/c",
    ]


def test_of_two_objects_of_one_name_the_later_counts() -> None:
    catalog, problems = read(ENTRY % "a" + "---\n" + (ENTRY % "a").replace("a.com", "b.com"))
    assert [entry.hosts for entry in catalog.service_entries] == [("b.com",)]
    assert [(problem.code, problem.level, problem.origin.line) for problem in problems] == [
        (DUPLICATE, Level.WARNING, 8)
    ]
    assert "it.yaml:3" in problems[0].message


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("networking.istio.io/v1", "WorkloadGroup"),
        ("security.istio.io/v1", "PeerAuthentication"),
        ("gateway.networking.k8s.io/v1", "TLSRoute"),
        ("serving.knative.dev/v1", "Service"),
        ("apps/v1", "StatefulSet"),
        ("v1", "ServiceAccount"),
    ],
)
def test_other_kinds_are_skipped_with_a_note(api_version: str, kind: str) -> None:
    catalog, problems = read(f"\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{x: [1]}}\n")
    assert not problems
    (skipped,) = catalog.skipped
    assert (skipped.api_version, skipped.kind, skipped.full_name) == (api_version, kind, "default/a")
    assert (str(skipped.origin), skipped.origin.resource) == ("it.yaml:2", f"{kind} default/a")


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1", 1, 1, "not a Kubernetes object"),
        ("- a", 1, 1, "not a Kubernetes object"),
        ("just words", 1, 1, "not a Kubernetes object"),
        ("apiVersion: v1\nkind: 1", 1, 1, "not a Kubernetes object"),
        ((ENTRY % "a").replace("ServiceEntry", "ServiceEntrie"), 2, 7, 'did you mean "ServiceEntry"?'),
        ((ENTRY % "a").replace("io/v1", "io/v2"), 1, 13, "write one of networking.istio.io/v1"),
        ((ENTRY % "a").replace("networking.", "network."), 1, 13, 'unknown API group "network.istio.io"'),
        ((ENTRY % "a").replace("metadata: {name: a}\n", ""), 1, 1, "metadata is required"),
        ((ENTRY % "a").replace("{name: a}", "{}"), 3, 11, "name is required"),
        (ENTRY % "A", 3, 18, "not a name of an object"),
        (ENTRY % "a, namespace: b.c", 3, 32, "not a DNS label"),
        (ENTRY % "a, lables: {b: c}", 3, 21, 'did you mean "labels"?'),
        (ENTRY % "a, labels: {b: 1.0}", 3, 33, 'quote it as "1.0"'),
        (ENTRY % "a" + "specs: {}\n", 5, 1, 'did you mean "spec"?'),
        (ENTRY % "a" + "kind: b\n", 5, 1, "stands here twice"),
        ((ENTRY % "a").replace("{hosts: [a.com]}", "[]"), 4, 7, "expected a mapping"),
    ],
)
def test_what_is_no_object_is_an_error_at_its_place(text: str, line: int, column: int, message: str) -> None:
    _, problems = read(text)
    assert message in problems[0].message
    assert (problems[0].code, problems[0].level) == (SCHEMA_ERROR, Level.ERROR)
    assert (problems[0].origin.line, problems[0].origin.column) == (line, column)


def test_what_the_api_server_writes_is_no_unknown_field() -> None:
    _, problems = read(ENTRY % "a, uid: b, resourceVersion: '1', managedFields: [], generation: 1" + "status: {x: 1}\n")
    assert not problems


def test_one_broken_file_does_not_hide_the_others() -> None:
    sources = [Source("a", b"a: ["), Source("b", (ENTRY % "b").encode()), Source("c", b"\xff")]
    catalog, problems = read_catalog(sources)
    assert [entry.meta.name for entry in catalog.service_entries] == ["b"]
    assert {problem.origin.file for problem in problems} == {"a", "c"}


def test_a_thousand_objects_in_one_file_are_all_read() -> None:
    catalog, problems = read("---\n".join(ENTRY % f"a{number}" for number in range(1000)))
    assert len(catalog.service_entries) == 1000
    assert not problems


@given(st.integers(0, 200), st.text("{}[]:- \nab'\"&*!|<>,#\t", min_size=1, max_size=5))
def test_half_written_files_never_raise(position: int, junk: str) -> None:
    text = ENTRY % "a" * 2
    read(text[:position] + junk + text[position:])
    read(text[:position])
