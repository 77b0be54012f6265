"""A cluster that a DestinationRule asks more of than a balancer: limits, ejections, hashing, localities, warm-up, TLS.

Its endpoints keep their connections in pools (`pool.py`). Where a kept connection serves any request, the pool's idle
ones are the endpoint's, and the plain course of a request takes them. Where not (a limit of requests, TLS, a PROXY
header), it finds none there, and the request takes the longer way, where all this is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.limits import Limits
from meshproxy.plan.upstream_tls import ProxyProtocol
from meshproxy.telemetry.stats import Stats
from meshproxy.upstream.breaker import Breaker
from meshproxy.upstream.choosing import chooser_of
from meshproxy.upstream.cluster import HOST_SELECTION_ATTEMPTS, LiveCluster
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.ejections import Ejections
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.locality import Chooser
from meshproxy.upstream.opening import ANY, Client, Purpose
from meshproxy.upstream.outlier import Detected, Detector
from meshproxy.upstream.pool import Opened, Pool, Ticket
from meshproxy.upstream.tls import Contexts
from meshproxy.wire import proxy_header

_log = logging.getLogger(__name__)
_NO_LIMITS = Limits()
_PRIVATE_IDLE = 5.0
"""Connections that begin with a client's address are for that client alone: they are not kept for long."""
_FAILED = {
    Kind.CONNECT_FAILURE: False,
    Kind.CONNECT_TIMEOUT: True,
    Kind.UPSTREAM_CLOSED: False,
    Kind.UPSTREAM_PROTOCOL: False,
    Kind.PER_TRY_TIMEOUT: True,
    Kind.RESPONSE_TIMEOUT: True,
}
"""What counts against an endpoint that gave no answer, and whether it is a time-out."""
_HEADERS = {ProxyProtocol.V1: proxy_header.version_1, ProxyProtocol.V2: proxy_header.version_2}


class PolicedCluster(LiveCluster):
    """See `LiveCluster`. `successor` takes over what is still reported to a cluster that a reload has replaced."""

    __slots__ = (
        "_chooser",
        "_detector",
        "_ejections",
        "_stale",
        "_sweeper",
        "_warm_at",
        "breaker",
        "contexts",
        "successor",
    )

    def __init__(self, plan: Cluster, endpoints: list[LiveEndpoint], stats: Stats, contexts: Contexts) -> None:
        super().__init__(plan, endpoints)
        self.contexts = contexts
        self.successor: PolicedCluster | None = None
        self.breaker = Breaker(stats, plan.name, plan.limits or _NO_LIMITS, plan.retry_budget)
        self._chooser: Chooser | None = None
        self._stale = True
        self._warm_at = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self._detector: Detector | None = None
        self._ejections: Ejections | None = None
        if plan.outlier is not None:
            self._detector = Detector(plan.outlier, (endpoint.monitor for endpoint in endpoints))
            self._ejections = Ejections(stats, plan.name)

    def start(self) -> None:
        if self._detector is not None and self._ejections is not None:
            self._ejections.start(self.endpoints)
            self._schedule(asyncio.get_running_loop().time() + self._detector.policy.interval)

    # ---- who answers

    def pick(self, tried: Sequence[LiveEndpoint] = (), key: int | None = None) -> LiveEndpoint:
        chooser = self._current()
        if chooser is None:
            raise ProxyError(Kind.NO_ENDPOINT, Side.LOCAL, self._why_none())
        endpoint = chooser.choose(key, 0)
        if tried:
            for again in range(1, HOST_SELECTION_ATTEMPTS + 1):
                if endpoint not in tried:
                    break
                endpoint = chooser.choose(key, again)
        endpoint.active += 1
        endpoint.requests += 1
        return endpoint

    def _current(self) -> Chooser | None:
        ejections = self._ejections
        if ejections is not None and ejections.changed():
            ejections.follow(self.endpoints)
            self._stale = True
        warmup = self.plan.warmup
        if warmup is None:
            if self._stale:
                self._stale = False
                self._chooser = chooser_of(self.plan, self.endpoints, None)
            return self._chooser
        now = clock.monotonic()
        if self._stale or (self._warm_at and now >= self._warm_at):
            self._stale = False
            latest = max((each.since for each in self.endpoints), default=0.0) + warmup.duration
            self._warm_at = latest if latest > now else 0.0
            self._chooser = chooser_of(self.plan, self.endpoints, self._weight if self._warm_at else None)
        return self._chooser

    def _weight(self, endpoint: LiveEndpoint) -> float:
        assert self.plan.warmup is not None
        return endpoint.weight * self.plan.warmup.factor(clock.monotonic() - endpoint.since)

    def _why_none(self) -> str:
        ejected = sum(endpoint.monitor.ejected for endpoint in self.endpoints)
        words = super()._why_none()
        return f"{words}; {ejected} of them ejected" if ejected else words

    # ---- what came of it

    def answered(self, endpoint: LiveEndpoint, status: int) -> None:
        """The head of an answer is there."""
        if self.successor is not None:
            self.successor.answered(endpoint, status)
        elif self._detector is not None:
            self._judge(endpoint, self._detector.answered(endpoint.monitor, status, clock.monotonic()))

    def done(self, endpoint: LiveEndpoint, failure: Kind | None) -> None:
        super().done(endpoint, failure)
        if failure in _FAILED:
            self._failed(endpoint, timeout=_FAILED[failure])

    def connected(self, endpoint: LiveEndpoint) -> None:
        """A request has a connection to it."""
        if self._detector is not None:
            self._detector.connected(endpoint.monitor)

    def _failed(self, endpoint: LiveEndpoint, *, timeout: bool) -> None:
        if self.successor is not None:
            self.successor._failed(endpoint, timeout=timeout)
        elif self._detector is not None:
            detected = self._detector.failed(endpoint.monitor, clock.monotonic(), timeout=timeout)
            self._judge(endpoint, detected)

    def _judge(self, endpoint: LiveEndpoint, detected: Detected | None) -> None:
        if detected is None:
            return
        assert self._ejections is not None
        reason = detected.reason.value
        if not detected.enforced:
            self._ejections.overflow()
            return
        self._stale = True
        self._ejections.eject(endpoint, reason)
        _log.warning("%s: %s is ejected (%s)", self.plan.name, endpoint.name, reason)

    # ---- the sweep of outlier detection

    def _schedule(self, when: float) -> None:
        self._sweeper = asyncio.get_running_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        assert self._detector is not None
        assert self._ejections is not None
        assert self._sweeper is not None
        self._schedule(self._sweeper.when() + self._detector.policy.interval)
        self._ejections.look_again()
        now = clock.monotonic()
        back = set(map(id, self._detector.sweep(now)))
        for endpoint in [each for each in self.endpoints if id(each.monitor) in back]:
            endpoint.since = now
            self._stale = True
            self._ejections.take_back(endpoint)
            _log.warning("%s: %s is back", self.plan.name, endpoint.name)

    def replaced_by(self, successor: LiveCluster | None) -> None:
        """By a reload; None: the cluster is gone."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
        follower = successor if isinstance(successor, PolicedCluster) else None
        if self._ejections is not None:
            judged = follower.endpoints if follower is not None and follower._ejections is not None else []
            kept = set(map(id, judged))
            self._ejections.forget(each for each in self.endpoints if id(each) not in kept)
            if not judged:
                self._ejections.close()
        if follower is None:
            self._retire_pools()
        else:
            self._hand_over(follower, sweeper)

    def _hand_over(self, successor: PolicedCluster, sweeper: asyncio.TimerHandle | None) -> None:
        self.successor = successor
        if sweeper is not None and successor._sweeper is not None:
            # reloads do not put off what is due
            successor._schedule_no_later_than(sweeper.when())
        if _same_connections(self.plan, successor.plan):
            for endpoint in self.endpoints:
                for pool in endpoint.pools.values():
                    pool.owner = successor
        else:
            self._retire_pools()

    def _schedule_no_later_than(self, when: float) -> None:
        assert self._sweeper is not None
        if when < self._sweeper.when():
            self._sweeper.cancel()
            self._schedule(when)

    def _retire_pools(self) -> None:
        for endpoint in self.endpoints:
            endpoint.retire_pools()

    # ---- connections

    def purpose(self, host: bytes, client: Client) -> Purpose:
        plan = self.plan
        if plan.tls is None and plan.proxy_protocol is None:
            return ANY
        header = b""
        if plan.proxy_protocol is not None:
            header = _HEADERS[plan.proxy_protocol](_parted(client.remote_address), _parted(client.local_address))
        name = plan.tls.sni or _name_of(host) if plan.tls is not None else ""
        return Purpose(name, header)

    def take(self, endpoint: LiveEndpoint, purpose: Purpose | None) -> UpstreamConnection | None:
        """Raises ProxyError(OVERFLOW)."""
        return self._pool(endpoint, purpose or ANY).take()

    def wait(self, endpoint: LiveEndpoint, purpose: Purpose | None, opened: Opened, done: Callable[[], None]) -> Ticket:
        """Raises ProxyError(OVERFLOW)."""
        return self._pool(endpoint, purpose or ANY).wait(opened, done)

    def _pool(self, endpoint: LiveEndpoint, purpose: Purpose) -> Pool:
        pool = endpoint.pools.get(purpose)
        if pool is None:
            idle = endpoint.idle if _serve_any(self.plan) else None
            pool = endpoint.pools[purpose] = Pool(self.successor or self, endpoint, purpose, idle)
        return pool

    def close_idle(self, now: float) -> None:
        longest = self.plan.idle_timeout
        if self.plan.proxy_protocol is not None:
            longest = min(longest, _PRIVATE_IDLE)
        for endpoint in self.endpoints:
            for purpose, pool in tuple(endpoint.pools.items()):
                pool.close_idle(now - longest, now)
                if pool.empty:
                    del endpoint.pools[purpose]

    # ---- retries

    def may_retry(self) -> bool:
        if self.breaker.may_retry(clock.monotonic()):
            return True
        self.breaker.retry_overflow.add()
        return False

    @contextmanager
    def retry(self) -> Iterator[None]:
        self.breaker.retries.take()
        try:
            yield
        finally:
            self.breaker.retries.give()


def _same_connections(one: Cluster, other: Cluster) -> bool:
    """Whether connections that were opened for one are good for the other."""
    same = (one.tls, one.proxy_protocol, one.connections) == (other.tls, other.proxy_protocol, other.connections)
    return same and _serve_any(one) == _serve_any(other)


def _serve_any(plan: Cluster) -> bool:
    """Whether a kept connection may be used without a question."""
    unlimited = plan.limits is None or plan.limits.requests is None
    return unlimited and plan.tls is None and plan.proxy_protocol is None


def _name_of(host: bytes) -> str:
    """A Host without its port; nothing where it is an IP address, which has no SNI."""
    name = host.decode("latin-1")
    name = name.rpartition(":")[0] if name.rfind(":") > name.rfind("]") else name
    return "" if name.startswith("[") or name.replace(".", "").isdigit() else name.lower()


def _parted(address: str) -> tuple[str, int]:
    ip, _, port = address.rpartition(":")
    return ip.strip("[]"), int(port or 0)
