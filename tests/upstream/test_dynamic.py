"""Clusters that call whoever is asked for."""

from __future__ import annotations

from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.snapshot import Snapshot
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.clusters import Clusters


def clusters(host: str = "*.test", port: int | None = 8080) -> Clusters:
    made = Clusters(Stats.create(1))
    made.reconcile(snapshot(host, port))
    return made


def snapshot(host: str, port: int | None, connect_timeout: float = 10.0) -> Snapshot:
    endpoints = (Endpoint(address="*", port=port),) if port is not None else ()
    plan = Cluster(
        name="c",
        host=host,
        port=80,
        resolution=Resolution.DYNAMIC,
        endpoints=endpoints,
        connect_timeout=connect_timeout,
    )
    return Snapshot(clusters={"c": plan})


def called(made: Clusters, host: str, port: int = 80) -> str | None:
    live = made.dynamic("c", host, port)
    return live.endpoints[0].name if live is not None else None


def test_whoever_is_asked_for_is_called_on_the_service_s_port():
    assert called(clusters(), "a.test") == "a.test:8080"


def test_without_a_port_of_its_own_the_one_asked_for():
    assert called(clusters(port=None), "a.test", 443) == "a.test:443"


def test_a_service_with_a_name_is_called_by_it_unless_an_address_is_asked_for():
    assert called(clusters("real.test"), "alias.test") == "real.test:8080"
    assert called(clusters("real.test"), "10.0.0.1") == "10.0.0.1:8080"


def test_it_is_not_among_the_others():
    made = clusters()
    assert made.by_name == {}
    assert made.dynamic("d", "a.test", 80) is None
    assert made.dynamic("c", "", 80) is None


def test_an_address_keeps_its_endpoint_until_the_plan_changes():
    made = clusters()
    live = made.dynamic("c", "a.test", 80)
    made.reconcile(snapshot("*.test", 8080))
    assert made.dynamic("c", "a.test", 80) is live
    made.reconcile(snapshot("*.test", 8080, connect_timeout=1.0))
    assert made.dynamic("c", "a.test", 80) is not live
    assert live is not None and live.endpoints[0].retired


def test_so_many_addresses_are_remembered_and_no_more():
    made = clusters()
    first = made.dynamic("c", "first.test", 80)
    for number in range(1100):
        made.dynamic("c", f"h{number}.test", 80)
    assert made.dynamic("c", "first.test", 80) is not first
    assert first is not None and first.endpoints[0].retired
