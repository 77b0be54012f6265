"""The ladder's lines about clusters: what is not usual is said, what is, is not; how live endpoints do."""

from dataclasses import dataclass

import pytest

from meshproxy.admin.decision_text import render_text
from meshproxy.base.message import Request
from meshproxy.control.live import LiveRow
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.explain import explain
from meshproxy.plan.hashing import HeaderHash, RingHash
from meshproxy.plan.limits import Limits
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Destination, Forward, Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts


def ladder(*, live=None, hashes=(), **cluster):
    """The ladder of a request to a cluster `c`."""
    route = Route(name="", origin=None, action=Forward((Destination(cluster="c", host="h"),), 1), hashes=hashes)
    host = VirtualHost(name="h", domains=("h",), routes=RouteTable((route,)))
    listener = Listener(name="mesh", host="", port=0, server_port=0, virtual_hosts=VirtualHosts((host,)))
    plan = Cluster(name="c", host="h", port=80, **cluster)
    decision = explain(
        Snapshot(listeners=(listener,), clusters={"c": plan}), "mesh", Request(b"GET", b"/", None, b"h", [])
    )
    return render_text(decision, live=live or {})


ENDPOINTS = (Endpoint(address="10.0.0.1", port=80), Endpoint(address="fd00::1", port=80, healthy=False, weight=3))


def test_endpoints_have_what_is_not_usual_about_them():
    said = ladder(endpoints=ENDPOINTS)
    assert "endpoints   10.0.0.1:80\n" in said
    assert "[fd00::1]:80  weight 3  not ready\n" in said


def test_policies_are_lines_of_their_own():
    said = ladder(endpoints=ENDPOINTS, hashing=RingHash(), limits=Limits(pending=3), hashes=(HeaderHash(b"x-user"),))
    assert "balancer    RingHash\n" in said
    assert "limits      pending 3\n" in said
    assert "hashes        HeaderHash name x-user\n" in said
    assert "limits" not in ladder(endpoints=ENDPOINTS)


def test_a_cluster_that_calls_whoever_is_asked_for_is_no_503():
    said = ladder(resolution=Resolution.DYNAMIC)
    assert "endpoints   whoever is asked for\n" in said
    assert "503" not in said


def test_below_the_panic_threshold_health_is_ignored():
    unready = (Endpoint(address="10.0.0.1", port=80, healthy=False),)
    assert "503, flag UH" in ladder(endpoints=unready)
    assert "503" not in ladder(endpoints=unready, panic_threshold=50)


def test_live_endpoints_say_how_they_do():
    row = LiveRow(cluster="c", balancer="RANDOM", address="10.0.0.1:80", active=2, requests=7, failures=1)
    said = ladder(endpoints=ENDPOINTS[:1], live={("c", "10.0.0.1:80"): row})
    assert "10.0.0.1:80  healthy, 2 active, 7 requests, 1 failed" in said


def test_the_addresses_of_names_are_shown():
    row = LiveRow(cluster="c", balancer="RANDOM", address="10.9.9.9:80")
    named = (Endpoint(address="db.example", port=80),)
    said = ladder(endpoints=named, resolution=Resolution.STRICT_DNS, live={("c", "10.9.9.9:80"): row})
    assert "db.example:80" in said
    assert "10.9.9.9:80  healthy" in said


@dataclass(frozen=True)
class Ejected(LiveRow):
    ejected: bool = False


@pytest.mark.parametrize("ejected", [True, False])
def test_what_is_only_sometimes_the_case_is_said_where_it_is(ejected):
    row = Ejected(cluster="c", balancer="RANDOM", address="10.0.0.1:80", ejected=ejected)
    said = ladder(endpoints=ENDPOINTS[:1], live={("c", "10.0.0.1:80"): row})
    assert ("ejected True" in said) is ejected


def test_many_endpoints_are_counted_not_listed():
    many = tuple(Endpoint(address=f"10.0.0.{number}", port=80) for number in range(1, 31))
    said = ladder(endpoints=many)
    assert "and 20 more" in said
    assert "10.0.0.11:80" not in said
