"""Localities on real sockets: near endpoints first, others when they fail, and shares by weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.policies import live, rule, upstreams
from support.proxy import Proxy, document
from support.raw import Raw
from support.upstream import Upstream

PLACES = ("r1/z1/s1", "r1/z1/s2", "r1/z2", "r2/z1")
DETECTION = {"consecutive5xxErrors": 1, "maxEjectionPercent": 100, "baseEjectionTime": "600s", "interval": "600s"}
DISTRIBUTE = {"localityLbSetting": {"distribute": [{"from": "r1/*", "to": {"r1/z1/*": 70, "r2": 30}}]}}
POLICIES: dict[str, dict[str, Any]] = {
    "near.test": {"outlierDetection": DETECTION},
    "any.test": {"outlierDetection": DETECTION, "loadBalancer": {"localityLbSetting": {"enabled": False}}},
    "shares.test": {"loadBalancer": DISTRIBUTE},
}


@pytest.fixture(scope="module")
def served() -> Iterator[Proxy]:
    groups: dict[str, list[Upstream]] = {host: upstreams(len(PLACES)) for host in POLICIES}
    documents = []
    for host, group in groups.items():
        endpoints = [
            {"address": "127.0.0.1", "ports": {"http": upstream.port}, "locality": place}
            for upstream, place in zip(group, PLACES, strict=True)
        ]
        ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
        spec = {"hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC", "ports": ports}
        documents.append(document("ServiceEntry", host.replace(".", "-"), {**spec, "endpoints": endpoints}))
        documents.append(rule(host, **POLICIES[host]))
    with Proxy(documents, "--labels", "istio-locality=r1.z1.s1") as proxy:
        yield proxy
    for group in groups.values():
        for upstream in group:
            upstream.stop()


def answers(proxy: Proxy, host: str, count: int) -> Counter[bytes]:
    with Raw(proxy.address) as client:
        return Counter(client.get(host).body for _ in range(count))


def test_the_nearest_answers_until_it_is_ejected_then_the_next(served: Proxy) -> None:
    with Raw(served.address) as client:
        for expected in (b"0", b"1", b"2", b"3"):
            assert set(answers(served, "near.test", 10)) == {expected}
            assert client.get("near.test", "/", "x-status: 500").status == 500
        assert client.get("near.test").body == b"no healthy upstream"
    assert [row["priority"] for row in live(served, "near.test")] == [0, 1, 2, 3]


def test_where_localities_are_switched_off_everybody_answers(served: Proxy) -> None:
    assert set(answers(served, "any.test", 100)) == {b"0", b"1", b"2", b"3"}


def test_localities_get_their_shares_and_those_not_named_nothing(served: Proxy) -> None:
    count = 600
    found = answers(served, "shares.test", count)
    for number, share in ((b"0", 0.35), (b"1", 0.35), (b"3", 0.3)):
        assert abs(found[number] - count * share) <= 5 * (count * share * (1 - share)) ** 0.5, found
    assert not found[b"2"]
