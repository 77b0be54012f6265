"""Why a request goes where it goes: one decision as a value, made by the tables that serve.

`explain` walks what `RouteTable.find` has decided and adds the reasons; it matches nothing by itself. What only time
can tell (health, breakers, what an upstream answers) is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.base.message import Request
from meshproxy.base.origin import Origin
from meshproxy.plan.explain_stream import StreamDecision
from meshproxy.plan.explain_target import Reply, Target, behind_gateways, meant, target_of, usable
from meshproxy.plan.fault import MILLION
from meshproxy.plan.listener import Listener, finds_none, settle_scheme
from meshproxy.plan.rewrite import DirectResponse, Redirect, location
from meshproxy.plan.route import Forward, Line, Route, Skipped
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import VirtualHost


@dataclass(frozen=True, slots=True)
class Rung:
    """One route (or match block that can take nothing here) that was asked; `reason` is empty where it matched."""

    of: Route | Skipped
    reason: str = ""
    line: Line | None = None

    @property
    def rule(self) -> int | None:
        origin = rule_of(self.of) if isinstance(self.of, Route) else self.of.origin
        return origin.rule if origin is not None else None


def rule_of(route: Route) -> Origin | None:
    """Where the rule is written, a delegate's in the delegate."""
    return route.rule or route.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`route` None: nothing matched. `reply` None: an upstream answers, at least where a weight chooses it."""

    request: Request
    listener: Listener | None
    virtual_host: VirtualHost | None = None
    found_by: str = ""  # why this virtual host
    considered: tuple[Rung, ...] = ()
    route: Route | None = None
    targets: tuple[Target, ...] = ()
    mirrors: tuple[Target, ...] = ()
    reply: Reply | None = None
    front: StreamDecision | None = None  # how the connection came to `listener`, where a filter chain decides that


def explain(snapshot: Snapshot, listener: str, request: Request) -> Decision:
    """The decision of `snapshot` about `request` on the listener of that name."""
    found = next((each for each in snapshot.http_listeners if each.name == listener), None)
    host, route = decide(found, request)
    if found is None or host is None:
        cause = f"there is no listener {listener}" if found is None else _why_no_host(snapshot, found, request)
        return Decision(request=request, listener=found, reply=Reply(404, "NR", cause))
    if finds_none(request):
        cause = "X-Forwarded-Proto has no value: no rule is asked"
        by = _found_by(host, request)
        return Decision(request=request, listener=found, virtual_host=host, found_by=by, reply=Reply(404, "NR", cause))
    action = route.action if route is not None else None
    targets = tuple(target_of(each, snapshot.clusters) for each in getattr(action, "destinations", ()))
    mirrors = tuple(target_of(each, snapshot.clusters) for each in route.mirrors) if route is not None else ()
    return Decision(
        request=request,
        listener=found,
        virtual_host=host,
        found_by=_found_by(host, request),
        considered=tuple(_rungs(host, route, request)),
        route=route,
        targets=targets,
        mirrors=mirrors,
        reply=_reply(route, targets, request),
    )


def decide(listener: Listener | None, request: Request) -> tuple[VirtualHost | None, Route | None]:
    """Virtual host and route, as an exchange finds them."""
    if listener is None or request.path == b"*":
        return None, None
    if listener.is_gateway:
        request.scheme = listener.scheme
    settle_scheme(listener, request)
    host = listener.virtual_hosts.find(request.host)
    return host, host.routes.find(request) if host is not None and not finds_none(request) else None


def failing(snapshot: Snapshot, listener: str, request: Request) -> float:
    """The share of such requests that get a 404 or 503 of ours because nothing is there: NR, NC, UH."""
    found = next((each for each in snapshot.http_listeners if each.name == listener), None)
    _, route = decide(found, request)
    if route is None:
        return 1.0
    if not isinstance(route.action, Forward):
        return 0.0
    destinations = route.action.destinations
    lost = sum(each.weight for each in destinations if not usable(snapshot.clusters.get(each.cluster)))
    return lost / sum(each.weight for each in destinations)


# ---- rules


def why_not(route: Route, request: Request) -> tuple[str, Line | None] | None:
    """The first condition of `route` that `request` fails, in words, and where it is written; None: it fails none."""
    lines = iter(route.lines)
    path = route.path
    if path is not None:
        line = next(lines, None)
        asked = request.path.lower() if route.ignore_case else request.path
        if not path.matches(asked):
            folded = " in any case" if route.ignore_case else ""
            return f'uri: wanted {path.describe()}{folded}, got "{request.path.decode("latin-1")}"', line
    for condition in route.conditions:
        line = next(lines, None)
        if not condition.holds(request):
            return condition.explain(request), line
    return None


def _rungs(host: VirtualHost, found: Route | None, request: Request) -> Iterator[Rung]:
    """Everything up to and with `found`, in the order written."""
    skipped = list(host.skipped)
    for number, route in enumerate(host.routes.candidates(request)):
        while skipped and skipped[0].before <= number:
            yield _passed(skipped.pop(0))
        if route is found:
            yield Rung(route)
            return
        reason, line = why_not(route, request) or ("", None)
        yield Rung(route, reason, line)
    yield from map(_passed, skipped)


def _passed(block: Skipped) -> Rung:
    return Rung(block, block.reason, block.line)


# ---- virtual hosts


def _found_by(host: VirtualHost, request: Request) -> str:
    """Which of its names the Host was found by."""
    asked = request.host.decode("latin-1").lower()
    bare = asked.rpartition(":")[0] if asked.rfind(":") > asked.rfind("]") else asked
    for name in (asked, bare):
        if name in host.domains:
            return f"{name} is one of its names"
    covering = [domain for domain in host.domains if "*" in domain and _covers(domain, asked, bare)]
    return f"{max(covering, key=len)} covers {asked}" if covering else f"it takes {asked}"


def _covers(domain: str, *names: str) -> bool:
    head, _, tail = domain.partition("*")
    return any(name.startswith(head) and name.endswith(tail) for name in names)


def _why_no_host(snapshot: Snapshot, listener: Listener, request: Request) -> str:
    if request.path == b"*":
        return "OPTIONS * is about the proxy itself: it has no route"
    asked = request.host.decode("latin-1").lower()
    names = [domain for host in listener.virtual_hosts.hosts for domain in host.domains]
    said = f"no virtual host has the name {asked or '(empty)'}"
    return said + (_elsewhere(snapshot, listener, request) or meant(asked, names))


def _elsewhere(snapshot: Snapshot, listener: Listener, request: Request) -> str:
    """The Gateways that have a host which the mesh listener lacks."""
    if listener.is_gateway:
        return ""
    found = [(each, each.virtual_hosts.find(request.host)) for each in snapshot.http_listeners if each.is_gateway]
    return behind_gateways(
        name for each, host in found if host is not None and "*" not in host.domains for name in each.gateways
    )


# ---- what we answer ourselves


def _reply(route: Route | None, targets: tuple[Target, ...], request: Request) -> Reply | None:
    if route is None:
        return Reply(404, "NR", "no rule matches")
    match route.action:
        case Redirect() as redirect:
            return Reply(redirect.status, "", f"a redirect to {location(redirect, request).decode('latin-1')}")
        case DirectResponse(status=status):
            return Reply(status, "", "a direct response")
    fault = route.fault
    if fault is not None and fault.abort_share == MILLION:
        return Reply(fault.abort_status or 200, "FI", "the rule aborts all its requests")
    if route.cors is not None and route.cors.answers(request):
        return Reply(200, "", "a CORS preflight is answered here")
    if all(target.flag for target in targets):
        return Reply(503, targets[0].flag, targets[0].cause)
    return None


def summary(decision: Decision) -> str:
    """The decision in one line, as a header can carry it."""
    host, route, reply = decision.virtual_host, decision.route, decision.reply
    parts = [f"virtual-host={host.name if host is not None else '-'}"]
    origin = rule_of(route) if route is not None else None
    if origin is not None:
        rule = "-" if origin.rule is None else origin.rule
        parts += [f"rule={origin.resource.rpartition(' ')[2]}[{rule}]", f"at={origin}"]
    if route is not None and route.name:
        parts.append(f"name={route.name}")
    parts.append(f"passed={sum(bool(rung.reason) for rung in decision.considered)}")
    parts += [f"to={target.to.cluster}" for target in decision.targets]
    if reply is not None:
        parts.append(f"answer={reply.status}{f' {reply.flag}' if reply.flag else ''} ({reply.cause})")
    return "; ".join(parts)


def source(decision: Decision) -> Origin | None:
    """Where the rule that matched is written, else the virtual host."""
    if decision.route is not None:
        return rule_of(decision.route)
    return decision.virtual_host.origin if decision.virtual_host is not None else None
