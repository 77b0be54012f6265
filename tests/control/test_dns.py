"""Names to addresses: what fails, changes, has many answers; and what that does to clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshproxy.control.sources.dns import Names, system_resolver
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.dns import names, with_addresses
from meshproxy.plan.snapshot import Snapshot
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.clusters import Clusters


class Zone:
    """Answers from a table; what it lacks fails. `asked` counts the questions."""

    def __init__(self, **answers: tuple[str, ...]) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked = 0

    async def __call__(self, name: str) -> tuple[str, ...]:
        self.asked += 1
        if name not in self.answers:
            raise OSError(f"{name} is not known")
        return self.answers[name]


def running(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


def look_ups(zone: Zone, changed: Callable[[], None] = lambda: None, every: float = 0.01) -> Names:
    return Names(changed, Stats.create(1), zone, every)


def test_the_first_answers_are_waited_for():
    async def test() -> None:
        looked_up = look_ups(Zone(a_test=("10.0.0.1",), b_test=("10.0.0.2", "10.0.0.3")))
        looked_up.want(frozenset(("a.test", "b.test")))
        await looked_up.first(5)
        assert looked_up.answers == {"a.test": ("10.0.0.1",), "b.test": ("10.0.0.2", "10.0.0.3")}
        looked_up.stop()

    running(test)


def test_a_name_that_hangs_is_waited_for_no_longer_than_patience():
    async def hangs(name: str) -> tuple[str, ...]:
        await asyncio.sleep(3600)
        return ()

    async def test() -> None:
        looked_up = Names(lambda: None, Stats.create(1), hangs)
        looked_up.want(frozenset(("a.test",)))
        await looked_up.first(0.01)
        assert looked_up.answers == {}
        looked_up.stop()

    running(test)


def test_a_change_is_told_and_a_failure_keeps_the_last_answer(capsys: pytest.CaptureFixture[str]):
    async def test() -> None:
        told = asyncio.Event()
        zone = Zone(a_test=("10.0.0.1",))
        looked_up = look_ups(zone, told.set)
        looked_up.want(frozenset(("a.test",)))
        await looked_up.first(5)
        zone.answers["a.test"] = ("10.0.0.9",)
        await told.wait()
        assert looked_up.answers == {"a.test": ("10.0.0.9",)}
        del zone.answers["a.test"]
        asked = zone.asked
        while zone.asked < asked + 2:  # noqa: ASYNC110 - the zone is told of nothing
            await asyncio.sleep(0.001)
        assert looked_up.answers == {"a.test": ("10.0.0.9",)}
        looked_up.stop()

    running(test)
    assert capsys.readouterr().err.count("its last answer is kept") == 1


def test_names_that_are_no_longer_wanted_are_forgotten():
    async def test() -> None:
        looked_up = look_ups(Zone(a_test=("10.0.0.1",), b_test=("10.0.0.2",)))
        looked_up.want(frozenset(("a.test", "b.test")))
        await looked_up.first(5)
        looked_up.want(frozenset(("b.test",)))
        assert looked_up.answers == {"b.test": ("10.0.0.2",)}
        looked_up.stop()

    running(test)


def test_the_system_resolver_knows_localhost_and_says_what_it_does_not_know():
    async def test() -> None:
        look_up = system_resolver()
        assert "127.0.0.1" in await look_up("localhost")
        with pytest.raises(OSError):
            await look_up("nothing.invalid")

    running(test)


# ---- what it does to clusters


def snapshot(resolution: Resolution, *endpoints: Endpoint) -> Snapshot:
    cluster = Cluster(name="c", host="c.test", port=80, resolution=resolution, endpoints=endpoints)
    return Snapshot(clusters={"c": cluster})


def addresses(given: Snapshot) -> list[tuple[str, int]]:
    return [(endpoint.address, endpoint.port) for endpoint in given.clusters["c"].endpoints]


def test_strict_dns_uses_all_addresses_of_all_names():
    plan = snapshot(Resolution.STRICT_DNS, Endpoint(address="a.test", port=1), Endpoint(address="10.0.0.9", port=2))
    assert names(plan) == {"a.test"}
    many = tuple(f"10.1.0.{number}" for number in range(50))
    served = with_addresses(plan, {"a.test": many})
    assert sorted(addresses(served)) == sorted([*((address, 1) for address in many), ("10.0.0.9", 2)])


def test_the_order_of_answers_is_no_change():
    plan = snapshot(Resolution.STRICT_DNS, Endpoint(address="a.test", port=1))
    one = with_addresses(plan, {"a.test": ("10.0.0.1", "10.0.0.2")})
    assert one == with_addresses(plan, {"a.test": ("10.0.0.2", "10.0.0.1")})


def test_ipv6_only():
    plan = snapshot(Resolution.STRICT_DNS, Endpoint(address="a.test", port=1))
    assert addresses(with_addresses(plan, {"a.test": ("::1",)})) == [("::1", 1)]


def test_a_name_without_answer_is_no_endpoint():
    plan = snapshot(Resolution.STRICT_DNS, Endpoint(address="a.test", port=1))
    assert addresses(with_addresses(plan, {})) == []


def test_logical_dns_uses_the_first_address_and_keeps_its_endpoint():
    async def test() -> None:
        plan = snapshot(Resolution.LOGICAL_DNS, Endpoint(address="a.test", port=1))
        clusters = Clusters(Stats.create(1))
        clusters.reconcile(with_addresses(plan, {"a.test": ("10.0.0.1", "10.0.0.2")}))
        (endpoint,) = clusters.by_name["c"].endpoints
        assert endpoint.name == "10.0.0.1:1"
        clusters.reconcile(with_addresses(plan, {"a.test": ("10.0.0.2",)}))
        assert clusters.by_name["c"].endpoints == [endpoint]
        assert (endpoint.name, endpoint.address, endpoint.retired) == ("10.0.0.2:1", "10.0.0.2", False)

    running(test)


def test_addresses_that_stay_keep_their_endpoints():
    async def test() -> None:
        plan = snapshot(Resolution.STRICT_DNS, Endpoint(address="a.test", port=1))
        clusters = Clusters(Stats.create(1))
        clusters.reconcile(with_addresses(plan, {"a.test": ("10.0.0.1", "10.0.0.2")}))
        before = {endpoint.address: endpoint for endpoint in clusters.by_name["c"].endpoints}
        clusters.reconcile(with_addresses(plan, {"a.test": ("10.0.0.2", "10.0.0.3")}))
        after = {endpoint.address: endpoint for endpoint in clusters.by_name["c"].endpoints}
        assert after["10.0.0.2"] is before["10.0.0.2"]
        assert before["10.0.0.1"].retired

    running(test)
