"""Maglev as Envoy builds it: each endpoint fills the table along a permutation of its own, in turn by weight."""

from __future__ import annotations

from array import array

from xxhash import xxh64_intdigest

from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.ring import Weighted

_MASK = (1 << 64) - 1


class MaglevTable:
    """Of at least one endpoint; `size` is a prime. A look-up costs the same whatever the number of endpoints."""

    __slots__ = ("_endpoints", "_size", "_table")

    def __init__(self, weighted: Weighted, size: int) -> None:
        # sorted by name: the table does not depend on the order of the configuration
        ordered = sorted(weighted, key=lambda pair: pair[0].name)
        self._endpoints = [endpoint for endpoint, _ in ordered]
        self._size = size
        self._table = _filled([(pair[0].name.encode(), pair[1]) for pair in ordered], size)

    def find(self, key: int, again: int = 0) -> LiveEndpoint:
        """The endpoint of `key`; `again` counts the picks that were not wanted before this one."""
        if again:
            key ^= _MASK - again + 1
        return self._endpoints[self._table[key % self._size]]


def _filled(weighted: list[tuple[bytes, float]], size: int) -> array[int]:
    table = array("i", [-1]) * size
    position = [xxh64_intdigest(name) % size for name, _ in weighted]
    skip = [xxh64_intdigest(name, 1) % (size - 1) + 1 for name, _ in weighted]
    weights = [weight for _, weight in weighted]
    heaviest = max(weights)
    target = [0.0] * len(weighted)
    every = range(len(weighted))
    iteration, left = 1, size
    while left:
        for number in every:
            if iteration * weights[number] < target[number]:
                continue
            target[number] += heaviest
            at, step = position[number], skip[number]
            while table[at] >= 0:
                at += step
                if at >= size:
                    at -= size
            table[at] = number
            at += step
            position[number] = at - size if at >= size else at
            left -= 1
            if not left:
                break
        iteration += 1
    return table
