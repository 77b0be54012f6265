"""The reload guard: the last request heads, asked again of a configuration before it is swapped in.

Owns the ring of heads and the verdict. What is a credential is never kept; a body never gets here. Nothing of this
exists where the guard is off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.explain import explain, failing
from meshproxy.plan.snapshot import Snapshot
from meshproxy.telemetry.record import Record

_MOST_EXAMPLES = 5
_MASKED = b"(masked)"
#: What is in the names of headers and query parameters whose values are secrets.
_SECRET = (b"authorization", b"cookie", b"token", b"secret", b"password", b"api-key", b"apikey", b"credential")


class Metrics(Protocol):
    def observe(self, record: Record, service: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of `total` requests `lost` (a share of a request counts as that) get a 404 or 503 that they did not get
    before; `examples` in words."""

    total: int = 0
    lost: float = 0.0
    examples: tuple[str, ...] = ()

    @property
    def percent(self) -> float:
        return 100 * self.lost / self.total if self.total else 0.0

    def __str__(self) -> str:
        shown = "".join(f"; {example}" for example in self.examples)
        return f"{self.percent:.3g}% of the last {self.total} requests would now get a 404 or 503{shown}"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Those of several workers as one."""
    found = list(verdicts)
    examples = tuple(dict.fromkeys(example for each in found for example in each.examples))
    return Verdict(sum(v.total for v in found), sum(v.lost for v in found), examples[:_MOST_EXAMPLES])


class Ring:
    """The last `size` request heads, as they were matched."""

    def __init__(self, size: int) -> None:
        self._heads: deque[tuple[str, Request]] = deque(maxlen=size)

    def watched(self, metrics: Metrics) -> Metrics:
        """`metrics`, with a look at each request's head."""
        return _Watched(metrics, self)

    def add(self, listener: str, request: Request) -> None:
        self._heads.append((listener, _kept(request)))

    def __len__(self) -> int:
        return len(self._heads)

    def replay(self, old: Snapshot, new: Snapshot) -> Verdict:
        """What a swap from `old` to `new` would do to them."""
        heads = tuple(self._heads)
        lost = 0.0
        examples: dict[str, None] = {}
        for listener, request in heads:
            worse = failing(new, listener, request) - failing(old, listener, request)
            if worse > 0:
                lost += worse
                if len(examples) < _MOST_EXAMPLES:
                    examples.setdefault(_words(new, listener, request))
        return Verdict(len(heads), lost, tuple(examples))


class _Watched:
    """Metrics that remember heads on the way."""

    __slots__ = ("_metrics", "_ring")

    def __init__(self, metrics: Metrics, ring: Ring) -> None:
        self._metrics = metrics
        self._ring = ring

    def observe(self, record: Record, service: str) -> None:
        if record.listener_name:
            self._ring.add(record.listener_name, record.request)
        self._metrics.observe(record, service)


def _kept(request: Request) -> Request:
    """A copy of the head; secrets are there and say nothing."""
    query = _query_without_secrets(request.query) if request.query else request.query
    kept = Request(request.method, request.path, query, request.host, _without_secrets(request.fields))
    kept.managed = request.managed
    kept.scheme = request.scheme
    return kept


def _without_secrets(fields: Fields) -> Fields:
    return [(name, _MASKED if _is_secret(name) else value) for name, value in fields]


def _query_without_secrets(query: bytes) -> bytes:
    pairs = (part.partition(b"=") for part in query.split(b"&"))
    return b"&".join(name + equals + (_MASKED if _is_secret(name) else value) for name, equals, value in pairs)


def _is_secret(name: bytes) -> bool:
    lower = name.lower()
    return any(part in lower for part in _SECRET)


def _words(snapshot: Snapshot, listener: str, request: Request) -> str:
    decision = explain(snapshot, listener, request)
    shown = (request.method + b" " + request.host + request.path).decode("latin-1")
    if decision.reply is not None:
        return f"{shown}: {decision.reply.status} {decision.reply.flag}, {decision.reply.cause}"
    lost = next((target for target in decision.targets if target.flag), None)
    return f"{shown}: for a part 503 {lost.flag}, {lost.cause}" if lost is not None else shown
