"""A decision as JSON, with the keys of `meshproxy explain -o json`: other people's scripts rely on them."""

from __future__ import annotations

from typing import Any

from meshproxy.admin.stream_json import chain_rungs, front_json, stream_json
from meshproxy.admin.target_json import NOBODY, UNUSED, Live, destination_json, percent
from meshproxy.base.units import duration_text
from meshproxy.control.in_use import Breakers
from meshproxy.plan.explain import Decision, Rung, rule_of, source
from meshproxy.plan.explain_stream import StreamDecision
from meshproxy.plan.explain_target import Target
from meshproxy.plan.fault import Fault
from meshproxy.plan.retry import Retry
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite, location
from meshproxy.plan.route import Mirror, Route


def decision_json(
    decision: Decision | StreamDecision, live: Live = NOBODY, breakers: Breakers = UNUSED
) -> dict[str, Any]:
    """`live`, `breakers`: how endpoints and limits are doing, where a running proxy is asked. Behind a filter chain it
    says which."""
    if isinstance(decision, StreamDecision):
        return stream_json(decision, live, breakers)
    front = decision.front
    said = _request_json(decision, live, breakers)
    return said | ({} if front is None else front_json(front) | {"chains": chain_rungs(front)})


def _request_json(decision: Decision, live: Live, breakers: Breakers) -> dict[str, Any]:
    host, route, reply = decision.virtual_host, decision.route, decision.reply
    at = source(decision)
    written = rule_of(route) if route is not None else None
    return {
        "virtual_host": host.name if host is not None else None,
        "virtual_service": governing(decision) or None,
        "rule": written.rule if written is not None else None,
        "rule_name": route.name if route is not None else None,
        "source": {"file": at.file, "line": at.line} if at is not None else None,
        "considered": [_rung(rung) for rung in decision.considered],
        "action": action(route),
        "destinations": [
            destination_json(target, len(decision.targets), live, breakers) for target in decision.targets
        ],
        "status": reply.status if reply is not None else None,
        "flag": (reply.flag or None) if reply is not None else None,
        "timeout": duration_text(route.timeout) if route is not None and route.timeout is not None else None,
        "retries": _retries(route.retry) if route is not None and route.retry is not None else None,
        "fault": _fault(route.fault) if route is not None and route.fault is not None else None,
        "rewrite": _rewrite(route.rewrite, decision) if route is not None and route.rewrite is not None else None,
        "mirrors": [_mirror(target) for target in decision.mirrors],
        "redirect": _redirect(route.action, decision) if route is not None else None,
    }


def action(route: Route | None) -> str:
    if route is None:
        return "none"
    if isinstance(route.action, Redirect):
        return "redirect"
    return "direct_response" if isinstance(route.action, DirectResponse) else "route"


def governing(decision: Decision) -> str:
    """`namespace/name` of the VirtualService whose rule matched; of several on a gateway the right one."""
    origin = rule_of(decision.route) if decision.route is not None else None
    if origin is not None and origin.resource.startswith("VirtualService "):
        return origin.resource.partition(" ")[2]
    return decision.virtual_host.virtual_service if decision.virtual_host is not None else ""


def _rung(rung: Rung) -> dict[str, Any]:
    where = f" ({rung.line[0]}:{rung.line[1]})" if rung.line is not None else ""
    return {
        "rule": rung.rule,
        "match": rung.of.match_index,
        "matched": not rung.reason,
        "reason": rung.reason + where if rung.reason else None,
    }


def _mirror(target: Target) -> dict[str, Any]:
    to = target.to
    share = percent(to.share) if isinstance(to, Mirror) else None
    return {
        "host": to.host,
        "subset": to.subset or None,
        "port": to.port,
        "cluster": to.cluster,
        "percentage": share,
    }


def _retries(retry: Retry) -> dict[str, Any]:
    per_try = retry.per_try_timeout
    return {
        "attempts": retry.attempts,
        "retry_on": ",".join([*sorted(retry.conditions), *map(str, sorted(retry.statuses))]),
        "per_try_timeout": duration_text(per_try) if per_try is not None else None,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    delay = {"fixed_delay": duration_text(fault.delay), "percentage": percent(fault.delay_share)}
    status = {"http_status": fault.abort_status} if fault.abort_grpc_status is None else {}
    grpc = {"grpc_status": fault.abort_grpc_status} if fault.abort_grpc_status is not None else {}
    abort = {**status, **grpc, "percentage": percent(fault.abort_share)}
    return {"delay": delay if fault.delay_share else None, "abort": abort if fault.abort_share else None}


def rewritten(rewrite: Rewrite, decision: Decision) -> tuple[str, str]:
    """Path (without query) and authority as they are sent on."""
    request = decision.request
    authority = rewrite.authority if rewrite.authority is not None else request.host
    return rewrite.apply(request.path).decode("latin-1"), authority.decode("latin-1")


def _rewrite(rewrite: Rewrite, decision: Decision) -> dict[str, Any]:
    path, authority = rewritten(rewrite, decision)
    return {"uri": path, "authority": authority}


def _redirect(made: object, decision: Decision) -> dict[str, Any] | None:
    if not isinstance(made, Redirect):
        return None
    return {"status": made.status, "location": location(made, decision.request).decode("latin-1")}
