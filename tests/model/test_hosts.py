"""Names: short, full, wildcard; who sees what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.model.hosts import (
    cluster_name,
    host_intersection,
    host_matches,
    is_exported,
    resolve_gateway,
    resolve_host,
    wildcard_order,
)

hosts = st.from_regex(r"(\*|\*\.)?([ab]{1,2}\.){0,2}[ab]{1,2}", fullmatch=True) | st.just("*")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("reviews", "reviews.prod.svc.cluster.local"),
        ("Reviews", "reviews.prod.svc.cluster.local"),
        ("reviews.test", "reviews.test"),
        ("reviews.test.svc.cluster.local", "reviews.test.svc.cluster.local"),
        ("*", "*"),
        ("*.Foo.com", "*.foo.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_only_names_without_a_dot_are_short(written: str, meant: str) -> None:
    assert resolve_host(written, "prod") == meant


@pytest.mark.parametrize(
    ("host", "pattern", "matches"),
    [
        ("foo.com", "foo.com", True),
        ("FOO.com", "foo.COM", True),
        ("a.foo.com", "*.foo.com", True),
        ("a.b.foo.com", "*.foo.com", True),
        ("foo.com", "*.foo.com", False),
        (".foo.com", "*.foo.com", False),
        ("afoo.com", "*foo.com", True),
        ("foo.com", "*foo.com", False),
        ("*.a.com", "*.com", True),
        ("*.com", "*.a.com", False),
        ("*", "*.com", False),
        ("*", "*", True),
        ("a", "*", True),
        ("*.com", "a.com", False),
    ],
)
def test_a_wildcard_covers_all_that_ends_as_it_does(host: str, pattern: str, matches: bool) -> None:
    assert host_matches(host, pattern) is matches


@given(hosts, hosts)
def test_the_intersection_is_the_narrower_host(one: str, other: str) -> None:
    common = host_intersection(one, other)
    assert (common is None) == (host_intersection(other, one) is None)
    if common is not None:
        assert host_matches(common, one)
        assert host_matches(common, other)


@given(hosts, hosts, hosts)
def test_covering_is_transitive(one: str, two: str, three: str) -> None:
    if host_matches(one, two) and host_matches(two, three):
        assert host_matches(one, three)


def test_exact_hosts_come_first_and_then_the_longest_wildcards() -> None:
    assert sorted(["*", "*.a.b", "a.b", "*.b"], key=wildcard_order) == ["a.b", "*.a.b", "*.b", "*"]


@pytest.mark.parametrize(
    ("export_to", "client", "visible"),
    [
        ((), "there", True),
        (("*",), "there", True),
        ((".",), "here", True),
        ((".",), "there", False),
        (("there",), "there", True),
        (("there",), "here", False),
        (("~",), "here", False),
    ],
)
def test_export_to_says_who_sees_an_object(export_to: tuple[str, ...], client: str, visible: bool) -> None:
    assert is_exported(export_to, "here", client) is visible


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mesh", "mesh"),
        ("gw", "here/gw"),
        ("./gw", "here/gw"),
        ("there/gw", "there/gw"),
        ("gw.there.svc.cluster.local", "there/gw"),
    ],
)
def test_a_gateway_is_named_with_its_namespace(written: str, meant: str) -> None:
    assert resolve_gateway(written, "here") == meant


def test_a_cluster_is_named_as_istio_names_it() -> None:
    assert (
        cluster_name(9080, "v1", "reviews.default.svc.cluster.local")
        == "outbound|9080|v1|reviews.default.svc.cluster.local"
    )
    assert cluster_name(80, "", "a.com") == "outbound|80||a.com"
