"""Which endpoint: Envoy's algorithms, as machines. They hold no sockets and read no clock.

Weighted schedules are Envoy's EDF: the endpoint with the earliest deadline is next, and its deadline moves on by
1 / weight. Least-request divides the weight by (active requests + 1) (`active_request_bias` 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from typing import Protocol

from meshproxy.base import clock
from meshproxy.plan.cluster import Balancer
from meshproxy.upstream.endpoint import LiveEndpoint

Weigh = Callable[[LiveEndpoint], float]


class Picker(Protocol):
    """One cluster's choice among its healthy endpoints, of which there is at least one."""

    def pick(self) -> LiveEndpoint: ...


class _Single:
    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: LiveEndpoint) -> None:
        self._endpoint = endpoint

    def pick(self) -> LiveEndpoint:
        return self._endpoint


class Random:
    """Uniform; weights are ignored, as Envoy's RANDOM does."""

    __slots__ = ("_count", "_draw", "_endpoints")

    def __init__(self, endpoints: Sequence[LiveEndpoint], draw: Callable[[], float] = clock.draw) -> None:
        self._endpoints = endpoints
        self._count = len(endpoints)
        self._draw = draw

    def pick(self) -> LiveEndpoint:
        return self._endpoints[int(self._draw() * self._count)]


class LeastRequest(Random):
    """Power of two random choices, with replacement; the first drawn wins a tie."""

    __slots__ = ()

    def pick(self) -> LiveEndpoint:
        endpoints, count, draw = self._endpoints, self._count, self._draw
        first = endpoints[int(draw() * count)]
        second = endpoints[int(draw() * count)]
        return second if second.active < first.active else first


class RoundRobin:
    """Equal weights: plain rotation from a random start."""

    __slots__ = ("_endpoints", "_next")

    def __init__(self, endpoints: Sequence[LiveEndpoint], draw: Callable[[], float] = clock.draw) -> None:
        self._endpoints = endpoints
        self._next = int(draw() * len(endpoints))

    def pick(self) -> LiveEndpoint:
        position = self._next
        self._next = (position + 1) % len(self._endpoints)
        return self._endpoints[position]


def _weight(endpoint: LiveEndpoint) -> float:
    return endpoint.weight


class Scheduled:
    """Earliest deadline first. `load_aware`: the weight is divided by (active + 1) each time it is used."""

    __slots__ = ("_heap", "_load_aware", "_sequence", "_weigh")

    def __init__(
        self,
        endpoints: Sequence[LiveEndpoint],
        draw: Callable[[], float] = clock.draw,
        *,
        load_aware: bool = False,
        weigh: Weigh | None = None,
    ) -> None:
        self._load_aware = load_aware
        self._weigh = weigh or _weight
        # a random share of the first period keeps workers from all beginning with the heaviest endpoint
        self._heap = [(draw() / self._weigh(endpoint), number, endpoint) for number, endpoint in enumerate(endpoints)]
        self._sequence = len(self._heap)
        heapify(self._heap)

    def pick(self) -> LiveEndpoint:
        deadline, _, endpoint = self._heap[0]
        weight = self._weigh(endpoint)
        if self._load_aware:
            weight /= endpoint.active + 1
        heapreplace(self._heap, (deadline + 1 / weight, self._sequence, endpoint))
        self._sequence += 1
        return endpoint


def picker(
    balancer: Balancer,
    endpoints: Sequence[LiveEndpoint],
    draw: Callable[[], float] = clock.draw,
    *,
    weigh: Weigh | None = None,
) -> Picker | None:
    """The picker over these endpoints; None where there are none. `weigh`: weights change while they warm up."""
    if not endpoints:
        return None
    if len(endpoints) == 1:
        return _Single(endpoints[0])
    if balancer is Balancer.RANDOM:
        return Random(endpoints, draw)
    if weigh is not None or len({endpoint.weight for endpoint in endpoints}) > 1:
        return Scheduled(endpoints, draw, load_aware=balancer is Balancer.LEAST_REQUEST, weigh=weigh)
    return (RoundRobin if balancer is Balancer.ROUND_ROBIN else LeastRequest)(endpoints, draw)
