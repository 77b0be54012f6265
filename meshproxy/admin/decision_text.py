"""A decision as a ladder for people: the virtual host, each rule with what it wanted, and what happens then.

Owns the looks alone; the words are `plan.explain`'s.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from meshproxy.admin.decision_json import governing, rewritten
from meshproxy.admin.ladder import BOLD, DIM, Ladder, place, policy_text
from meshproxy.admin.stream_text import put_front, stream_text
from meshproxy.admin.target_json import NOBODY, UNUSED, Live, percent
from meshproxy.base.units import duration_text
from meshproxy.control.in_use import Breakers
from meshproxy.plan.explain import Decision, Rung
from meshproxy.plan.explain_stream import StreamDecision
from meshproxy.plan.fault import Fault
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.retry import Retry
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Destination, Mirror, Route


class _Requests(Ladder):
    """The ladder of one request."""

    def render(self, decision: Decision) -> str:
        self._asked(decision)
        if decision.front is not None:
            put_front(self, decision.front)
        self._found(decision)
        for rung in decision.considered:
            self._rung(rung)
        self._outcome(decision)
        return self.text

    def destination_more(self, to: Destination | Mirror) -> Iterator[tuple[str, Iterable[str]]]:
        """What is changed on the way to this one destination, before what the rule changes for all."""
        if not isinstance(to, Destination):
            return
        if to.authority is not None:
            yield "host", (to.authority.decode("latin-1"),)
        for label, operations in (("request", to.request_headers), ("response", to.response_headers)):
            if operations is not None:
                yield label, operation_lines(operations)

    # ---- parts

    def _asked(self, decision: Decision) -> None:
        request = decision.request
        target = (request.host + request.target).decode("latin-1")
        line = f"{request.method.decode('latin-1')} {request.scheme.decode()}://{target}"
        self.line(self.paint(line, BOLD))
        for name, value in request.fields:
            self.put("", f"{name.decode('latin-1')}: {value.decode('latin-1')}", width=2)
        self.line()

    def _found(self, decision: Decision) -> None:
        listener, host = decision.listener, decision.virtual_host
        if listener is not None:
            gateways = f", Gateway {', '.join(listener.gateways)}" if listener.is_gateway else ""
            self.put("listener" if decision.front is None else "behind it", f"{listener.name}{gateways}")
        if host is not None:
            self.put("virtual host", host.name)
            self.put("", decision.found_by, code=DIM)
            name = governing(decision) or host.virtual_service
            self.put("governed by", f"VirtualService {name}" if name else "no VirtualService")
            if host.origin is not None:
                self.put("", str(host.origin), code=DIM)
        self.line()

    def _rung(self, rung: Rung) -> None:
        label = f"rule {rung.rule}" if rung.rule is not None else "default"
        if rung.of.match_index:
            label += f".{rung.of.match_index}"
        name = rung.of.name if rung.rule is not None else "the service's own route"
        where = f"{rung.line[0]}:{rung.line[1]}" if rung.line is not None else place(rung.of.origin)
        self.rung(label, name, rung.reason, "matches", where)

    def _outcome(self, decision: Decision) -> None:
        if decision.considered:
            self.line()
        if decision.reply is not None:
            self.reply("answers", decision.reply, str(decision.reply.status))
        route = decision.route
        if route is None:
            return
        if isinstance(route.action, DirectResponse) and route.action.body:
            self.put("body", textwrap.shorten(route.action.body.decode("utf-8", "replace"), 60))
        for target in (*decision.targets, *decision.mirrors):
            self.target(target, route.action)
        for label, texts in _policies(route, decision):
            self.put(label, *texts)


def render_text(
    decision: Decision | StreamDecision, *, color: bool = False, live: Live = NOBODY, breakers: Breakers = UNUSED
) -> str:
    """The ladder of `decision`."""
    if isinstance(decision, StreamDecision):
        return stream_text(decision, color=color, live=live, breakers=breakers)
    return _Requests(color=color, live=live, breakers=breakers).render(decision)


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
