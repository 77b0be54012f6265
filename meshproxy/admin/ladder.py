"""What all ladders are made of: lines with their labels, and what is said of a destination and its cluster.

Readable at 80 columns: what is longer goes on below itself. Owns the looks alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum

from meshproxy.admin.target_json import NOBODY, UNUSED, Live, address, limited, percent
from meshproxy.base.origin import Origin
from meshproxy.control.in_use import Breakers, InUse
from meshproxy.control.live import LiveRow
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.explain_target import Reply, Target
from meshproxy.plan.limits import Limits
from meshproxy.plan.route import Action, Destination, Forward, Mirror

_WIDTH = 80
LABEL = 14
_MOST_ENDPOINTS = 10
BOLD, RED, GREEN, DIM = "1", "31", "32", "2"


class Ladder:
    """Lines of text, coloured or not."""

    def __init__(self, *, color: bool = False, live: Live = NOBODY, breakers: Breakers = UNUSED) -> None:
        self._color = color
        self._live = live
        self._breakers = breakers
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and text else text

    def put(self, label: str, *texts: str, indent: int = 0, code: str = "", width: int = LABEL) -> None:
        """`label`, then each of `texts` on lines of its own beside it."""
        column = indent + width
        for text in texts:
            for part in textwrap.wrap(text, _WIDTH - column, break_on_hyphens=False, break_long_words=False) or [""]:
                head = (" " * indent + label).ljust(column)
                self._lines.append((self.paint(head, BOLD) + self.paint(part, code)).rstrip())
                label = ""

    def rung(self, label: str, name: str, reason: str, words: str, where: str) -> None:
        """One thing that was asked: with a `reason` it did not hold; `words` for one that did."""
        mark = self.paint("✗", RED) if reason else self.paint("✓", GREEN)
        self.line(f"{mark} {self.paint(label.ljust(LABEL - 2), BOLD)}{name}".rstrip())
        self.put("", reason or words, code="" if reason else GREEN)
        if where:
            self.put("", where, code=DIM)

    def line(self, text: str = "") -> None:
        self._lines.append(text)

    def reply(self, label: str, reply: Reply, *parts: str) -> None:
        """What we answer, or do, ourselves."""
        flag = (f"flag {reply.flag}",) if reply.flag else ()
        self.put(label, ", ".join((*parts, *flag)), code=RED if reply.flag else GREEN)
        self.put("", reply.cause)

    def target(self, target: Target, action: Action) -> None:
        """Where a share of them goes, and what there is."""
        to = target.to
        subset = f", subset {to.subset}" if to.subset else ""
        if isinstance(to, Mirror):
            label, share = "mirrors", f"{percent(to.share):g}% to "
        else:
            total = action.total if isinstance(action, Forward) else 0
            label, share = "sends to", f"{100 * to.weight / total:.4g}% to " if total > to.weight else ""
        self.put(label, f"{share}{to.host}, port {to.port}{subset}")
        if target.cause:
            self.put("", f"{target.flag}: {target.cause}", code=RED)
        for label, texts in self.destination_more(to):
            self.put(label, *texts, indent=LABEL, width=12)
        if target.cluster is not None:
            for label, texts in self._cluster(target.cluster):
                self.put(label, *texts, indent=LABEL, width=12)

    def _cluster(self, cluster: Cluster) -> Iterator[tuple[str, Iterable[str]]]:
        yield "cluster", (cluster.name,)
        if cluster.rule:
            yield "shaped by", (f"DestinationRule {cluster.rule} {place(cluster.origin)}",)
        for other in cluster.passed_over:
            yield "not by", (f"{other.rule} ({place(other.origin)}): {other.reason}",)
        if cluster.labels:
            yield "selects", (_pairs(cluster.labels),)
        shown = [self._endpoint(cluster.name, each) for each in cluster.endpoints[:_MOST_ENDPOINTS]]
        more = len(cluster.endpoints) - len(shown)
        if cluster.resolution is not Resolution.STATIC:
            shown += self._resolved(cluster)
        none = "whoever is asked for" if cluster.resolution is Resolution.DYNAMIC else "none"
        yield "endpoints", (*shown, *([f"and {more} more"] if more else ())) or (none,)
        yield "balancer", (policy_text(cluster.hashing) if cluster.hashing is not None else cluster.balancer.value,)
        yield from ((label, (words,)) for label, words in cluster_policies(cluster))
        used = self._breakers.get(cluster.name)
        if used is not None and cluster.limits is not None:
            yield "in use", _usage(cluster.limits, used)
        yield from ((label, (words,)) for label, words in self.cluster_more(cluster))

    def destination_more(self, to: Destination | Mirror) -> Iterable[tuple[str, Iterable[str]]]:
        """What only some ladders say of a destination."""
        return ()

    def cluster_more(self, cluster: Cluster) -> Iterable[tuple[str, str]]:
        """What only some ladders say."""
        return ()

    def _resolved(self, cluster: Cluster) -> list[str]:
        """The addresses that names were found to have."""
        known = {address(each) for each in cluster.endpoints}
        found = [row for (name, at), row in self._live.items() if name == cluster.name and at and at not in known]
        return [f"{row.address}  {_state(row)}" for row in found]

    def _endpoint(self, cluster: str, endpoint: Endpoint) -> str:
        name = address(endpoint)
        parts = [name, _pairs(endpoint.labels)]
        if endpoint.weight != 1:
            parts.append(f"weight {endpoint.weight}")
        row = self._live.get((cluster, name))
        if row is not None:
            parts.append(_state(row))
        elif not endpoint.healthy:
            parts.append("not ready")
        return "  ".join(filter(None, parts))


def _usage(limits: Limits, used: Mapping[str, InUse]) -> Iterator[str]:
    """A breaker is open where no more is let through."""
    for name, each, limit in limited(limits, used):
        overflows = f", {each.overflows} overflows" if each.overflows else ""
        yield f"{each.count} of {limit} {name}{', open' if each.count >= limit else ''}{overflows}"


def _state(row: LiveRow) -> str:
    """How one endpoint is doing; what is only sometimes the case, where it is."""
    values = asdict(row)
    counts = f"{row.active} active, {row.requests} requests, {row.failures} failed"
    more = "".join(
        f", {name.replace('_', ' ')} {value}" for name, value in values.items() if name not in _SAID and value
    )
    return f"{'healthy' if row.healthy else 'unhealthy'}, {counts}{more}"


_SAID = frozenset("cluster balancer address weight healthy active requests failures connections".split())


def cluster_policies(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """What else a cluster does, where it does."""
    policies = {
        "resolution": cluster.resolution.value if cluster.resolution is not Resolution.STATIC else None,
        "warmup": cluster.warmup,
        "outliers": cluster.outlier,
        "limits": cluster.limits,
        "retry budget": cluster.retry_budget,
        "connections": cluster.connections,
        "tls": cluster.tls,
        "PROXY": cluster.proxy_protocol,
        "tunnel": cluster.tunnel,
    }
    yield from ((label, policy_text(policy)) for label, policy in policies.items() if policy is not None)
    if cluster.locality_weights:
        yield "localities", ", ".join(f"{weight}% {name or 'others'}" for name, weight in cluster.locality_weights)


def policy_text(policy: object) -> str:
    """A policy's kind, and those of its values that are not the usual ones."""
    if isinstance(policy, Enum):
        return str(policy.value)
    if isinstance(policy, bytes):
        return policy.decode("utf-8", "replace")
    if not is_dataclass(policy) or isinstance(policy, type):
        return str(policy)
    values = [
        f"{field.name.replace('_', ' ')} {policy_text(getattr(policy, field.name))}"
        for field in fields(policy)
        if getattr(policy, field.name) != field.default
    ]
    return ", ".join(values) or type(policy).__name__


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)


def place(origin: Origin | None) -> str:
    return str(origin) if origin is not None else ""
