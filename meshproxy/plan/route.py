"""One route: what it asks of a request, and what then happens to it. Policies that are absent are None."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshproxy.base.origin import Origin
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import Fault
from meshproxy.plan.hashing import HashPolicy
from meshproxy.plan.header_ops import HeaderOps
from meshproxy.plan.match import Condition, PathMatch, Prefix
from meshproxy.plan.retry import Retry
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One weighted destination. `cluster` is the cluster's name, whether or not such a cluster exists.

    Its header operations run before the route's (those of a route's only destination are the route's already);
    `authority` replaces the Host, unless the route's rewrite has one.
    """

    cluster: str
    host: str
    subset: str = ""
    port: int = 0
    weight: int = 1
    request_headers: HeaderOps | None = None
    response_headers: HeaderOps | None = None
    authority: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A copy of a share (in millionths) of the requests goes to `cluster`; its answer is dropped."""

    cluster: str
    host: str
    subset: str = ""
    port: int = 0
    share: int = 1_000_000
    shadow_suffix: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """To one of several destinations by weight; none has weight 0, unless it is the only one."""

    destinations: tuple[Destination, ...]
    total: int = 0

    def choose(self, draw: float) -> Destination:
        """One destination; `draw` in [0, 1), one draw for the whole request, retries included."""
        destinations = self.destinations
        if len(destinations) == 1:
            return destinations[0]
        point = draw * self.total
        for destination in destinations:
            point -= destination.weight
            if point < 0:
                return destination
        return destinations[-1]


Action = Forward | Redirect | DirectResponse

_FAULTY, _NEVER = 400, 1000

Line = tuple[str, int]
"""File and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A match block of a rule that can take no request here, whatever the request: `reason` says why.

    It stands before the route number `before` of its virtual host.
    """

    name: str
    origin: Origin
    match_index: int
    reason: str
    line: Line
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One (rule, match block) pair of a VirtualService, or the default route of a service.

    `path` None: any path. With `ignore_case`, `path` is in lower case. `name` is what the access log calls it.
    `timeout` covers the whole exchange, retries included, in seconds.
    """

    name: str
    origin: Origin | None
    action: Action
    path: PathMatch | None = None
    ignore_case: bool = False
    conditions: tuple[Condition, ...] = ()
    rewrite: Rewrite | None = None
    request_headers: HeaderOps | None = None
    response_headers: HeaderOps | None = None
    timeout: float | None = None
    retry: Retry | None = None
    fault: Fault | None = None
    cors: Cors | None = None
    mirrors: tuple[Mirror, ...] = ()
    hashes: tuple[HashPolicy, ...] = ()
    match_index: int | None = None  # which match block of the rule, where it has any
    rule: Origin | None = None  # of the rule, where it is not `origin`: a match block's own place
    lines: tuple[Line, ...] = ()  # where the path, if there is one, and each condition is written
    service: str = ""  # the host asked for, as telemetry names it: reviews.default.svc.cluster.local
    plain: bool = field(init=False, compare=False)
    only: Destination | None = field(init=False, compare=False)  # the one it always goes to
    judged_from: int = field(init=False, compare=False)  # the least status that its retry policy may have a say in

    def __post_init__(self) -> None:
        """`plain`: nothing is asked but to forward. One test on the request path instead of one for each policy."""
        policies = (self.rewrite, self.request_headers, self.response_headers, self.timeout, self.fault, self.cors)
        bare = all(policy is None for policy in policies) and not self.mirrors and not self.hashes
        to = self.action.destinations if isinstance(self.action, Forward) else ()
        object.__setattr__(self, "only", to[0] if len(to) == 1 else None)
        object.__setattr__(self, "judged_from", min((_FAULTY, *self.retry.statuses)) if self.retry else _NEVER)
        object.__setattr__(
            self,
            "plain",
            bare
            and isinstance(self.action, Forward)
            and not any(
                each.request_headers or each.response_headers or each.authority for each in self.action.destinations
            )
            and (self.retry is None or self.retry.per_try_timeout is None),
        )

    @property
    def catches_all(self) -> bool:
        """Whether no request can pass it by."""
        return not self.conditions and (self.path is None or self.path == Prefix(b""))
