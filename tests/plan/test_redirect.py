"""Where a redirect leads: scheme, host, port, path and query (virtual-service.md, 8)."""

import pytest

from meshproxy.base.message import Request
from meshproxy.plan.rewrite import Redirect, location


@pytest.mark.parametrize(
    ("redirect", "host", "expected"),
    [
        (Redirect(path=b"/new"), b"a.com", b"http://a.com/new?q=1"),
        (Redirect(path=b"/new?x=2"), b"a.com", b"http://a.com/new?x=2"),
        (Redirect(path=b"/new"), b"a.com:9080", b"http://a.com:9080/new?q=1"),
        (Redirect(authority=b"b.com:81"), b"a.com:9080", b"http://b.com:81/old/x?q=1"),
        (Redirect(port=8443), b"a.com:9080", b"http://a.com:8443/old/x?q=1"),
        (Redirect(port=8443), b"[::1]:80", b"http://[::1]:8443/old/x?q=1"),
        (Redirect(scheme=b"https"), b"a.com:80", b"https://a.com/old/x?q=1"),
        (Redirect(scheme=b"https"), b"a.com:9080", b"https://a.com:9080/old/x?q=1"),
        (Redirect(scheme=b"https", keep_host=True), b"a.com:80", b"https://a.com:80/old/x?q=1"),
        (Redirect(prefix=b"/old", prefix_rewrite=b"/new"), b"a.com", b"http://a.com/new/x?q=1"),
    ],
)
def test_location(redirect, host, expected):
    assert location(redirect, Request(b"GET", b"/old/x", b"q=1", host, [])) == expected
