"""Balancers, ejection and circuit breakers, played against meshproxy and a real Envoy with the same upstreams."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from support.envoy import Envoy, cluster, executable, forward, virtual_host
from support.policies import named, rule, upstreams
from support.proxy import Proxy, document, virtual_service
from support.raw import Raw, Reply
from support.upstream import Peer, Seen, Upstream
from support.wait import eventually

pytestmark = pytest.mark.skipif(executable() is None, reason="there is no Envoy here")

WEIGHTS = (1, 2, 5)
NO_RETRY: Mapping[str, Any] = {"retry_policy": {"num_retries": 0}}
DETECTION = {"interval": "600s", "base_ejection_time": "600s", "max_ejection_percent": 100}


def ours(*, detection: Mapping[str, Any] | None = None, balancer: str = "ROUND_ROBIN", **pool: Any) -> dict[str, Any]:
    policy: dict[str, Any] = {"loadBalancer": {"simple": balancer}}
    if detection is not None:
        policy["outlierDetection"] = {
            "interval": "600s",
            "baseEjectionTime": "600s",
            "maxEjectionPercent": 100,
            **detection,
        }
    if pool:
        policy["connectionPool"] = pool
    return policy


#: Host → (number of upstreams, their weights, our policy, Envoy's).
HOSTS: Mapping[str, tuple[int, tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    **{
        f"{name.lower().replace('_', '-')}.test": (3, weights, ours(balancer=name), {"lb_policy": name})
        for name in ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")
        for weights in [WEIGHTS]
    },
    "even.test": (3, (1, 1, 1), ours(balancer="LEAST_REQUEST"), {"lb_policy": "LEAST_REQUEST"}),
    "five.test": (
        2,
        (1, 1),
        ours(detection={}),
        {"outlier_detection": {**DETECTION, "enforcing_consecutive_5xx": 100}},
    ),
    "gateway.test": (
        2,
        (1, 1),
        ours(detection={"consecutiveGatewayErrors": 3, "consecutive5xxErrors": 0}),
        {
            "outlier_detection": {
                **DETECTION,
                "consecutive_gateway_failure": 3,
                "enforcing_consecutive_gateway_failure": 100,
                "enforcing_consecutive_5xx": 0,
            }
        },
    ),
    "refused.test": (
        2,
        (1, 1),
        ours(detection={}),
        {"outlier_detection": {**DETECTION, "enforcing_consecutive_5xx": 100}},
    ),
    "split.test": (
        2,
        (1, 1),
        ours(detection={"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 3}),
        {
            "outlier_detection": {
                **DETECTION,
                "split_external_local_origin_errors": True,
                "consecutive_local_origin_failure": 3,
                "enforcing_consecutive_local_origin_failure": 100,
                "enforcing_local_origin_success_rate": 0,
            }
        },
    ),
    "queue.test": (
        1,
        (1,),
        ours(tcp={"maxConnections": 1}, http={"http1MaxPendingRequests": 1}),
        {"circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 1}]}},
    ),
    "requests.test": (
        1,
        (1,),
        ours(http={"http2MaxRequests": 2}),
        {"circuit_breakers": {"thresholds": [{"max_requests": 2}]}},
    ),
}


class Side:
    """One of the two, with upstreams of its own."""

    def __init__(self, start: Callable[[Mapping[str, list[Upstream]]], Any]) -> None:
        self.groups = {host: upstreams(told[0]) for host, told in HOSTS.items()}
        self.subject = start(self.groups)

    def stop(self) -> None:
        self.subject.stop()
        for group in self.groups.values():
            for upstream in group:
                upstream.stop()

    def told(self, host: str, replies: list[Reply]) -> Counter[tuple[int, str]]:
        """How often each status with its flags."""
        entries = self.subject.log.of(host, len(replies))
        return Counter((int(entry["response_code"]), entry["response_flags"] or "-") for entry in entries)


def meshproxy(groups: Mapping[str, list[Upstream]]) -> Proxy:
    documents: list[dict[str, Any]] = []
    for host, (_, weights, policy, _) in HOSTS.items():
        endpoints = [
            {"address": "127.0.0.1", "ports": {"http": upstream.port}, "weight": weight}
            for upstream, weight in zip(groups[host], weights, strict=True)
        ]
        ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
        spec = {"hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC", "ports": ports}
        documents.append(document("ServiceEntry", host.replace(".", "-"), {**spec, "endpoints": endpoints}))
        documents.append(rule(host, **policy))
        documents.append(
            virtual_service(host, {"route": [{"destination": {"host": host}}], "retries": {"attempts": 0}})
        )
    return Proxy(documents)


def envoy(groups: Mapping[str, list[Upstream]]) -> Envoy:
    clusters, hosts = [], []
    for host, (_, weights, _, policy) in HOSTS.items():
        made = {**cluster(host, *(upstream.port for upstream in groups[host])), "lb_policy": "ROUND_ROBIN", **policy}
        made["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
        for endpoint, weight in zip(made["load_assignment"]["endpoints"][0]["lb_endpoints"], weights, strict=True):
            endpoint["load_balancing_weight"] = weight
        clusters.append(made)
        route = {**forward(host), **NO_RETRY}
        hosts.append(virtual_host(host, [host], [{"match": {"prefix": "/"}, "route": route}]))
    return Envoy(hosts, clusters)


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    pair = Side(meshproxy), Side(envoy)
    yield pair
    for side in pair:
        side.stop()


def shares(side: Side, host: str, count: int) -> list[float]:
    with Raw(side.subject.address) as client:
        found = Counter(client.get(host).body for _ in range(count))
    return [found[str(number).encode()] / count for number in range(HOSTS[host][0])]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("round-robin.test", (0.125, 0.25, 0.625)),
        ("least-request.test", (0.125, 0.25, 0.625)),
        ("random.test", (1 / 3, 1 / 3, 1 / 3)),
        ("even.test", (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_shares_of_upstreams(sides: tuple[Side, Side], host: str, expected: tuple[float, ...]) -> None:
    """Five standard deviations of a random choice; a rotation is far inside."""
    count = 600
    for side in sides:
        for share, wanted in zip(shares(side, host, count), expected, strict=True):
            assert abs(share - wanted) <= 5 * (wanted * (1 - wanted) / count) ** 0.5, (side.subject, share, wanted)


def test_one_upstream_fails_then_all(sides: tuple[Side, Side]) -> None:
    """As many 500 until it is ejected, then none; when the other fails too, as many, then `UH`."""
    results = []
    for side in sides:
        bad, good = side.groups["five.test"]
        failing = {bad}
        for upstream in (bad, good):

            def respond(peer: Peer, seen: Seen, me: Upstream = upstream, failing: set[Upstream] = failing) -> None:
                peer.answer(b"bad", "500 Bad" if me in failing else "200 OK")

            upstream.respond(respond)
        replies = []
        with Raw(side.subject.address) as client:
            replies += [client.get("five.test") for _ in range(40)]
            time.sleep(1.1)  # Envoy takes further ejections in hand a second later
            failing.add(good)
            for _ in range(20):
                replies.append(client.get("five.test"))
                time.sleep(0.01)
        results.append(side.told("five.test", replies))
    assert results[0] == results[1]
    assert results[0][500, "-"] == 10
    assert results[0][503, "UH"] == 15


def test_gateway_errors_eject_and_others_do_not(sides: tuple[Side, Side]) -> None:
    script = ["500", "502", "502", "500", "503", "504", "502"]
    results = []
    for side in sides:
        bad, _ = side.groups["gateway.test"]
        sequence = iter(script)

        def respond(peer: Peer, seen: Seen, sequence: Iterator[str] = sequence) -> None:
            peer.answer(b"bad", f"{next(sequence, '599')} Bad")

        bad.respond(respond)
        with Raw(side.subject.address) as client:
            replies = [client.get("gateway.test") for _ in range(40)]
        results.append(side.told("gateway.test", replies))
    assert results[0] == results[1]
    assert results[0] == {(500, "-"): 2, (502, "-"): 3, (503, "-"): 1, (504, "-"): 1, (200, "-"): 33}


@pytest.mark.parametrize(("host", "failures"), [("refused.test", 5), ("split.test", 3)])
def test_an_upstream_that_is_gone(sides: tuple[Side, Side], host: str, failures: int) -> None:
    results = []
    for side in sides:
        side.groups[host][0].stop()
        with Raw(side.subject.address) as client:
            replies = [client.get(host) for _ in range(30)]
        results.append(side.told(host, replies))
    assert results[0] == results[1] == {(503, "UF"): failures, (200, "-"): 30 - failures}


@pytest.mark.parametrize(("host", "through"), [("queue.test", 2), ("requests.test", 2)])
def test_as_many_get_through_and_the_others_are_refused(sides: tuple[Side, Side], host: str, through: int) -> None:
    results = []
    for side in sides:
        (upstream,) = side.groups[host]
        gate = threading.Event()

        def respond(peer: Peer, seen: Seen, gate: threading.Event = gate) -> None:
            gate.wait(20)
            peer.answer(b"held")

        upstream.respond(respond)
        clients = [Raw(side.subject.address) for _ in range(6)]
        for client in clients:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            time.sleep(0.1)
        eventually(lambda s=side: s.subject.log.of(host, 6 - through), "the others are refused")
        gate.set()
        replies = [client.reply() for client in clients]
        overloaded = sum(reply.get("x-envoy-overloaded") == "true" for reply in replies)
        results.append((side.told(host, replies), overloaded, Counter(reply.body for reply in replies)))
        for client in clients:
            client.close()
        upstream.respond(named("0"))
    assert results[0] == results[1]
    assert results[0][0] == {(200, "-"): through, (503, "UO"): 6 - through}
