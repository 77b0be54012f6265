"""Names whose addresses change while a worker serves: clusters follow, connections and last good answers stay."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable

from meshproxy.control.built import Built
from meshproxy.control.sources.dns import Names
from meshproxy.control.worker import Worker
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.proxy import Proxy
from meshproxy.telemetry.stats import Stats


def built(*names: str) -> Built:
    endpoints = tuple(Endpoint(address=name, port=80) for name in names)
    cluster = Cluster(name="c", host="c.test", port=80, resolution=Resolution.STRICT_DNS, endpoints=endpoints)
    return Built(digest="", snapshot=pickle.dumps(Snapshot(clusters={"c": cluster})))


def addresses(proxy: Proxy) -> set[str]:
    return {endpoint.address for endpoint in proxy.clusters.by_name["c"].endpoints}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)


def test_a_worker_follows_the_addresses_of_its_names():
    answers = {"a.test": ("10.0.0.1",)}

    async def look_up(name: str) -> tuple[str, ...]:
        if name not in answers:
            raise OSError("not known")
        return answers[name]

    async def main() -> None:
        stats = Stats.create(1)
        proxy = Proxy(loop=asyncio.get_running_loop(), stats=stats)
        worker = Worker(proxy, names=lambda changed: Names(changed, stats, look_up, 0.01))
        await worker.apply(built("a.test"))
        assert addresses(proxy) == {"10.0.0.1"}
        (kept,) = proxy.clusters.by_name["c"].endpoints
        answers["a.test"] = tuple(f"10.0.0.{number}" for number in range(1, 51))
        await until(lambda: len(addresses(proxy)) == 50)
        assert kept in proxy.clusters.by_name["c"].endpoints
        answers["a.test"] = ("::1",)
        await until(lambda: addresses(proxy) == {"::1"})
        answers.clear()
        await asyncio.sleep(0.05)
        assert addresses(proxy) == {"::1"}
        answers["b.test"] = ("10.0.1.1",)
        await worker.apply(built("b.test", "c.test"))
        assert addresses(proxy) == {"10.0.1.1"}
        worker.abort()

    asyncio.run(asyncio.wait_for(main(), 20))
