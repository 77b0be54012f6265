"""Paths as Istio's BASE normalizes them: before they are matched, and as they are sent on (rule 5)."""

from __future__ import annotations

import pytest
from support.fleet import Fleet, Service
from support.raw import head

#: As sent → as the upstream sees it. Seen on Envoy 1.40.
PATHS = {
    "/": "/",
    "/a/b": "/a/b",
    "/a/": "/a/",
    "/a//b": "/a//b",
    "//a": "//a",
    "/a/./b": "/a/b",
    "/a/../b": "/b",
    "/a/b/..": "/a/",
    "/a/b/.": "/a/b/",
    "/..": "/",
    "/../../a": "/a",
    "/.": "/",
    "/a/...": "/a/...",
    "/a/.b": "/a/.b",
    "/a/b..": "/a/b..",
    "/a/%2e%2e/b": "/b",
    "/a/%2E%2e/b": "/b",
    "/a/.%2e/b": "/b",
    "/a/%2e/b": "/a/b",
    "/%2e%2e/%2e%2e/a": "/a",
    r"/a\b": "/a/b",
    r"/a\..\b": "/b",
    "/%61dmin": "/admin",
    "/%41%5A%7a": "/AZz",
    "/%7Euser": "/~user",
    "/%2d%5f%30": "/-_0",
    "/a%2fb": "/a%2fb",
    "/a%2Fb": "/a%2Fb",
    "/a%5cb": "/a%5cb",
    "/a%2f..%2fb": "/a%2f..%2fb",
    "/a%20b": "/a%20b",
    "/a%3Fb": "/a%3Fb",
    "/a%23b": "/a%23b",
    "/a%25b": "/a%25b",
    "/a%252e%252e/b": "/a%252e%252e/b",
    "/caf%C3%A9": "/caf%C3%A9",
    "/caf%c3%a9": "/caf%c3%a9",
    "/a+b": "/a+b",
    "/a;x=1/b": "/a;x=1/b",
    "/a/..;x/b": "/b",
    "/a/..;/b": "/b",
    "/a/.;x/b": "/a/b",
    "/a:b@c!$&'()*,=": "/a:b@c!$&'()*,=",
    '/a"b': "/a%22b",
    "/a<b>": "/a%3Cb%3E",
    "/a^b": "/a%5Eb",
    "/a{b}": "/a%7Bb%7D",
    "/a|b": "/a%7Cb",
    "/a`b": "/a%60b",
    "/a[b]": "/a[b]",
    "/a?b=/../c": "/a?b=/../c",
    "/a/../b?c=%2e%2e&d=%61": "/b?c=%2e%2e&d=%61",
    '/a?b="<>^`{|}': '/a?b="<>^`{|}',
    "/a?": "/a?",
    "/a??b": "/a??b",
    "/a#b": "/a",
    "/a?b#c": "/a?b",
    "/a#b?c": "/a",
    "/#": "/",
    "/a%2": None,
    "/a%zz": None,
    "/a%": None,
}
REFUSED = [r"\a", "/a%00b", "/%00", "/caf\xe9", "/a\xff"]


@pytest.mark.parametrize("sent", [path for path, seen in PATHS.items() if seen is not None])
def test_a_path_is_normalized_before_it_is_sent(upstream: Service, sent: str) -> None:
    with upstream.connect() as client:
        client.send(head(upstream.host, sent))
        reply = client.reply()
    assert reply.status == 200
    assert reply.json["target"] == PATHS[sent]


@pytest.mark.parametrize("sent", [path for path, seen in PATHS.items() if seen is None])
def test_a_broken_escape_is_kept_or_refused(upstream: Service, sent: str) -> None:
    with upstream.connect() as client:
        client.send(head(upstream.host, sent))
        reply = client.reply()
    assert reply.status == 400 or reply.json["target"] == sent


@pytest.mark.parametrize("sent", REFUSED)
def test_nul_and_raw_non_ascii_are_400(fleet: Fleet, upstream: Service, sent: str) -> None:
    with upstream.connect() as client:
        client.send(head(upstream.host, sent))
        assert client.reply().status == 400
    assert upstream.peers == []


def test_an_encoded_dot_segment_with_a_parameter_is_decoded_at_least(upstream: Service) -> None:
    """Envoy 1.40 decodes it and leaves it; going one step further is the safer reading."""
    with upstream.connect() as client:
        assert client.get(upstream.host, "/a/%2e%2e;x/b").json["target"] in ("/a/..;x/b", "/b")


def test_an_absolute_form_is_normalized_too(upstream: Service) -> None:
    with upstream.connect() as client:
        client.send(f"GET http://{upstream.host}/a/%2e%2e/b?c HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.reply().json["target"] == "/b?c"
