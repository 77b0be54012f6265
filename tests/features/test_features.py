"""Runs the folders beside it: `config.yaml` as a user writes it, `cases.yaml`: requests and what becomes of them.

`upstreams` in cases.yaml are the destinations that exist (`host` or `host:subset`, given by `--map`); `arguments` go to
`meshproxy run`. A case: `request` (method, url, headers, body; `script`: see support.scripted; `gateway: true`: to the
gateway's port), then what is expected of the answer (`status`, `headers`, `body`, `flag`) and of the request as it
arrived (`upstream`, `method`, `path`, `host`, `sent`: its headers, `attempts`, `mirrored`: upstreams that got a copy,
`not_mirrored`). A header null is absent. With `repeat`, `shares` are fractions of the answers by upstream or status.
"""

from __future__ import annotations

import collections
import functools
import re
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.proxy import Proxy, flags_of
from support.raw import Raw, Reply, head
from support.scripted import Scripted
from support.wait import eventually

HERE = Path(__file__).parent
AT_ONCE = 3


class Feature:
    """One folder, served."""

    def __init__(self, name: str) -> None:
        told = cases_of(name)
        self.upstreams = {name: Scripted(name) for name in told.get("upstreams", [])}
        maps = [f"--map={name}=127.0.0.1:{upstream.port}" for name, upstream in self.upstreams.items()]
        for upstream in self.upstreams.values():
            upstream.listen()
        self.proxy = Proxy((HERE / name / "config.yaml").read_text(), *maps, *told.get("arguments", []))
        self.clients: dict[bool, Raw] = {}

    def send(self, request: Mapping[str, Any], request_id: str) -> Reply:
        """On one connection for all cases, replaced when an answer closes it."""
        url = urllib.parse.urlsplit(request["url"])
        target = url.path + (f"?{url.query}" if "?" in request["url"] else "")
        method = request.get("method", "GET")
        fields = {"x-request-id": request_id, "user-agent": request_id, **request.get("headers", {})}
        if "script" in request:
            fields["x-script"] = str(request["script"])
        body = str(request.get("body", "")).encode()
        if body:
            fields["Content-Length"] = str(len(body))
        lines = [f"{name}: {each}" for name, value in fields.items() for each in listed(value)]
        gateway = bool(request.get("gateway"))
        client = self.clients.pop(gateway, None) or Raw(self.proxy.gateways[0] if gateway else self.proxy.address)
        client.send(head(url.netloc, target or "/", *lines, method=method), body)
        reply = client.reply(method=method)
        if reply.get("connection") == "close":
            client.close()
        else:
            self.clients[gateway] = client
        return reply

    def flag(self, request_id: str) -> str:
        """A gateway gives every request an id of its own: there it is known by its user agent."""

        def found() -> Mapping[str, Any] | None:
            ids = ("request_id", "user_agent")
            return next((e for e in self.proxy.log.entries() if request_id in map(e.get, ids)), None)

        return flags_of(eventually(found, f"a log entry of {request_id}") or {})

    def stop(self) -> None:
        for client in self.clients.values():
            client.close()
        self.proxy.stop()
        for upstream in self.upstreams.values():
            upstream.stop()


@functools.cache
def cases_of(name: str) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((HERE / name / "cases.yaml").read_text())
    return told


def features() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/cases.yaml"))


def every_case() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{case['name'].replace(' ', '_')}")
        for name in features()
        for case in cases_of(name)["cases"]
    ]


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, Feature]]:
    """The features in use: cases come folder by folder, so few at a time."""
    running: dict[str, Feature] = {}
    yield running
    for feature in running.values():
        feature.stop()


@pytest.mark.parametrize(("name", "case"), every_case())
def test_feature(served: dict[str, Feature], name: str, case: dict[str, Any]) -> None:
    if name not in served:
        if len(served) == AT_ONCE:
            served.pop(next(iter(served))).stop()
        served[name] = Feature(name)
    feature = served[name]
    if "repeat" in case:
        check_shares(feature, case)
    else:
        request_id = str(uuid.uuid4())
        check(feature, case, feature.send(case["request"], request_id), request_id)


def check(feature: Feature, case: Mapping[str, Any], reply: Reply, request_id: str) -> None:
    assert reply.status == case["status"], reply
    check_headers(case.get("headers", {}), reply.all)
    if "body" in case:
        assert reply.body.decode("latin-1").startswith(case["body"])
        assert case["body"] or not reply.body
    if "upstream" in case:
        seen = reply.json
        assert seen["upstream"] == case["upstream"]
        pairs = [(name.lower(), value) for name, value in seen["headers"]]
        expected = {**case.get("sent", {}), **({"host": case["host"]} if "host" in case else {})}
        check_headers(expected, lambda name: [value for key, value in pairs if key == name.lower()])
        for key in ("method", "path", "attempts"):
            if key in case:
                assert seen[key] == case[key], key
    elif reply.status < 300 and "body" not in case:
        raise AssertionError("a case has to say which upstream answers, or with which body we do")
    for name, expected in case.get("mirrored", {}).items():
        (copy,) = feature.upstreams[name].seen(request_id)
        check_headers({k: v for k, v in (expected or {}).items() if k not in ("path", "body")}, copy.all)
        assert copy.target == (expected or {}).get("path", copy.target)
        assert copy.body.decode() == (expected or {}).get("body", copy.body.decode())
    if "flag" in case:
        assert feature.flag(request_id) == case["flag"]
    for name in case.get("not_mirrored", []):
        assert feature.upstreams[name].never_saw(request_id)


def check_headers(expected: Mapping[str, Any], of: Any) -> None:
    for name, value in expected.items():
        got = of(name)
        if isinstance(value, str) and value.startswith("~"):
            assert len(got) == 1, (name, got)
            assert re.fullmatch(value[1:], got[0]), (name, got)
        else:
            assert got == ([] if value is None else listed(value)), name


def check_shares(feature: Feature, case: Mapping[str, Any]) -> None:
    """Five standard deviations: one false alarm in millions."""
    count = case["repeat"]
    found: collections.Counter[str] = collections.Counter()
    for _ in range(count):
        reply = feature.send(case["request"], str(uuid.uuid4()))
        found[reply.get("x-upstream") or str(reply.status)] += 1
    for key, share in case["shares"].items():
        slack = 5 * (count * share * (1 - share)) ** 0.5
        assert abs(found[str(key)] - count * share) <= slack, found
    assert set(found) <= {str(key) for key, share in case["shares"].items() if share}


def listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
