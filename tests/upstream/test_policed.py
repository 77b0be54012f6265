"""Policed clusters on real sockets of loopback: queues and limits, ejection and return, what a reload carries over."""

import asyncio
import contextlib
import dataclasses
import socket

import pytest

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError
from meshproxy.plan.cluster import Balancer, Cluster, Endpoint
from meshproxy.plan.hashing import Maglev, RingHash
from meshproxy.plan.limits import ConnectionPolicy, Keepalive, Limits, RetryBudget
from meshproxy.plan.outlier import OutlierDetection
from meshproxy.plan.slow_start import Warmup
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.upstream_tls import ProxyProtocol
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.clusters import Clusters

ME = "127.0.0.1:4000", "127.0.0.1:15001"


class User:
    """Somebody who waits for a connection, and uses it."""

    def __init__(self, cluster, endpoint, host=b"h", source=ME[0]):
        self.came = asyncio.Event()
        self.cluster, self.endpoint = cluster, endpoint
        self.remote_address, self.local_address = source, ME[1]
        self.purpose = cluster.purpose(host, self)
        self.ticket = self.connection = None

    def on_upstream_data(self):
        """Nothing is asked of the upstream here."""

    def on_upstream_blocked(self, blocked):
        """Nor sent."""

    def on_upstream_failed(self, error):
        self.error = error

    def ask(self):
        """A kept connection or a place in the queue."""
        self.connection = self.cluster.take(self.endpoint, self.purpose)
        if self.connection is None:
            self.ticket = self.cluster.wait(self.endpoint, self.purpose, lambda change: None, self.came.set)
        else:
            self.begin()
        return self

    async def got(self):
        await asyncio.wait_for(self.came.wait(), 10)
        self.connection = self.ticket.result()
        self.begin()
        return self

    def begin(self):
        self.connection.begin(self, b"GET", None)

    def end(self, *, whole=True):
        if whole:
            self.connection.reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.connection.release(clock.monotonic())


@contextlib.asynccontextmanager
async def served(count=1, **policies):
    """A cluster of `count` endpoints, each a server that keeps connections open; and what its workers share."""
    peers = []
    servers = []
    for _ in range(count):
        server = await asyncio.start_server(lambda reader, writer: peers.append((reader, writer)), "127.0.0.1", 0)
        servers.append(server)
    endpoints = tuple(Endpoint(address="127.0.0.1", port=s.sockets[0].getsockname()[1]) for s in servers)
    clusters = Clusters(Stats.create(1))
    plan = Cluster(name="c", host="h", port=80, endpoints=endpoints, **policies)
    clusters.reconcile(Snapshot(clusters={"c": plan}))
    try:
        yield clusters, peers
    finally:
        clusters.close()
        for _, writer in peers:
            writer.close()
        for server in servers:
            server.close()
        await asyncio.sleep(0.02)


def again(clusters, **changes):
    """A reload."""
    plan = dataclasses.replace(clusters.by_name["c"].plan, **changes)
    clusters.reconcile(Snapshot(clusters={"c": plan}))
    return clusters.by_name["c"]


async def test_a_connection_is_kept_for_the_next_request():
    async with served(limits=Limits(requests=10)) as (clusters, peers):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        first.end()
        second = User(cluster, cluster.endpoints[0]).ask()
        assert second.connection is first.connection
        assert len(peers) == 1
        assert cluster.breaker.requests.in_use() == cluster.breaker.connections.in_use() == 1


async def test_with_one_connection_requests_go_one_after_the_other():
    async with served(limits=Limits(connections=1)) as (clusters, peers):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        waiting = [User(cluster, cluster.endpoints[0]).ask() for _ in range(2)]
        await asyncio.sleep(0.02)
        assert not any(each.came.is_set() for each in waiting)
        assert cluster.breaker.pending.in_use() == 2
        first.end()
        second = await waiting[0].got()
        assert not waiting[1].came.is_set()
        second.end()
        await waiting[1].got()
        assert len(peers) == 1
        assert cluster.breaker.pending.in_use() == 0


async def test_the_one_too_many_that_waits_is_refused():
    async with served(limits=Limits(connections=1, pending=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        await User(cluster, cluster.endpoints[0]).ask().got()
        User(cluster, cluster.endpoints[0]).ask()
        with pytest.raises(ProxyError) as refused:
            User(cluster, cluster.endpoints[0]).ask()
        assert refused.value.kind is Kind.OVERFLOW


async def test_requests_at_once_are_limited_on_kept_and_new_connections():
    async with served(limits=Limits(requests=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        with pytest.raises(ProxyError):  # on a new connection, which is then kept
            await User(cluster, cluster.endpoints[0]).ask().got()
        with pytest.raises(ProxyError):  # on that
            User(cluster, cluster.endpoints[0]).ask()
        first.end()
        User(cluster, cluster.endpoints[0]).ask().end()


async def test_who_waits_for_the_one_connection_is_within_the_limit_of_requests():
    async with served(limits=Limits(connections=1, requests=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        waiting = User(cluster, cluster.endpoints[0]).ask()
        first.end()
        await waiting.got()


async def test_an_endpoint_without_a_connection_may_open_one_beyond_the_limit():
    async with served(2, limits=Limits(connections=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        for endpoint in cluster.endpoints:
            await User(cluster, endpoint).ask().got()
        assert cluster.breaker.connections.in_use() == 2


async def test_who_waits_gets_a_new_connection_when_the_old_one_breaks():
    async with served(limits=Limits(connections=1)) as (clusters, peers):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        waiting = User(cluster, cluster.endpoints[0]).ask()
        first.connection.close()
        await waiting.got()
        assert len(peers) == 2


async def test_who_gives_up_waiting_leaves_the_queue():
    async with served(limits=Limits(connections=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        gone, next_ = (User(cluster, cluster.endpoints[0]).ask() for _ in range(2))
        gone.ticket.cancel()
        first.end()
        await next_.got()
        assert cluster.breaker.pending.in_use() == 0


async def test_a_connection_carries_so_many_requests_and_no_more():
    async with served(connections=ConnectionPolicy(requests=2)) as (clusters, _):
        cluster = clusters.by_name["c"]
        first = await User(cluster, cluster.endpoints[0]).ask().got()
        first.end()
        User(cluster, cluster.endpoints[0]).ask().end()
        assert User(cluster, cluster.endpoints[0]).ask().connection is None
        assert first.connection.transport.is_closing()


async def test_a_connection_that_is_too_old_is_closed_even_when_idle():
    async with served(connections=ConnectionPolicy(duration=0.01)) as (clusters, _):
        cluster = clusters.by_name["c"]
        user = await User(cluster, cluster.endpoints[0]).ask().got()
        user.connection._since += 100
        user.end()
        clusters.close_idle(clock.monotonic() + 50)
        assert not user.connection.transport.is_closing()
        clusters.close_idle(clock.monotonic() + 200)
        assert user.connection.transport.is_closing()


async def test_keep_alive_is_asked_of_the_system():
    wanted = Keepalive(probes=3, time=70, interval=11)
    async with served(connections=ConnectionPolicy(keepalive=wanted)) as (clusters, _):
        cluster = clusters.by_name["c"]
        user = await User(cluster, cluster.endpoints[0]).ask().got()
        sock = user.connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            names = (socket.TCP_KEEPCNT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
            assert [sock.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [3, 70, 11]


async def test_nobody_listens():
    async with served(limits=Limits(connections=1)) as (clusters, _):
        cluster = again(clusters, endpoints=(Endpoint(address="127.0.0.1", port=1),))
        users = [User(cluster, cluster.endpoints[0]).ask() for _ in range(2)]
        for user in users:
            with pytest.raises(ProxyError) as failed:
                await user.got()
            assert failed.value.kind is Kind.CONNECT_FAILURE
        assert cluster.breaker.connections.in_use() == cluster.breaker.pending.in_use() == 0


async def test_an_upstream_is_told_who_the_client_is_and_each_client_has_connections_of_its_own():
    for version, first in (
        (ProxyProtocol.V1, b"PROXY TCP4 127.0.0.1"),
        (ProxyProtocol.V2, b"\r\n\r\n\0\r\nQUIT\n\x21"),
    ):
        async with served(proxy_protocol=version) as (clusters, peers):
            cluster = clusters.by_name["c"]
            user = await User(cluster, cluster.endpoints[0]).ask().got()
            user.end()
            assert User(cluster, cluster.endpoints[0]).ask().connection is user.connection
            assert User(cluster, cluster.endpoints[0], source="127.0.0.1:9").ask().connection is None
            assert (await asyncio.wait_for(peers[0][0].read(100), 10)).startswith(first)


# --- ejection


async def test_an_ejected_endpoint_is_not_chosen_until_its_time_is_over():
    policy = OutlierDetection(consecutive_5xx=2, interval=0.02, base_ejection_time=0.05, max_ejection_percent=100)
    async with served(2, outlier=policy) as (clusters, _):
        cluster = clusters.by_name["c"]
        bad, good = cluster.endpoints
        for _ in range(2):
            cluster.answered(bad, 500)
        assert {cluster.pick() for _ in range(50)} == {good}
        await asyncio.sleep(0.2)
        assert {cluster.pick() for _ in range(50)} == {bad, good}


async def test_when_all_are_ejected_nobody_answers_and_the_cause_is_told():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    async with served(2, outlier=policy) as (clusters, _):
        cluster = clusters.by_name["c"]
        for endpoint in cluster.endpoints:
            cluster.done(cluster.endpoints[0], None)
            cluster.answered(endpoint, 503)
        with pytest.raises(ProxyError, match="2 of them ejected") as refused:
            cluster.pick()
        assert refused.value.kind is Kind.NO_ENDPOINT


async def test_below_the_health_asked_for_all_are_chosen():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    async with served(3, outlier=policy, panic_threshold=50, balancer=Balancer.RANDOM) as (clusters, _):
        cluster = clusters.by_name["c"]
        for endpoint in cluster.endpoints[:2]:
            cluster.answered(endpoint, 503)
        assert {cluster.pick() for _ in range(100)} == set(cluster.endpoints)


async def test_failures_count_and_refusals_of_our_own_do_not():
    policy = OutlierDetection(consecutive_5xx=2, max_ejection_percent=100)
    async with served(2, outlier=policy) as (clusters, _):
        cluster = clusters.by_name["c"]
        first, second = cluster.endpoints
        for kind in (Kind.OVERFLOW, Kind.DOWNSTREAM_CLOSED, None, Kind.OVERFLOW):
            cluster.done(first, kind)
        for kind in (Kind.CONNECT_FAILURE, Kind.RESPONSE_TIMEOUT):
            cluster.done(second, kind)
        assert (first.usable, second.usable) == (True, False)


async def test_ejections_survive_a_reload_and_late_answers_reach_the_successor():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    async with served(3, outlier=policy) as (clusters, _):
        old = clusters.by_name["c"]
        old.answered(old.endpoints[0], 500)
        new = again(clusters, balancer=Balancer.RANDOM)
        assert new is not old
        assert {new.pick() for _ in range(50)} == set(new.endpoints[1:])
        old.answered(old.endpoints[1], 500)
        assert {new.pick() for _ in range(50)} == {new.endpoints[2]}


async def test_without_detection_nobody_stays_ejected():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    async with served(2, outlier=policy) as (clusters, _):
        cluster = clusters.by_name["c"]
        for endpoint in cluster.endpoints:
            cluster.answered(endpoint, 500)
        cluster = again(clusters, outlier=None, hashing=RingHash())
        assert {cluster.pick() for _ in range(50)} == set(cluster.endpoints)


async def test_what_one_worker_ejects_all_leave_alone_until_it_is_back_or_the_worker_is_lost():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=50)
    async with served(4, outlier=policy) as (clusters, _):
        plan = clusters.by_name["c"].plan
        stats = Stats.create(2)
        workers = [Clusters(stats), Clusters(Stats.attach(stats.fd, 1))]
        for worker in workers:
            worker.reconcile(Snapshot(clusters={"c": plan}))
        one, other = (worker.by_name["c"] for worker in workers)
        one.answered(one.endpoints[0], 500)
        assert {endpoint.name for endpoint in (other.pick() for _ in range(100))} == {
            endpoint.name for endpoint in other.endpoints[1:]
        }
        other.answered(other.endpoints[1], 500)
        other.answered(other.endpoints[2], 500)  # that would be three of four
        assert {endpoint.name for endpoint in (one.pick() for _ in range(100))} == {
            endpoint.name for endpoint in one.endpoints[2:]
        }
        workers[0].close()
        assert len({other.pick() for _ in range(100)}) == 3
        Stats.attach(stats.fd, 1)
        successor = Clusters(Stats.attach(stats.fd, 1))
        successor.reconcile(Snapshot(clusters={"c": plan}))
        assert len({successor.by_name["c"].pick() for _ in range(100)}) == 4
        for worker in (*workers, successor):
            worker.close()


async def test_an_endpoint_that_left_while_ejected_comes_back_unspoiled():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    async with served(2, outlier=policy) as (clusters, _):
        cluster = clusters.by_name["c"]
        everybody = cluster.plan.endpoints
        cluster.answered(cluster.endpoints[0], 500)
        again(clusters, endpoints=everybody[1:])
        cluster = again(clusters, endpoints=everybody)
        assert len({cluster.pick() for _ in range(50)}) == 2


# --- reloads


async def test_connections_and_counts_survive_a_reload_that_leaves_them_alone():
    async with served(limits=Limits(connections=5)) as (clusters, _):
        cluster = clusters.by_name["c"]
        busy = await User(cluster, cluster.endpoints[0]).ask().got()
        new = again(clusters, limits=Limits(connections=1))
        assert new.breaker.requests.in_use() == 1
        waiting = User(new, new.endpoints[0]).ask()
        busy.end()
        assert (await waiting.got()).connection is busy.connection


@pytest.mark.parametrize("changes", [{"connections": ConnectionPolicy(requests=3)}, {"limits": None}])
async def test_connections_of_another_kind_are_not_used_any_more(changes):
    async with served(limits=Limits(connections=5)) as (clusters, _):
        cluster = clusters.by_name["c"]
        idle, busy = (User(cluster, cluster.endpoints[0]).ask() for _ in range(2))
        await idle.got()
        await busy.got()
        idle.end()
        again(clusters, **changes)
        assert idle.connection.transport.is_closing()
        assert not busy.connection.transport.is_closing()
        busy.end()
        assert busy.connection.transport.is_closing()
        await asyncio.sleep(0.02)
        assert cluster.breaker.connections.in_use() == cluster.breaker.requests.in_use() == 0


# --- choice


async def test_a_hash_leads_to_the_same_endpoint_and_none_to_any():
    for table in (RingHash(), Maglev(1021)):
        async with served(3, hashing=table) as (clusters, _):
            cluster = clusters.by_name["c"]
            assert len({cluster.pick((), 12345) for _ in range(20)}) == 1
            assert {cluster.pick() for _ in range(200)} == set(cluster.endpoints)


async def test_priorities_take_over_when_the_first_is_ejected():
    policy = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    near, far = Endpoint(address="127.0.0.1", port=1), Endpoint(address="127.0.0.1", port=2, priority=1)
    async with served(1, outlier=policy) as (clusters, _):
        cluster = again(clusters, endpoints=(near, far))
        assert {cluster.pick().port for _ in range(50)} == {1}
        cluster.answered(cluster.endpoints[0], 500)
        assert {cluster.pick().port for _ in range(50)} == {2}


async def test_a_new_endpoint_gets_little_at_first():
    old, new = Endpoint(address="127.0.0.1", port=1), Endpoint(address="127.0.0.1", port=2)
    async with served(1, warmup=Warmup(duration=100), balancer=Balancer.ROUND_ROBIN) as (clusters, _):
        cluster = again(clusters, endpoints=(old,))
        cluster.endpoints[0].since -= 1000
        cluster = again(clusters, endpoints=(old, new))
        ports = [cluster.pick().port for _ in range(220)]
        assert 10 <= ports.count(2) <= 30
        cluster.endpoints[1].since -= 1000
        cluster._warm_at = 1.0
        ports = [cluster.pick().port for _ in range(20)]
        assert ports.count(2) == 10


async def test_retries_at_once_are_limited_by_the_budget():
    async with served(retry_budget=RetryBudget(percent=0, minimum=1)) as (clusters, _):
        cluster = clusters.by_name["c"]
        assert cluster.may_retry()
        cluster.breaker.retries.take()
        assert not cluster.may_retry()


async def test_what_is_staged_and_never_served_leaves_nothing_behind():
    async with served(2, outlier=OutlierDetection(interval=0.01)) as (clusters, _):
        cluster = clusters.by_name["c"]
        plan = dataclasses.replace(cluster.plan, balancer=Balancer.RANDOM)
        list(clusters.stage(Snapshot(clusters={"c": plan})))
        assert clusters.by_name["c"] is cluster
        assert cluster.successor is None
        again(clusters, balancer=Balancer.ROUND_ROBIN)
        assert clusters.by_name["c"].plan.balancer is Balancer.ROUND_ROBIN


async def test_an_endpoint_takes_its_counts_with_it_when_its_cluster_becomes_policed():
    async with served() as (clusters, _):
        cluster = clusters.by_name["c"]
        cluster.done(cluster.pick(), Kind.UPSTREAM_CLOSED)
        since = cluster.endpoints[0].since
        (endpoint,) = again(clusters, limits=Limits(requests=1)).endpoints
        assert (endpoint.requests, endpoint.failures, endpoint.since) == (1, 1, since)
        assert cluster.endpoints[0].retired
