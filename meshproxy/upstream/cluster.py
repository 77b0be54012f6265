"""One cluster, alive: its endpoints and its balancer. `pick`, then `done`: every outcome is reported once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.plan.cluster import Cluster
from meshproxy.upstream.balancers import picker
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.dial import Dial, Opened, Pending
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import Client, Purpose

HOST_SELECTION_ATTEMPTS = 5
"""So often a retry picks again while the pick is a host it has already tried (Istio's value)."""


class LiveCluster:
    """Made anew when its plan changes; its endpoints are carried over."""

    __slots__ = ("_picker", "endpoints", "plan")

    def __init__(self, plan: Cluster, endpoints: list[LiveEndpoint]) -> None:
        self.plan = plan
        self.endpoints = endpoints
        self._picker = picker(plan.balancer, [endpoint for endpoint in endpoints if endpoint.plan.healthy])

    def pick(self, tried: Sequence[LiveEndpoint] = (), key: int | None = None) -> LiveEndpoint:
        """The endpoint of the next attempt, counted as active from now on; not one of `tried` if that can be
        helped. `key` is the request's hash, for those that ask for it. Raises ProxyError(NO_ENDPOINT)."""
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

    def may_retry(self) -> bool:
        """Whether one more retry may be under way."""
        return True

    def retry(self) -> AbstractContextManager[None]:
        """What a retry is done in."""
        return nullcontext()

    # ---- connections

    def purpose(self, host: bytes, client: Client) -> Purpose | None:
        """What the connection for a request of `client` with this Host must be good for; None: for any."""
        return None

    def take(self, endpoint: LiveEndpoint, purpose: Purpose | None) -> UpstreamConnection | None:
        """A kept connection, if there is one."""
        return endpoint.take()

    def wait(
        self, endpoint: LiveEndpoint, purpose: Purpose | None, opened: Opened, done: Callable[[], None]
    ) -> Pending:
        """For a connection: `done` is called when it is there, or cannot be had."""
        return Dial(endpoint, self.plan.connect_timeout, opened, done)

    def start(self) -> None:
        """It serves from now on."""

    def replaced_by(self, successor: LiveCluster | None) -> None:
        """By a reload; None: the cluster is gone."""

    def close_idle(self, now: float) -> None:
        """Closes connections that have been idle for longer than the cluster's idle time-out."""
        limit = now - self.plan.idle_timeout
        for endpoint in self.endpoints:
            if endpoint.idle and endpoint.idle[0].idle_since < limit:
                for connection in [each for each in endpoint.idle if each.idle_since < limit]:
                    connection.close()

    def _why_none(self) -> str:
        subset = f" subset {self.plan.subset}" if self.plan.subset else ""
        if self.endpoints:
            return f"none of the {len(self.endpoints)} endpoints of {self.plan.host}{subset} is ready"
        return f"{self.plan.host}{subset} has no endpoint"
