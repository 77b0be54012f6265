"""One cluster, alive: its endpoints and its balancer. `pick`, then `done`: every outcome is reported once."""

from __future__ import annotations

from collections.abc import Sequence

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.plan.cluster import Cluster
from meshproxy.upstream.balancers import picker
from meshproxy.upstream.endpoint import LiveEndpoint

HOST_SELECTION_ATTEMPTS = 5
"""So often a retry picks again while the pick is a host it has already tried (Istio's value)."""


class LiveCluster:
    """Made anew when its plan changes; its endpoints are carried over."""

    __slots__ = ("_picker", "endpoints", "plan")

    def __init__(self, plan: Cluster, endpoints: list[LiveEndpoint]) -> None:
        self.plan = plan
        self.endpoints = endpoints
        self._picker = picker(plan.balancer, [endpoint for endpoint in endpoints if endpoint.plan.healthy])

    def pick(self, tried: Sequence[LiveEndpoint] = ()) -> LiveEndpoint:
        """The endpoint of the next attempt, counted as active from now on; not one of `tried` if that can be
        helped. Raises ProxyError(NO_ENDPOINT)."""
        chooser = self._picker
        if chooser is None:
            raise ProxyError(Kind.NO_ENDPOINT, Side.LOCAL, self._why_none())
        endpoint = chooser.pick()
        if tried:
            for _ in range(HOST_SELECTION_ATTEMPTS):
                if endpoint not in tried:
                    break
                endpoint = chooser.pick()
        endpoint.active += 1
        endpoint.requests += 1
        return endpoint

    def done(self, endpoint: LiveEndpoint, failure: Kind | None) -> None:
        """The attempt is over: answered (None), or why not."""
        endpoint.active -= 1
        if failure is not None:
            endpoint.failures += 1

    def _why_none(self) -> str:
        subset = f" subset {self.plan.subset}" if self.plan.subset else ""
        if self.endpoints:
            return f"none of the {len(self.endpoints)} endpoints of {self.plan.host}{subset} is ready"
        return f"{self.plan.host}{subset} has no endpoint"
