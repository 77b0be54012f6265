"""Priorities and localities: which endpoints may answer, and with which share (Envoy, `load_balancer_impl.cc`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from meshproxy.upstream.endpoint import LiveEndpoint

_OVERPROVISIONING = 140
"""Per cent: a priority takes all the load while 100/140 of its endpoints are healthy."""


class Chooser(Protocol):
    """One endpoint for a request; `key` is its hash, None where it has none; `again` counts unwanted picks."""

    def choose(self, key: int | None, again: int) -> LiveEndpoint: ...


@dataclass(frozen=True, slots=True)
class Load:
    """What a priority gets, in per cent; in `panic` its endpoints are used whether healthy or not."""

    share: int
    panic: bool


def loads(levels: Sequence[tuple[int, int]], panic_threshold: int) -> list[Load]:
    """`levels` has the number of healthy endpoints and of all, from the first priority on."""
    available = [min(100, _OVERPROVISIONING * healthy // total) if total else 0 for healthy, total in levels]
    whole = min(100, sum(available))
    panics = [whole < 100 and 100 * healthy < panic_threshold * total for healthy, total in levels]
    if panic_threshold and all(panics):
        everybody = sum(total for _, total in levels)
        shares = [100 * total // everybody for _, total in levels] if everybody else [0 for _ in levels]
    else:
        shares, left = [], 100
        for each in available:
            share = min(left, 100 * each // whole) if whole else 0
            shares.append(share)
            left -= share
    first = next((index for index, share in enumerate(shares) if share), None)
    if first is not None:
        shares[first] += 100 - sum(shares)  # what rounding has lost
    return [Load(share, panic) for share, panic in zip(shares, panics, strict=True)]


class Levels:
    """Several priorities that all get some load; a key always leads to the same one."""

    __slots__ = ("_bounds", "_choosers", "_draw")

    def __init__(self, shares: Sequence[int], choosers: Sequence[Chooser], draw: Callable[[], float]) -> None:
        self._bounds = list(accumulate(shares))
        self._choosers = choosers
        self._draw = draw

    def choose(self, key: int | None, again: int) -> LiveEndpoint:
        point = int(self._draw() * 100) if key is None else key % 100
        return self._choosers[bisect_right(self._bounds, point)].choose(key, again)


class Localities:
    """Several localities with weights, whatever the number of their endpoints."""

    __slots__ = ("_bounds", "_choosers", "_draw")

    def __init__(self, weights: Sequence[float], choosers: Sequence[Chooser], draw: Callable[[], float]) -> None:
        self._bounds = list(accumulate(weights))
        self._choosers = choosers
        self._draw = draw

    def choose(self, key: int | None, again: int) -> LiveEndpoint:
        index = bisect_right(self._bounds, self._draw() * self._bounds[-1])
        return self._choosers[min(index, len(self._choosers) - 1)].choose(key, again)


def effective_weight(weight: float, healthy: int, total: int) -> float:
    """Of a locality some of whose endpoints are not healthy."""
    return weight * min(1.0, _OVERPROVISIONING / 100 * healthy / total) if total else 0.0
