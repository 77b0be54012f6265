"""A decision as a ladder for people: the virtual host, each rule with what it wanted, and what happens then.

Readable at 80 columns: what is longer goes on below itself. Owns the looks alone; the words are `plan.explain`'s.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, is_dataclass
from enum import Enum

from meshproxy.admin.decision_json import NOBODY, Live, address, governing, percent, rewritten
from meshproxy.base.origin import Origin
from meshproxy.base.units import duration_text
from meshproxy.control.live import LiveRow
from meshproxy.plan.cluster import Cluster, Endpoint, Resolution
from meshproxy.plan.explain import Decision, Rung, Target
from meshproxy.plan.fault import Fault
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.retry import Retry
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Forward, Mirror, Route

_WIDTH = 80
_LABEL = 14
_MOST_ENDPOINTS = 10
_BOLD, _RED, _GREEN, _DIM = "1", "31", "32", "2"


class Ladder:
    """Lines of text, coloured or not."""

    def __init__(self, *, color: bool = False, live: Live = NOBODY) -> None:
        self._color = color
        self._live = live
        self._lines: list[str] = []

    def render(self, decision: Decision) -> str:
        self._asked(decision)
        self._found(decision)
        for rung in decision.considered:
            self._rung(rung)
        self._outcome(decision)
        return "".join(f"{line}\n" for line in self._lines)

    # ---- lines

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and text else text

    def _put(self, label: str, *texts: str, indent: int = 0, code: str = "", width: int = _LABEL) -> None:
        """`label`, then each of `texts` on lines of its own beside it."""
        column = indent + width
        for text in texts:
            for part in textwrap.wrap(text, _WIDTH - column, break_on_hyphens=False, break_long_words=False) or [""]:
                head = (" " * indent + label).ljust(column)
                self._lines.append((self._paint(head, _BOLD) + self._paint(part, code)).rstrip())
                label = ""

    # ---- parts

    def _asked(self, decision: Decision) -> None:
        request = decision.request
        target = (request.host + request.target).decode("latin-1")
        line = f"{request.method.decode('latin-1')} {request.scheme.decode()}://{target}"
        self._lines.append(self._paint(line, _BOLD))
        for name, value in request.fields:
            self._put("", f"{name.decode('latin-1')}: {value.decode('latin-1')}", width=2)
        self._lines.append("")

    def _found(self, decision: Decision) -> None:
        listener, host = decision.listener, decision.virtual_host
        if listener is not None:
            gateways = f", Gateway {', '.join(listener.gateways)}" if listener.is_gateway else ""
            self._put("listener", f"{listener.name}{gateways}")
        if host is not None:
            self._put("virtual host", host.name)
            self._put("", decision.found_by, code=_DIM)
            name = governing(decision) or host.virtual_service
            self._put("governed by", f"VirtualService {name}" if name else "no VirtualService")
            if host.origin is not None:
                self._put("", str(host.origin), code=_DIM)
        self._lines.append("")

    def _rung(self, rung: Rung) -> None:
        matched = not rung.reason
        label = f"rule {rung.rule}" if rung.rule is not None else "default"
        if rung.of.match_index:
            label += f".{rung.of.match_index}"
        mark = self._paint("✓", _GREEN) if matched else self._paint("✗", _RED)
        name = rung.of.name if rung.rule is not None else "the service's own route"
        head = f"{mark} {self._paint(label.ljust(_LABEL - 2), _BOLD)}{name}"
        self._lines.append(head.rstrip())
        self._put("", rung.reason or "matches", code="" if rung.reason else _GREEN)
        where = f"{rung.line[0]}:{rung.line[1]}" if rung.line is not None else _place(rung.of.origin)
        if where:
            self._put("", where, code=_DIM)

    def _outcome(self, decision: Decision) -> None:
        if decision.considered:
            self._lines.append("")
        if decision.reply is not None:
            flag = f", flag {decision.reply.flag}" if decision.reply.flag else ""
            self._put("answers", f"{decision.reply.status}{flag}", code=_RED if decision.reply.flag else _GREEN)
            self._put("", decision.reply.cause)
        route = decision.route
        if route is None:
            return
        if isinstance(route.action, DirectResponse) and route.action.body:
            self._put("body", textwrap.shorten(route.action.body.decode("utf-8", "replace"), 60))
        for target in decision.targets:
            self._target(target, route)
        for target in decision.mirrors:
            self._target(target, route)
        for label, texts in _policies(route, decision):
            self._put(label, *texts)

    def _target(self, target: Target, route: Route) -> None:
        to = target.to
        subset = f", subset {to.subset}" if to.subset else ""
        if isinstance(to, Mirror):
            label, share = "mirrors", f"{percent(to.share):g}% to "
        else:
            total = route.action.total if isinstance(route.action, Forward) else 0
            label, share = "sends to", f"{100 * to.weight / total:.4g}% to " if total > to.weight else ""
        self._put(label, f"{share}{to.host}, port {to.port}{subset}")
        if target.cause:
            self._put("", f"{target.flag}: {target.cause}", code=_RED)
        if target.cluster is not None:
            for label, texts in self._cluster(target.cluster):
                self._put(label, *texts, indent=_LABEL, width=12)

    def _cluster(self, cluster: Cluster) -> Iterator[tuple[str, Iterable[str]]]:
        yield "cluster", (cluster.name,)
        if cluster.rule:
            yield "shaped by", (f"DestinationRule {cluster.rule} {_place(cluster.origin)}",)
        for other in cluster.passed_over:
            yield "not by", (f"{other.rule} ({_place(other.origin)}): {other.reason}",)
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


def render_text(decision: Decision, *, color: bool = False, live: Live = NOBODY) -> str:
    """The ladder of `decision`."""
    return Ladder(color=color, live=live).render(decision)


def _policies(route: Route, decision: Decision) -> Iterator[tuple[str, Iterable[str]]]:
    """What else happens, where anything does."""
    if not decision.targets:
        if route.response_headers is not None:
            yield "response", operation_lines(route.response_headers)
        return
    yield "timeout", (duration_text(route.timeout) if route.timeout is not None else "none",)
    yield "retries", (retry_line(route.retry),)
    if route.fault is not None:
        yield "fault", fault_lines(route.fault)
    if route.rewrite is not None:
        path, authority = rewritten(route.rewrite, decision)
        yield "rewritten to", (f"{authority}{path}",)
    if route.hashes:
        yield "hashes", (f"{type(each).__name__} {policy_text(each)}" for each in route.hashes)
    if route.cors is not None:
        yield "cors", ("answers preflights" if route.cors.origins else "allows no origin",)
    if route.request_headers is not None:
        yield "request", operation_lines(route.request_headers)
    if route.response_headers is not None:
        yield "response", operation_lines(route.response_headers)


def retry_line(retry: Retry | None) -> str:
    if retry is None:
        return "none"
    conditions = ",".join([*sorted(retry.conditions), *map(str, sorted(retry.statuses))])
    per_try = f", {duration_text(retry.per_try_timeout)} per try" if retry.per_try_timeout is not None else ""
    return f"{retry.attempts}{per_try}, on {conditions.replace(',', ', ')}"


def fault_lines(fault: Fault) -> Iterator[str]:
    if fault.delay_share:
        yield f"{percent(fault.delay_share):g}% are delayed by {duration_text(fault.delay)}"
    if fault.abort_share:
        status = fault.abort_status or f"gRPC status {fault.abort_grpc_status}"
        yield f"{percent(fault.abort_share):g}% are answered with {status}"


def operation_lines(ops: HeaderOps) -> Iterator[str]:
    for name in sorted(ops.remove):
        yield f"removes {name.decode()}"
    for verb, values in (("sets", ops.set), ("adds", ops.add)):
        for name, template in values:
            yield f"{verb} {name.decode()}: {template_text(template)}"


def template_text(template: Template) -> str:
    """As it is written."""
    return "".join(
        part.decode("utf-8", "replace").replace("%", "%%") if isinstance(part, bytes) else _command(*part)
        for part in template.parts
    )


def _command(name: str, argument: str) -> str:
    return f"%{name}({argument})%" if argument else f"%{name}%"


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)


def _place(origin: Origin | None) -> str:
    return str(origin) if origin is not None else ""
