"""Cases of istio-config-validator: what they write in Istio's words is compiled, and must be what the rule does."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.admin.decision_json import governing
from meshproxy.cli.testing.expect import Mismatch, changes_text, made_changes
from meshproxy.cli.testing.schema import ValidatorCase
from meshproxy.compiler.header_ops import build_headers
from meshproxy.compiler.policies import build_fault, build_redirect, build_rewrite
from meshproxy.compiler.report import Report
from meshproxy.model.destination import HTTPRouteDestination
from meshproxy.model.hosts import resolve_host
from meshproxy.plan.explain import Decision
from meshproxy.plan.rewrite import Redirect


def compare_validator(case: ValidatorCase, decision: Decision) -> list[Mismatch]:
    """With `wantMatch: false` everything that is written must differ."""
    found = []
    for field, wanted, got in _validated(case, decision):
        if (wanted == got) is not case.want_match:
            meant = str(wanted) if case.want_match else f"anything but {wanted}"
            found.append(Mismatch(field, meant, str(got) or "nothing", case.at.field(field)))
    return found


def _validated(case: ValidatorCase, decision: Decision) -> Iterator[tuple[str, object, object]]:
    route = decision.route
    path = route.path if route is not None else None
    if case.route:
        owner = governing(decision).partition("/")[0] or "default"
        got = _routed(decision)
        yield "route", " and ".join(_route(each, owner, len(case.route), got) for each in case.route), " and ".join(got)
    if case.redirect is not None:
        port = decision.listener.server_port if decision.listener is not None else 0
        made = route.action if route is not None and isinstance(route.action, Redirect) else None
        yield "redirect", build_redirect(case.redirect, path, port), made
    if case.rewrite is not None:
        yield "rewrite", build_rewrite(case.rewrite, path, None), route.rewrite if route is not None else None
    if case.fault is not None:
        yield "fault", build_fault(case.fault), route.fault if route is not None else None
    if case.headers is not None:
        yield "headers", changes_text(build_headers(case.headers, Report())), changes_text(made_changes(route))
    if case.delegate is not None:
        name = case.delegate.name
        wanted = f"{case.delegate.namespace}/{name}" if case.delegate.namespace else name
        owner_name = governing(decision)
        yield "delegate", wanted, owner_name if case.delegate.namespace else owner_name.rpartition("/")[2]


def _route(each: HTTPRouteDestination, owner: str, count: int, got: list[str]) -> str:
    """A destination in the words of `_routed`; without a port it is the one that was routed to."""
    to = each.destination
    if to is None:
        return "none"
    host = resolve_host(to.host, owner)
    subset = f", subset {to.subset}" if to.subset else ""
    weight = f", weight {each.weight}" if count > 1 else ""
    if to.port is not None:
        return f"{host}, port {to.port.number}{subset}{weight}"
    same = (text for text in got if text.startswith(f"{host}, port ") and text.endswith(f"{subset}{weight}"))
    commas = 1 + bool(subset) + bool(weight)
    return next((text for text in same if text.count(",") == commas), f"{host}{subset}{weight}")


def _routed(decision: Decision) -> list[str]:
    several = len(decision.targets) > 1
    return [
        f"{target.to.host}, port {target.to.port}"
        + (f", subset {target.to.subset}" if target.to.subset else "")
        + (f", weight {getattr(target.to, 'weight', 0)}" if several else "")
        for target in decision.targets
    ]
