"""Targets and the normalization of paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import Kind, ProxyError
from meshproxy.wire.target import normalized, split_target

PIECES = st.sampled_from(
    'a b . .. / // \\ %2e %2E %2f %5c %41 %7e %25 % %% %zz %4 1 2e ; ;x ? # @ : " < > ^ ` { | } %00 \x7f \x01 \xff ~ -'.split()
)
PATHS = st.lists(PIECES, max_size=12).map(lambda parts: ("/" + "".join(parts)).encode("latin-1"))


def path_of(target: bytes) -> bytes | None:
    try:
        return split_target(target, b"GET")[0]
    except ProxyError as error:
        assert error.kind is Kind.BAD_REQUEST
        return None


@given(PATHS)
def test_normalizing_twice_is_normalizing_once(target: bytes) -> None:
    path = path_of(target)
    if path is not None:
        assert normalized(path) == path
        assert split_target(path, b"GET") == (path, None, None)


@given(PATHS)
def test_a_path_has_no_dot_segment_no_backslash_no_nul_and_nothing_that_must_be_escaped(target: bytes) -> None:
    path = path_of(target)
    if path is not None:
        assert path[:1] == b"/"
        segments = [segment.partition(b";")[0] for segment in path.split(b"/")]
        assert b"." not in segments
        assert b".." not in segments
        assert not re.search(rb'[\x00-\x20\x7f-\xff\\"<>^`{|}?#]|%00', path)


@given(PATHS)
def test_escapes_of_unreserved_characters_are_undone_and_no_others(target: bytes) -> None:
    path = path_of(target)
    if path is not None:
        for escape in re.findall(rb"%([0-9A-Fa-f]{2})", path):
            assert not re.match(rb"[A-Za-z0-9._~-]", bytes([int(escape, 16)]))


@given(PATHS, PATHS)
def test_what_is_behind_the_question_mark_is_not_touched(target: bytes, query: bytes) -> None:
    query = query.replace(b"#", b"")
    target = target.replace(b"?", b"").replace(b"#", b"")
    if path_of(target) is not None:
        assert split_target(target + b"?" + query + b"#fragment", b"GET") == (path_of(target), query, None)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", b"/"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/../../a", b"/a"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/a//b", b"/a//b"),
        (b"/a//../b", b"/a/b"),
        (b"/%2e%2E/a", b"/a"),
        (b"/a/..;x/b", b"/b"),
        (b"/a\\..\\b", b"/b"),
        (b"/a%2Fb%5Cc", b"/a%2Fb%5Cc"),
        (b"/%41%7e", b"/A~"),
        (b"/%252e%252e/", b"/%252e%252e/"),
        (b"/a%zz%", b"/a%zz%"),
        (b"/.a/..b/c.", b"/.a/..b/c."),
        (b'/"', b"/%22"),
        (b"/%%34%31", b"/%2541"),
        (b"/%%32e%%32e/a", b"/%252e%252e/a"),
    ],
)
def test_paths(target: bytes, path: bytes) -> None:
    assert split_target(target, b"GET") == (path, None, None)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://a", (b"/", None, b"a")),
        (b"HTTPS://a:443/b?c#d", (b"/b", b"c", b"a:443")),
        (b"http://a?b", (b"/", b"b", b"a")),
        (b"http://a/../b", (b"/b", None, b"a")),
        (b"/?", (b"/", b"", None)),
        (b"/a#b?c", (b"/a", None, None)),
    ],
)
def test_forms(target: bytes, expected: tuple[bytes, bytes | None, bytes | None]) -> None:
    assert split_target(target, b"GET") == expected


@pytest.mark.parametrize(
    "target", [b"a", b"ftp://a/", b"http://u@a/", b"*", b"/%00", b"/\xff", b"/\x01", b"/\x7f", b""]
)
def test_refused(target: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        split_target(target, b"GET")
    assert caught.value.kind is Kind.BAD_REQUEST


def test_the_star_is_for_options() -> None:
    assert split_target(b"*", b"OPTIONS") == (b"*", None, None)
