"""What a DestinationRule asks of its cluster, on real sockets: hashing, limits, ejection, retries, PROXY headers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from support.policies import admin, governed, live, metric, rule, upstreams
from support.proxy import Proxy, document, flags_of, service_entry, virtual_service
from support.raw import Raw, Reply, fetch
from support.upstream import Peer, Seen, Upstream
from support.wait import eventually


class World:
    """Upstreams, and a proxy that knows them by host."""

    def __init__(self) -> None:
        self.groups: dict[str, list[Upstream]] = {}
        self.documents: list[dict[str, Any]] = []

    def add(self, host: str, count: int = 1, **policy: Any) -> None:
        self.groups[host] = upstreams(count)
        self.documents += governed(host, *self.ports(host), **policy)

    def ports(self, host: str) -> list[int]:
        return [upstream.port for upstream in self.groups[host]]

    def stop(self) -> None:
        for group in self.groups.values():
            for upstream in group:
                upstream.stop()


HEADER = {"consistentHash": {"httpHeaderName": "x-user"}}
QUICK = {"interval": "0.1s", "baseEjectionTime": "0.3s", "maxEjectionPercent": 100}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    world.add("header.test", 3, loadBalancer=HEADER)
    world.add("maglev.test", 3, loadBalancer={"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 1021}}})
    cookie = {"name": "user", "ttl": "60s", "path": "/p", "attributes": [{"name": "Secure"}]}
    world.add("cookie.test", 3, loadBalancer={"consistentHash": {"httpCookie": cookie}})
    world.add("query.test", 3, loadBalancer={"consistentHash": {"httpQueryParameterName": "q"}})
    one = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}
    world.add("queue.test", 1, connectionPool=one)
    world.add("requests.test", 1, connectionPool={"http": {"http2MaxRequests": 2}})
    world.add("once.test", 1, connectionPool={"http": {"maxRequestsPerConnection": 1}})
    world.add("retries.test", 1, connectionPool={"http": {"maxRetries": 1}})
    world.add("budget.test", 1, retryBudget={"percent": 0, "minRetryConcurrency": 1})
    world.add("outlier.test", 2, outlierDetection={**QUICK, "consecutive5xxErrors": 3})
    world.add("all.test", 2, outlierDetection={**QUICK, "consecutive5xxErrors": 1, "baseEjectionTime": "60s"})
    world.add(
        "panic.test",
        2,
        loadBalancer={"simple": "ROUND_ROBIN"},
        outlierDetection={
            **QUICK,
            "consecutive5xxErrors": 1,
            "baseEjectionTime": "60s",
            "minHealthPercent": 60,
        },
    )
    world.add("default.test", 2, outlierDetection={"consecutive5xxErrors": 1})
    for version in ("V1", "V2"):
        host = f"{version.lower()}.test"
        world.groups[host] = [Upstream().listen()]
        world.documents += governed(host, *world.ports(host), proxyProtocol={"version": version})
    retries = {"attempts": 1, "retryOn": "5xx"}
    for host in ("retries.test", "budget.test"):
        world.documents.append(virtual_service(host, {"route": [{"destination": {"host": host}}], "retries": retries}))
    yield world
    world.stop()


@pytest.fixture(scope="module")
def proxy(world: World) -> Iterator[Proxy]:
    with Proxy(world.documents) as running:
        yield running


def get(proxy: Proxy, host: str, target: str = "/", *lines: str) -> Reply:
    return fetch(proxy.address, host, target, *lines)


# --- hashing


def test_a_header_s_value_keeps_its_upstream_and_values_are_spread(proxy: Proxy) -> None:
    found = {user: {get(proxy, "header.test", "/", f"x-user: {user}").body for _ in range(3)} for user in range(40)}
    assert all(len(bodies) == 1 for bodies in found.values())
    assert len(set.union(*found.values())) == 3


def test_without_the_header_any_upstream_answers(proxy: Proxy) -> None:
    assert len({get(proxy, "header.test").body for _ in range(60)}) == 3


def test_the_source_address_and_what_a_forwarder_says_of_it(proxy: Proxy) -> None:
    assert len({get(proxy, "maglev.test").body for _ in range(20)}) == 1
    forwarded = {get(proxy, "maglev.test", "/", f"x-forwarded-for: 10.0.0.{n}").body for n in range(40)}
    assert len(forwarded) == 3


def test_a_query_parameter(proxy: Proxy) -> None:
    assert len({get(proxy, "query.test", f"/?q=1&n={n}").body for n in range(20)}) == 1
    assert len({get(proxy, "query.test", f"/?q={n}").body for n in range(60)}) == 3


def test_a_client_is_given_a_cookie_that_keeps_its_upstream(proxy: Proxy) -> None:
    first = get(proxy, "cookie.test")
    (given,) = first.all("set-cookie")
    pair, *attributes = given.split("; ")
    assert attributes == ["Max-Age=60", "Path=/p", "Secure", "HttpOnly"]
    again = [get(proxy, "cookie.test", "/", f"cookie: {pair}") for _ in range(10)]
    assert {reply.body for reply in again} == {first.body}
    assert not any(reply.all("set-cookie") for reply in again)


# --- limits


def held(
    proxy: Proxy, upstream: Upstream, host: str, count: int, *, queued: int = 0
) -> tuple[threading.Event, list[Raw]]:
    """Requests that `upstream` answers when the event is set; the last `queued` of them wait in the proxy.

    All others have their connection: one that is still being opened can be overtaken by a request to another worker.
    """
    gate = threading.Event()

    def respond(peer: Peer, seen: Seen) -> None:
        assert gate.wait(20)
        peer.answer(b"held")

    upstream.respond(respond)
    clients = []
    for number in range(count):
        client = Raw(proxy.address)
        client.send(f"GET /{number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        clients.append(client)
        waiting = max(0, number + 1 - (count - queued))
        wanted = (number + 1 - waiting, waiting)
        eventually(lambda wanted=wanted: busy(proxy, host) == wanted, f"request {number} is under way")
    return gate, clients


def busy(proxy: Proxy, host: str) -> tuple[int, ...]:
    """How many are with the upstream, and how many wait for a connection."""
    names = ("meshproxy_cluster_upstream_rq_active", "meshproxy_cluster_upstream_rq_pending_active")
    return tuple(int(metric(proxy, name, host)) for name in names)


def refused(reply: Reply) -> None:
    assert (reply.status, reply.get("x-envoy-overloaded")) == (503, "true")
    expected = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"
    assert reply.body == expected


def test_one_on_the_connection_one_in_the_queue_and_the_next_is_refused(proxy: Proxy, world: World) -> None:
    gate, clients = held(proxy, world.groups["queue.test"][0], "queue.test", 2, queued=1)
    refused(get(proxy, "queue.test", "/refused"))
    ladder = " ".join(admin(proxy, "/explain?url=http://queue.test/").split())
    assert "in use 1 of 1 connections, open, 1 overflows 1 of 1 pending, open, 1 overflows" in ladder
    breaker = json.loads(admin(proxy, "/explain?url=http://queue.test/&format=json"))["destinations"][0]["breaker"]
    assert list(breaker) == ["connections", "pending"]
    assert breaker["pending"] == {"in_use": 1, "limit": 1, "open": True, "overflows": 1}
    assert proxy.log.flags("queue.test") == "UO"
    gate.set()
    assert [client.reply().body for client in clients] == [b"held", b"held"]
    for client in clients:
        client.close()
    assert len(world.groups["queue.test"][0].peers) == 1
    assert metric(proxy, "meshproxy_cluster_upstream_rq_pending_overflow_total", "queue.test") == 1
    assert get(proxy, "queue.test").status == 200


def test_so_many_requests_at_once_and_no_more(proxy: Proxy, world: World) -> None:
    gate, clients = held(proxy, world.groups["requests.test"][0], "requests.test", 2)
    refused(get(proxy, "requests.test"))
    gate.set()
    for client in clients:
        assert client.reply().status == 200
        client.close()
    eventually(lambda: busy(proxy, "requests.test") == (0, 0), "all are done")
    assert get(proxy, "requests.test").status == 200


def test_a_connection_for_each_request(proxy: Proxy, world: World) -> None:
    for _ in range(3):
        assert get(proxy, "once.test").status == 200
    assert len(world.groups["once.test"][0].peers) == 3


@pytest.mark.parametrize("host", ["retries.test", "budget.test"])
def test_a_retry_more_than_allowed_is_left_out_and_the_failure_returned(proxy: Proxy, world: World, host: str) -> None:
    gate = threading.Event()

    def respond(peer: Peer, seen: Seen) -> None:
        if seen.get("x-envoy-attempt-count") != "1":
            gate.wait(20)
        peer.answer(b"bad", "500 Bad")

    world.groups[host][0].respond(respond)
    with Raw(proxy.address) as first:
        first.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        eventually(
            lambda: metric(proxy, "meshproxy_cluster_upstream_rq_retry_active", host) == 1, "a retry is under way"
        )
        assert get(proxy, host).status == 500
        assert proxy.log.flags(host) == "UO"
        gate.set()
        assert first.reply().status == 500
    assert metric(proxy, "meshproxy_cluster_upstream_rq_retry_overflow_total", host) == 1


def test_limits_hold_over_all_workers(world: World) -> None:
    with contextlib.closing(_Stopped(upstreams(1))) as stopped:
        upstream = stopped.upstreams[0]
        documents = governed("w.test", upstream.port, connectionPool={"http": {"http2MaxRequests": 3}})
        with Proxy(documents, "--workers", "2") as proxy:
            gate, clients = held(proxy, upstream, "w.test", 3)
            for _ in range(8):  # on either worker
                refused(get(proxy, "w.test"))
            gate.set()
            for client in clients:
                assert client.reply().status == 200
                client.close()


class _Stopped:
    def __init__(self, group: list[Upstream]) -> None:
        self.upstreams = group

    def close(self) -> None:
        for upstream in self.upstreams:
            upstream.stop()


def test_an_upstream_that_hangs_up_at_once_is_not_called_for_ever() -> None:
    with Upstream(lambda peer: peer.close()) as upstream:
        documents = governed("rude.test", upstream.port, connectionPool={"tcp": {"maxConnections": 1}})
        with Proxy(documents) as proxy:
            assert [get(proxy, "rude.test").status for _ in range(5)] == [503] * 5
            assert proxy.log.flags("rude.test") in ("UC", "UC,URX")
            assert len(upstream.peers) <= 15
            assert busy(proxy, "rude.test") == (0, 0)


# --- ejection


def test_an_upstream_that_fails_is_left_alone_and_comes_back(proxy: Proxy, world: World) -> None:
    host, bad = "outlier.test", world.groups["outlier.test"][0]
    failing = threading.Event()
    failing.set()

    def respond(peer: Peer, seen: Seen) -> None:
        peer.answer(b"bad", "500 Bad" if failing.is_set() else "200 OK")

    bad.respond(respond)
    found = Counter(get(proxy, host).status for _ in range(60))
    assert found[500] == 3
    row = next(row for row in live(proxy, host) if row["address"].endswith(f":{bad.port}"))
    assert row["ejections"] >= 1
    assert metric(proxy, "meshproxy_cluster_outlier_detection_ejections_enforced_total", host) >= 1
    name = f"outbound|80||{host}"
    assert f"{name}: 127.0.0.1:{bad.port} is ejected (consecutive_5xx)" in proxy.process.stderr
    failing.clear()
    eventually(lambda: get(proxy, host).body == b"bad", "it answers again")
    assert f"{name}: 127.0.0.1:{bad.port} is back" in proxy.process.stderr


def test_when_all_are_ejected_the_answer_is_no_healthy_upstream(proxy: Proxy) -> None:
    statuses = [get(proxy, "all.test", "/", "x-status: 500").status for _ in range(2)]
    while statuses[-1] == 500 and len(statuses) < 20:
        statuses.append(get(proxy, "all.test", "/", "x-status: 500").status)
    last = get(proxy, "all.test")
    assert (last.status, last.body) == (503, b"no healthy upstream")
    assert flags_of(proxy.log.of("all.test", len(statuses) + 1)[-1]) == "UH"
    assert statuses.count(500) == 2


def test_below_the_health_asked_for_everybody_is_asked(proxy: Proxy) -> None:
    for _ in range(4):
        get(proxy, "panic.test", "/", "x-status: 500")
    assert {get(proxy, "panic.test").body for _ in range(10)} == {b"0", b"1"}


def test_ten_per_cent_of_two_is_nobody(proxy: Proxy) -> None:
    for _ in range(20):
        get(proxy, "default.test", "/", "x-status: 500")
    assert all(row["ejections"] == 0 for row in live(proxy, "default.test"))
    assert metric(proxy, "meshproxy_cluster_outlier_detection_ejections_overflow_total", "default.test") == 20


def test_admin_shows_the_table_that_hashes_are_looked_up_in(proxy: Proxy) -> None:
    assert {row["balancer"] for row in live(proxy, "header.test")} == {"RING_HASH"}
    assert "outbound|80||maglev.test::127.0.0.1" in admin(proxy, "/clusters")


# --- PROXY headers


@pytest.mark.parametrize(
    ("host", "begin"), [("v1.test", b"PROXY TCP4 127.0.0.1 127.0.0.1 "), ("v2.test", b"\r\n\r\n\0")]
)
def test_the_upstream_is_told_the_client_s_address(proxy: Proxy, world: World, host: str, begin: bytes) -> None:
    upstream = world.groups[host][0]
    seen = []

    def script(peer: Peer) -> None:
        data = b""
        while b"HTTP/1.1" not in data:
            data += peer.receive()
        seen.append(data)
        peer.answer(b"ok")
        peer.wait_gone()

    upstream.script(script)
    with Raw(proxy.address) as one, Raw(proxy.address) as other:
        ports = [each.sock.getsockname()[1] for each in (one, other)]
        assert one.get(host).body == other.get(host).body == b"ok"
    assert len(upstream.peers) == 2  # a client's connection is for nobody else
    assert all(data.startswith(begin) for data in seen)
    if host == "v1.test":
        assert [int(data.split(b" ")[4]) for data in seen] == ports


# --- reloads under load


def test_every_endpoint_is_replaced_and_no_request_fails() -> None:
    first, second, third = (upstreams(2) for _ in range(3))
    policy = {
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "connectionPool": {"http": {"http2MaxRequests": 100}},
        "outlierDetection": {},
    }
    with Proxy(governed("roll.test", *(each.port for each in first), **policy)) as proxy:
        done = threading.Event()
        failed: list[Reply] = []
        count = Counter[bytes]()

        def load() -> None:
            with Raw(proxy.address) as client:
                while not done.is_set():
                    reply = client.get("roll.test")
                    count[reply.body] += 1
                    if reply.status != 200:
                        failed.append(reply)

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(load) for _ in range(4)]
            steps = [[first[0], second[0]], [second[0], second[1]], [second[1], third[0]], [third[0], third[1]]]
            for step in steps:
                ports = {str(each.port) for each in step}
                proxy.reload(
                    governed("roll.test", *(each.port for each in step), **policy),
                    done=lambda wanted=ports: (
                        {row["address"].rpartition(":")[2] for row in live(proxy, "roll.test")} == wanted
                        and all(row["requests"] for row in live(proxy, "roll.test"))
                    ),
                )
            done.set()
            for job in jobs:
                job.result()
        assert not failed
        assert sum(count.values()) > 50
    for upstream in (*first, *second, *third):
        upstream.stop()


def test_a_subset_whose_endpoints_all_fail_does_not_touch_the_other() -> None:
    good, bad = upstreams(2)
    entry = service_entry("s.test", good.port, bad.port, labels=[{"v": "good"}, {"v": "bad"}])
    subsets = [{"name": name, "labels": {"v": name}} for name in ("good", "bad")]
    detection = {"outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100}}
    spec = {"host": "s.test", "trafficPolicy": detection, "subsets": subsets}
    rules = [
        {"match": [{"uri": {"prefix": f"/{name}"}}], "route": [{"destination": {"host": "s.test", "subset": name}}]}
        for name in ("good", "bad")
    ]
    with Proxy([entry, document("DestinationRule", "s", spec), virtual_service("s.test", *rules)]) as proxy:
        assert get(proxy, "s.test", "/bad", "x-status: 500").status == 500
        assert get(proxy, "s.test", "/bad").body == b"no healthy upstream"
        assert [get(proxy, "s.test", "/good").status for _ in range(5)] == [200] * 5
    for upstream in (good, bad):
        upstream.stop()


def test_a_rule_that_comes_and_goes_takes_its_limits_with_it() -> None:
    (upstream,) = upstreams(1)
    entry = service_entry("x.test", upstream.port)
    once = rule("x.test", connectionPool={"http": {"maxRequestsPerConnection": 1}})

    def used(proxy: Proxy) -> int:
        """Connections that three requests take."""
        before = len(upstream.peers)
        assert [get(proxy, "x.test").status for _ in range(3)] == [200] * 3
        return len(upstream.peers) - before

    with Proxy([entry]) as proxy:
        assert used(proxy) == 1
        for documents, connections in (([entry, once], 3), ([entry], 1)):
            status = admin(proxy, "/config_status")
            proxy.reload(
                {"config.yaml": yaml.safe_dump_all(documents)},
                done=lambda before=status: admin(proxy, "/config_status") != before,
            )
            assert used(proxy) == connections
    upstream.stop()
