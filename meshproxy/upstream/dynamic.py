"""Clusters without endpoints of their own: whoever is asked for is called, each address a live cluster of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from meshproxy.base.addresses import is_ip
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.endpoint import LiveEndpoint

_MOST = 1024
"""So many addresses are remembered; the one asked for longest ago is forgotten first."""


class DynamicClusters:
    """`plans` by cluster name; `reconcile` forgets the addresses of those that have changed."""

    def __init__(self, made: Callable[[Cluster, list[LiveEndpoint]], LiveCluster]) -> None:
        self._made = made
        self._plans: Mapping[str, Cluster] = {}
        self._live: OrderedDict[tuple[str, str, int], LiveCluster] = OrderedDict()

    def reconcile(self, clusters: Iterable[Cluster]) -> None:
        plans = {plan.name: plan for plan in clusters if plan.resolution is Resolution.DYNAMIC}
        for key in [key for key in self._live if plans.get(key[0]) != self._plans.get(key[0])]:
            _retire(self._live.pop(key))
        self._plans = plans

    def find(self, name: str, host: str, port: int) -> LiveCluster | None:
        """The one that calls `host`, or the cluster's own host where that is a name and `host` is no address.
        None where there is no such cluster, or nobody was asked for."""
        plan = self._plans.get(name)
        if plan is None:
            return None
        if not plan.host.startswith("*") and not is_ip(host):
            host = plan.host
        key = (name, host, plan.endpoints[0].port if plan.endpoints else port)
        if not host or not key[2]:
            return None
        live = self._live.get(key)
        if live is None:
            endpoint = Endpoint(address=host, port=key[2])
            live = self._live[key] = self._made(replace(plan, endpoints=(endpoint,)), [LiveEndpoint(endpoint)])
            live.start()
            if len(self._live) > _MOST:
                _retire(self._live.popitem(last=False)[1])
        self._live.move_to_end(key)
        return live

    def __iter__(self) -> Iterator[LiveCluster]:
        return iter(tuple(self._live.values()))


def _retire(cluster: LiveCluster) -> None:
    cluster.replaced_by(None)
    for endpoint in cluster.endpoints:
        endpoint.retire()
