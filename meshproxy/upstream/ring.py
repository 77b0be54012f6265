"""Ring hash as Envoy builds it: points `xxHash64("<ip:port>_<i>")`, as many for each endpoint as its weight asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil
from operator import itemgetter

from xxhash import xxh64_intdigest

from meshproxy.upstream.endpoint import LiveEndpoint

MAXIMUM = 8 * 1024 * 1024
"""Points of a ring (Envoy's default)."""

Weighted = Sequence[tuple[LiveEndpoint, float]]
"""Endpoints with their shares, which add up to 1."""


class Ring:
    """Of at least one endpoint. The look-up is a bisection: its cost grows with the logarithm of the ring."""

    __slots__ = ("_endpoints", "_points")

    def __init__(self, weighted: Weighted, minimum: int) -> None:
        least = min(weight for _, weight in weighted)
        scale = min(ceil(least * minimum) / least, MAXIMUM)
        points: list[tuple[int, LiveEndpoint]] = []
        placed, target = 0.0, 0.0
        for endpoint, weight in weighted:
            # running sums, as Envoy has them: shares need not be whole numbers of points
            target += scale * weight
            number = 0
            while placed < target:
                points.append((xxh64_intdigest(f"{endpoint.name}_{number}".encode()), endpoint))
                number += 1
                placed += 1
        points.sort(key=itemgetter(0))
        self._points = [point for point, _ in points]
        self._endpoints = [endpoint for _, endpoint in points]

    def find(self, key: int, again: int = 0) -> LiveEndpoint:
        """The endpoint of `key`; `again` counts the picks that were not wanted before this one."""
        position = bisect_left(self._points, key) + again
        return self._endpoints[position % len(self._endpoints)]
