"""What a case expects, compared with a decision: each difference in words, with the line of the expectation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshproxy.admin.decision_json import decision_json, governing, rewritten
from meshproxy.admin.decision_text import template_text
from meshproxy.admin.target_json import percent
from meshproxy.base.origin import Origin
from meshproxy.base.units import duration_text
from meshproxy.cli.testing.schema import (
    Expect,
    ExpectedDestination,
    ExpectedFault,
    ExpectedMirror,
    ExpectedRetries,
)
from meshproxy.compiler.header_ops import HeaderChanges, build_headers, or_none
from meshproxy.compiler.report import Report
from meshproxy.model.hosts import resolve_host
from meshproxy.model.place import json_name
from meshproxy.plan.explain import Decision, rule_of
from meshproxy.plan.explain_target import Target
from meshproxy.plan.header_ops import HeaderOps
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Mirror, Route


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`wanted` and `got` in words."""

    field: str
    wanted: str
    got: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted}, got {self.got}"


Pair = tuple[str, str]
"""Wanted and got."""


def compare(expect: Expect, namespace: str, decision: Decision) -> list[Mismatch]:
    """All differences; short host names are of `namespace`."""
    return [
        Mismatch(json_name(name), wanted, got, expect.at.field(name))
        for name in expect.at.marks
        if name in _COMPARED
        for wanted, got in (_COMPARED[name](expect, namespace, decision),)
        if wanted != got
    ]


# ---- one function for each field: wanted and got, equal where it is as expected


def _virtual_service(expect: Expect, namespace: str, decision: Decision) -> Pair:
    wanted = expect.virtual_service
    return wanted if "/" in wanted else f"{namespace}/{wanted}", governing(decision) or "none"


def _rule(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    route = decision.route
    if route is None:
        return str(expect.rule), "no rule"
    origin = rule_of(route)
    index = origin.rule if origin is not None else None
    return str(expect.rule), route.name if isinstance(expect.rule, str) else str(index)


def _destinations(expect: Expect, namespace: str, decision: Decision) -> Pair:
    wanted = expect.destinations if expect.destination is None else (expect.destination,)
    return _same_parts(wanted, decision.targets, namespace)


def _mirrors(expect: Expect, namespace: str, decision: Decision) -> Pair:
    return _same_parts(expect.mirrors, decision.mirrors, namespace)


def _same_parts(
    wanted: tuple[ExpectedDestination, ...] | tuple[ExpectedMirror, ...], got: tuple[Target, ...], namespace: str
) -> Pair:
    """In any order; of each only what is written is compared. Where all agree both say what was wanted."""
    left = list(got)
    for each in wanted:
        found = next((target for target in left if _wanted(each, namespace) == _got(each, target, len(got))), None)
        if found is None:
            break
        left.remove(found)
    else:
        if not left:
            return "", ""
    fallback = wanted[0] if wanted else None
    said = " and ".join(_wanted(each, namespace) for each in wanted) or "none"
    return said, " and ".join(_got(fallback, target, len(got)) for target in got) or "none"


def _wanted(each: ExpectedDestination | ExpectedMirror, namespace: str) -> str:
    parts = [resolve_host(each.host, namespace)]
    written = [name for name in ("subset", "port", "weight", "percentage") if name in each.at.marks]
    parts += [f"{name} {getattr(each, name) or ('none' if name == 'subset' else 0)}" for name in written]
    return ", ".join(parts)


def _got(each: ExpectedDestination | ExpectedMirror | None, target: Target, count: int) -> str:
    """In the words of `_wanted`: the same fields."""
    to = target.to
    weight = 100 if count == 1 else getattr(to, "weight", 0)
    values: Mapping[str, object] = {
        "subset": to.subset or "none",
        "port": to.port,
        "weight": weight,
        "percentage": percent(to.share) if isinstance(to, Mirror) else 0,
    }
    named = each.at.marks if each is not None else ("subset", "port")
    return ", ".join([to.host, *(f"{name} {value}" for name, value in values.items() if name in named)])


def _status(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    return str(expect.status), str(decision.reply.status) if decision.reply is not None else "an upstream's answer"


def _flag(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    return expect.flag or "none", (decision.reply.flag if decision.reply is not None else "") or "none"


def _redirect(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    return _of_mapping(expect.redirect, decision_json(decision)["redirect"])


def _direct_response(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    made = decision.route.action if decision.route is not None else None
    if not isinstance(made, DirectResponse):
        return _of_mapping(expect.direct_response, None)
    return _of_mapping(expect.direct_response, {"status": made.status, "body": made.body.decode("utf-8", "replace")})


def _rewrite(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    made = decision.route.rewrite if decision.route is not None else None
    uri, authority = rewritten(made, decision) if made is not None else ("", "")
    return _of_mapping(expect.rewrite, {"uri": uri, "authority": authority} if made is not None else None)


def _fault(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    """An empty fault expects neither delay nor abort."""
    made = decision.route.fault if decision.route is not None else None
    wanted = expect.fault or ExpectedFault()
    delay = abort = None
    if made is not None and made.delay_share:
        delay = {"fixed_delay": made.delay, "percentage": percent(made.delay_share)}
    if made is not None and made.abort_share:
        statuses = {"http_status": made.abort_status, "grpc_status": made.abort_grpc_status}
        abort = {**statuses, "percentage": percent(made.abort_share)}
    asked = wanted.at.marks or ("delay", "abort")
    pairs = [
        (name, *_of_mapping(part, got))
        for name, part, got in (("delay", wanted.delay, delay), ("abort", wanted.abort, abort))
        if name in asked
    ]
    return ", ".join(f"{name} {said}" for name, said, _ in pairs), ", ".join(f"{name} {got}" for name, _, got in pairs)


def _timeout(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    timeout = decision.route.timeout if decision.route is not None else None
    return _seconds(expect.timeout), _seconds(timeout)


def _retries(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    retry = decision.route.retry if decision.route is not None else None
    wanted = expect.retries or ExpectedRetries()
    if not wanted.attempts and set(wanted.at.marks) <= {"attempts"}:
        return "no retries", "no retries" if retry is None else f"{retry.attempts} retries"
    if retry is None:
        return _of_mapping(wanted, None)
    conditions = ",".join([*sorted(retry.conditions), *map(str, sorted(retry.statuses))])
    got = {"attempts": retry.attempts, "per_try_timeout": retry.per_try_timeout, "retry_on": conditions}
    if set(wanted.retry_on.split(",")) == set(conditions.split(",")):
        got["retry_on"] = wanted.retry_on
    return _of_mapping(wanted, got)


def _headers(expect: Expect, _namespace: str, decision: Decision) -> Pair:
    return changes_text(build_headers(expect.headers, Report())), changes_text(made_changes(decision.route))


def _seconds(value: float | None) -> str:
    return duration_text(value) if value else "none"


def _of_mapping(wanted: Any, got: Mapping[str, object] | None) -> Pair:
    """The fields that are written, or nothing at all."""
    names = list(wanted.at.marks) if wanted is not None else []
    if not names or got is None:
        return _shown({name: getattr(wanted, name) for name in names}), _shown(got or {})
    return _shown({name: getattr(wanted, name) for name in names}), _shown({name: got.get(name) for name in names})


def _shown(values: Mapping[str, object]) -> str:
    return ", ".join(f"{json_name(name)} {_word(value)}" for name, value in values.items()) or "none"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_COMPARED: Mapping[str, Callable[[Expect, str, Decision], Pair]] = {
    "virtual_service": _virtual_service,
    "rule": _rule,
    "destination": _destinations,
    "destinations": _destinations,
    "status": _status,
    "flag": _flag,
    "redirect": _redirect,
    "direct_response": _direct_response,
    "rewrite": _rewrite,
    "fault": _fault,
    "timeout": _timeout,
    "retries": _retries,
    "mirrors": _mirrors,
    "headers": _headers,
}


# ---- header changes


def made_changes(route: Route | None) -> HeaderChanges:
    if route is None:
        return HeaderChanges()
    nothing = HeaderOps()
    authority = route.rewrite.authority if route.rewrite is not None else None
    return HeaderChanges(route.request_headers or nothing, route.response_headers or nothing, authority)


def changes_text(changes: HeaderChanges) -> str:
    parts = [
        f"{direction} {verb} {text}"
        for direction, ops in (("request", or_none(changes.request)), ("response", or_none(changes.response)))
        if ops is not None
        for verb, text in _operations(ops)
    ]
    return ", ".join(parts) or "none"


def _operations(ops: HeaderOps) -> Iterator[tuple[str, str]]:
    for name in sorted(ops.remove):
        yield "removes", name.decode()
    for verb, values in (("sets", ops.set), ("adds", ops.add)):
        for key, template in values:
            yield verb, f"{key.decode().lower()}: {template_text(template)}"
