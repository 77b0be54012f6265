"""A running proxy asked why: /explain, the header, the guard; with one worker and with two."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from support.proxy import Proxy, as_files, service_entry, virtual_service
from support.upstream import Upstream
from support.wait import eventually

HOST = "shop.test"


def documents(port: int, *, subset: str = "") -> list[dict[str, Any]]:
    to = {"host": HOST, **({"subset": subset} if subset else {})}
    rules = [
        {"name": "tea", "match": [{"headers": {"x-tea": {"exact": "1"}}}], "directResponse": {"status": 418}},
        {"name": "rest", "route": [{"destination": to}]},
    ]
    return [service_entry(HOST, port), virtual_service(HOST, *rules)]


@pytest.fixture(scope="module", params=["1", "2"])
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Upstream]]:
    arguments = ["--workers", request.param, "--guard=refuse", "--guard-threshold", "10"]
    with Upstream() as upstream, Proxy(documents(upstream.port), *arguments) as proxy:
        yield proxy, upstream


def ask(address: tuple[str, int], method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
    finally:
        connection.close()


def test_explain_tells_what_is_served_and_how_endpoints_do(running: tuple[Proxy, Upstream]) -> None:
    proxy, upstream = running
    assert ask(proxy.address, "GET", "/", host=HOST)[0] == 200
    query = urlencode({"url": f"http://{HOST}/", "format": "json"})
    status, headers, body = ask(proxy.admin, "GET", f"/explain?{query}")
    said = json.loads(body)
    assert (status, headers["content-type"], said["rule_name"]) == (200, "application/json", "rest")
    (endpoint,) = said["destinations"][0]["endpoints"]
    assert endpoint["address"] == f"127.0.0.1:{upstream.port}"
    assert endpoint["live"]["healthy"] is True
    assert endpoint["live"]["requests"] >= 1
    query = urlencode([("url", f"http://{HOST}/"), ("header", "x-tea: 1"), ("method", "PUT")])
    assert "418" in ask(proxy.admin, "GET", f"/explain?{query}")[2]


@pytest.mark.parametrize("query", ["", "url=%20", "url=http://a/&gateway=no/such"])
def test_what_cannot_be_asked_is_400_in_words(running: tuple[Proxy, Upstream], query: str) -> None:
    status, _, body = ask(running[0].admin, "GET", f"/explain?{query}")
    assert status == 400
    assert body.strip()


def test_the_verb_asks_the_admin_address(running: tuple[Proxy, Upstream]) -> None:
    host, port = running[0].admin
    command = [sys.executable, "-m", "meshproxy", "explain", "--admin", f"{host}:{port}", f"http://{HOST}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "✓ rule 1      rest" in said
    assert "healthy, 0 active" in said


def test_the_header_is_answered_only_while_the_admin_wants_it(running: tuple[Proxy, Upstream]) -> None:
    proxy, _ = running
    name = "x-meshproxy-explain"

    def said() -> str:
        return ask(proxy.address, "GET", "/", host=HOST, x_tea="1", x_meshproxy_explain="1")[1].get(name, "")

    assert said() == ""
    assert ask(proxy.admin, "GET", "/explain_header?enable=true")[0] == 404
    assert ask(proxy.admin, "POST", "/explain_header?enable=perhaps")[0] == 400
    assert ask(proxy.admin, "POST", "/explain_header?enable=true")[0] == 200
    eventually(lambda: all(said() for _ in range(8)), "every worker answers the header")
    assert "rule=default/vs-shop-test[0]" in said()
    assert name not in ask(proxy.address, "GET", "/", host=HOST)[1]
    assert "answer=404 NR" in ask(proxy.address, "GET", "/", host="no.test", x_meshproxy_explain="1")[1][name]
    ask(proxy.admin, "POST", "/explain_header?enable=false")
    eventually(lambda: not any(said() for _ in range(8)), "no worker answers the header")


def test_the_guard_refuses_what_loses_too_many_requests(running: tuple[Proxy, Upstream]) -> None:
    proxy, upstream = running
    for _ in range(20):
        assert ask(proxy.address, "GET", "/", host=HOST, authorization="s3cret")[0] == 200
    proxy.write({"config.yaml": as_files(documents(upstream.port, subset="v9"))["config.yaml"]})
    proxy.process.signal(signal.SIGHUP)
    eventually(lambda: "reload refused" in proxy.process.stderr, "the reload is refused")
    assert "would now get a 404 or 503; GET shop.test/: 503 NC, no DestinationRule applies" in proxy.process.stderr
    assert "s3cret" not in proxy.process.stderr
    assert ask(proxy.address, "GET", "/", host=HOST)[0] == 200
