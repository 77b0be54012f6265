"""Outlier detection: Envoy's consecutive-error ejection (`common/upstream/outlier_detection_impl.cc`), as a machine.

It is told every outcome and the time; it reads no clock and starts no timer. One `Monitor` for each endpoint survives
reloads with it; the detector is made anew with the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from meshproxy.plan.outlier import OutlierDetection

_GATEWAY_ERRORS = frozenset((502, 503, 504))


class Reason(Enum):
    """Values are Envoy's names."""

    CONSECUTIVE_5XX = "consecutive_5xx"
    CONSECUTIVE_GATEWAY_FAILURE = "consecutive_gateway_failure"
    CONSECUTIVE_LOCAL_ORIGIN_FAILURE = "consecutive_local_origin_failure"


class Monitor:
    """What is remembered of one endpoint. `ejected_at` None: not ejected here; `elsewhere`: another worker has ejected
    it; `multiplier` lengthens its next ejection."""

    __slots__ = ("ejected_at", "ejections", "elsewhere", "errors", "gateway_errors", "local_failures", "multiplier")

    def __init__(self) -> None:
        self.errors = 0
        self.gateway_errors = 0
        self.local_failures = 0
        self.ejected_at: float | None = None
        self.elsewhere = False
        self.ejections = 0
        self.multiplier = 0

    @property
    def ejected(self) -> bool:
        return self.elsewhere or self.ejected_at is not None

    def forgive(self) -> None:
        self.errors = self.gateway_errors = self.local_failures = 0


@dataclass(frozen=True, slots=True)
class Detected:
    """A threshold was reached. `enforced` False: too many endpoints are ejected already."""

    reason: Reason
    enforced: bool


class Detector:
    """Of one cluster; `monitors` are those of all its endpoints."""

    __slots__ = ("_monitors", "policy")

    def __init__(self, policy: OutlierDetection, monitors: Iterable[Monitor]) -> None:
        self.policy = policy
        self._monitors = tuple(monitors)

    @property
    def ejected(self) -> int:
        """How many are ejected, by whomever."""
        return sum(monitor.ejected for monitor in self._monitors)

    def answered(self, monitor: Monitor, status: int, now: float) -> Detected | None:
        """The endpoint gave an answer."""
        codes = self.policy.error_codes
        if codes:
            status = max(status, 500) if status in codes else 200
        return self._count(monitor, status, now)

    def failed(self, monitor: Monitor, now: float, *, timeout: bool) -> Detected | None:
        """It gave none: no connection, a reset, or no answer in time."""
        if not self.policy.split:
            return self._count(monitor, 504 if timeout else 503, now)
        monitor.local_failures += 1
        if monitor.local_failures != self.policy.consecutive_local_origin:
            return None
        return self._detected(monitor, Reason.CONSECUTIVE_LOCAL_ORIGIN_FAILURE, now)

    def connected(self, monitor: Monitor) -> None:
        """A request has a connection to it."""
        monitor.local_failures = 0

    def sweep(self, now: float) -> list[Monitor]:
        """Once every interval: those whose time is over come back; of the others in use, old ejections fade."""
        policy = self.policy
        returned: list[Monitor] = []
        for monitor in self._monitors:
            if monitor.ejected_at is None:
                monitor.multiplier = max(0, monitor.multiplier - 1)
            elif now - monitor.ejected_at >= min(
                policy.base_ejection_time * monitor.multiplier, policy.max_ejection_time
            ):
                monitor.ejected_at = None
                monitor.forgive()
                returned.append(monitor)
        return returned

    def _count(self, monitor: Monitor, status: int, now: float) -> Detected | None:
        if status < 500:
            monitor.errors = monitor.gateway_errors = 0
            return None
        detected = None
        if status in _GATEWAY_ERRORS:
            monitor.gateway_errors += 1
            if monitor.gateway_errors == self.policy.consecutive_gateway:
                detected = self._detected(monitor, Reason.CONSECUTIVE_GATEWAY_FAILURE, now)
        else:
            monitor.gateway_errors = 0
        monitor.errors += 1
        if monitor.errors == self.policy.consecutive_5xx:
            detected = self._detected(monitor, Reason.CONSECUTIVE_5XX, now) or detected
        return detected

    def _detected(self, monitor: Monitor, reason: Reason, now: float) -> Detected | None:
        if monitor.ejected:
            return None  # a late answer of a request from before
        policy = self.policy
        enforced = 100 * (self.ejected + 1) <= policy.max_ejection_percent * len(self._monitors)
        if enforced:
            monitor.ejected_at = now
            monitor.ejections += 1
            if monitor.multiplier * policy.base_ejection_time < policy.max_ejection_time + policy.base_ejection_time:
                monitor.multiplier += 1
        # so that the next bout is seen even if no good answer comes in between
        if reason is Reason.CONSECUTIVE_5XX:
            monitor.errors = 0
        elif reason is Reason.CONSECUTIVE_GATEWAY_FAILURE:
            monitor.gateway_errors = 0
        else:
            monitor.local_failures = 0
        return Detected(reason, enforced)
