"""From a cluster's endpoints and their health to who chooses among them: priorities, localities, the balancer.

Made anew whenever health changes; choosing itself costs the same for three endpoints and three thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from meshproxy.base import clock
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.hashing import RingHash
from meshproxy.upstream.balancers import Picker, Weigh, picker
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.locality import Chooser, Levels, Localities, effective_weight, loads
from meshproxy.upstream.maglev import MaglevTable
from meshproxy.upstream.ring import Ring, Weighted


class _Unhashed:
    __slots__ = ("_picker",)

    def __init__(self, chosen: Picker) -> None:
        self._picker = chosen

    def choose(self, key: int | None, again: int) -> LiveEndpoint:
        return self._picker.pick()


class _Hashed:
    """A request without a hash goes anywhere."""

    __slots__ = ("_table",)

    def __init__(self, table: Ring | MaglevTable) -> None:
        self._table = table

    def choose(self, key: int | None, again: int) -> LiveEndpoint:
        return self._table.find(clock.bits(64) if key is None else key, again)


def chooser_of(plan: Cluster, endpoints: Sequence[LiveEndpoint], weigh: Weigh | None) -> Chooser | None:
    """None where nobody may be chosen. `weigh` gives the weights of endpoints that warm up."""
    levels: defaultdict[int, list[LiveEndpoint]] = defaultdict(list)
    for endpoint in endpoints:
        levels[endpoint.plan.priority].append(endpoint)
    ordered = [levels[priority] for priority in sorted(levels)]
    healthy = [[endpoint for endpoint in level if endpoint.usable] for level in ordered]
    shares: list[int] = []
    choosers: list[Chooser] = []
    counts = [(len(some), len(level)) for some, level in zip(healthy, ordered, strict=True)]
    for load, some, level in zip(loads(counts, plan.panic_threshold), healthy, ordered, strict=True):
        chosen = level if load.panic else some
        if load.share and chosen:
            shares.append(load.share)
            choosers.append(_of_level(plan, chosen, level, weigh))
    if len(choosers) > 1:
        return Levels(shares, choosers, clock.draw)
    return choosers[0] if choosers else None


def _of_level(plan: Cluster, chosen: list[LiveEndpoint], level: list[LiveEndpoint], weigh: Weigh | None) -> Chooser:
    weights = dict(plan.locality_weights)
    if plan.hashing is not None:
        weighted = _weighted(chosen, weights)
        if isinstance(plan.hashing, RingHash):
            return _Hashed(Ring(weighted, plan.hashing.minimum))
        return _Hashed(MaglevTable(weighted, plan.hashing.size))
    if not weights:
        return _unhashed(plan, chosen, weigh)
    totals = {name: len(group) for name, group in _by_locality(level).items()}
    groups = _by_locality(chosen)
    return Localities(
        [effective_weight(weights[name], len(group), totals[name]) for name, group in groups.items()],
        [_unhashed(plan, group, weigh) for group in groups.values()],
        clock.draw,
    )


def _unhashed(plan: Cluster, endpoints: list[LiveEndpoint], weigh: Weigh | None) -> Chooser:
    chosen = picker(plan.balancer, endpoints, weigh=weigh)
    assert chosen is not None
    return _Unhashed(chosen)


def _weighted(endpoints: list[LiveEndpoint], weights: dict[str, int]) -> Weighted:
    """Shares of the whole; a locality's weight is divided among its endpoints."""
    if not weights:
        total = sum(endpoint.weight for endpoint in endpoints)
        return [(endpoint, endpoint.weight / total) for endpoint in endpoints]
    everything = sum(weights.values())
    return [
        (endpoint, endpoint.weight * (weights[name] / everything) / sum(each.weight for each in group))
        for name, group in _by_locality(endpoints).items()
        for endpoint in group
    ]


def _by_locality(endpoints: list[LiveEndpoint]) -> dict[str, list[LiveEndpoint]]:
    groups: dict[str, list[LiveEndpoint]] = {}
    for endpoint in endpoints:
        groups.setdefault(endpoint.plan.locality, []).append(endpoint)
    return groups
