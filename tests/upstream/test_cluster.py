"""Picks are counted and reported once; retries go elsewhere; endpoints survive a reload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import Kind, ProxyError
from meshproxy.plan.cluster import Balancer, Cluster, Endpoint
from meshproxy.plan.snapshot import Snapshot
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.clusters import Clusters
from meshproxy.upstream.endpoint import LiveEndpoint


def plan(*ports: int, weight: int = 1, healthy: bool = True) -> Cluster:
    endpoints = tuple(Endpoint(address="10.0.0.1", port=port, weight=weight, healthy=healthy) for port in ports)
    return Cluster(name="c", host="h", port=80, endpoints=endpoints, balancer=Balancer.ROUND_ROBIN)


def live(made: Cluster) -> LiveCluster:
    clusters = Clusters()
    clusters.reconcile(Snapshot(clusters={"c": made}))
    return clusters.by_name["c"]


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 4))
def test_active_is_what_was_picked_and_is_not_done(steps: list[bool], count: int) -> None:
    cluster = live(plan(*range(1, count + 1)))
    out: list[LiveEndpoint] = []
    picked = 0
    for pick in steps:
        if pick or not out:
            out.append(cluster.pick())
            picked += 1
        else:
            cluster.done(out.pop(0), Kind.UPSTREAM_CLOSED)
        for endpoint in cluster.endpoints:
            assert endpoint.active == sum(each is endpoint for each in out)
    assert sum(endpoint.requests for endpoint in cluster.endpoints) == picked
    assert sum(endpoint.failures for endpoint in cluster.endpoints) == picked - len(out)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_retry_goes_to_an_endpoint_that_was_not_tried(count: int) -> None:
    cluster = live(plan(*range(1, count + 1)))
    tried: list[LiveEndpoint] = []
    for _ in range(count):
        tried.append(cluster.pick(tried))
    assert len(set(tried)) == count
    assert cluster.pick(tried) in tried


@pytest.mark.parametrize(
    ("made", "words"), [(plan(), "h has no endpoint"), (plan(1, 2, healthy=False), "none of the 2")]
)
def test_nobody_to_pick_says_why_and_counts_nothing(made: Cluster, words: str) -> None:
    cluster = live(made)
    with pytest.raises(ProxyError, match=words) as caught:
        cluster.pick()
    assert caught.value.kind is Kind.NO_ENDPOINT
    assert all(endpoint.active == 0 for endpoint in cluster.endpoints)


def test_a_reload_keeps_an_endpoints_state_and_retires_those_that_are_gone() -> None:
    clusters = Clusters()
    clusters.reconcile(Snapshot(clusters={"c": plan(1, 2)}))
    before = {endpoint.port: endpoint for endpoint in clusters.by_name["c"].endpoints}
    before[1].active = 3
    clusters.reconcile(Snapshot(clusters={"c": plan(1, 3, weight=5)}))
    after = {endpoint.port: endpoint for endpoint in clusters.by_name["c"].endpoints}
    assert after[1] is before[1]
    assert (after[1].active, after[1].weight) == (3, 5)
    assert before[2].retired
    assert not after[1].retired
    assert not after[3].retired


def test_a_cluster_that_did_not_change_is_the_same_and_one_that_is_gone_retires_its_endpoints() -> None:
    clusters = Clusters()
    clusters.reconcile(Snapshot(clusters={"c": plan(1)}))
    cluster = clusters.by_name["c"]
    clusters.reconcile(Snapshot(clusters={"c": plan(1)}))
    assert clusters.by_name["c"] is cluster
    clusters.reconcile(Snapshot())
    assert clusters.by_name == {}
    assert cluster.endpoints[0].retired


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [("10.0.0.1", 80, "10.0.0.1:80"), ("::1", 80, "[::1]:80"), ("unix:///run/a.sock", 0, "unix:///run/a.sock")],
)
def test_an_endpoint_is_named_by_its_address(address: str, port: int, name: str) -> None:
    assert LiveEndpoint(Endpoint(address=address, port=port)).name == name
