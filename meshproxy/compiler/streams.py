"""VirtualServices' tls and tcp rules to where the bytes of a connection go: gateways' filter chains, and tunnels."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meshproxy.compiler.report import UnusableError
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.destination import RouteDestination
from meshproxy.model.hosts import cluster_name, host_matches
from meshproxy.model.virtual_service import L4MatchAttributes, TCPRoute, TLSMatchAttributes, TLSRoute
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.route import Destination, Forward, Line, Skipped
from meshproxy.plan.server_tls import ServerTls
from meshproxy.plan.stream_table import Chain, Network, StreamRoute, StreamTable

Rung = Chain | Skipped


@dataclass(frozen=True, slots=True)
class Chains:
    """Filter chains in the making, and the matches left out between them."""

    chains: list[Chain] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, rungs: Iterable[Rung]) -> None:
        for each in rungs:
            if isinstance(each, Skipped):
                self.skipped.append(replace(each, before=len(self.chains)))
            else:
                self.chains.append(each)

    def table(self, *, proxy_protocol: bool = False, http: str = "") -> StreamTable:
        return StreamTable(tuple(self.chains), proxy_protocol=proxy_protocol, http=http, skipped=tuple(self.skipped))


def tls_chains(bound: Iterable[Bound], scope: Scope) -> Iterator[Rung]:
    """A chain for every match of every tls rule that can apply in `scope`, in order."""
    for each in bound:
        for rule in each.service.tls:
            for index, match in enumerate(rule.match):
                skipped = _skipped(match, index, scope, each.namespace)
                if skipped is not None:
                    yield skipped
                    continue
                tunnel = _tunnel(rule, scope, each.namespace)
                if tunnel is not None:
                    yield Chain(
                        server_names=tuple(name.lower() for name in match.sni_hosts),
                        networks=_networks(match.destination_subnets),
                        is_tls=True,
                        tunnel=tunnel,
                        origin=match.at.origin,
                        match_index=index,
                        lines=_lines(match, "destination_subnets", "sni_hosts"),
                    )


def tcp_chains(bound: Iterable[Bound], scope: Scope) -> Iterator[Rung]:
    """The tcp rules that can apply, in order; the first one that asks for no network ends the list."""
    for each in bound:
        for rule in each.service.tcp:
            for index, match in enumerate(rule.match) if rule.match else ((None, None),):
                skipped = _skipped(match, index, scope, each.namespace)
                if skipped is not None:
                    yield skipped
                    continue
                tunnel = _tunnel(rule, scope, each.namespace)
                if tunnel is None:
                    continue
                networks = _networks(match.destination_subnets) if match is not None else ()
                yield Chain(
                    networks=networks,
                    tunnel=tunnel,
                    origin=(match or rule).at.origin,
                    match_index=index,
                    lines=_lines(match, "destination_subnets") if match is not None else (),
                )
                if not networks:
                    return


def first_tcp(
    bound: Iterable[Bound], scope: Scope, server_names: Sequence[str] = (), tls: ServerTls | None = None
) -> Iterator[Rung]:
    """A gateway's server of bytes: one rule for all its connections, whatever networks it asks for."""
    for each in tcp_chains(bound, scope):
        if isinstance(each, Chain):
            yield replace(
                each, server_names=tuple(server_names), networks=(), is_tls=tls is not None, tls=tls, lines=()
            )
            return
        yield each


def auto_passthrough(hosts: Sequence[str], clusters: Mapping[str, Cluster]) -> Iterator[Chain]:
    """A chain for every cluster whose host a server has, by the server name that Istio's clients give it."""
    for cluster in clusters.values():
        if any(host == "*" or host_matches(cluster.host, host) for host in hosts):
            destination = Destination(cluster=cluster.name, host=cluster.host, subset=cluster.subset, port=cluster.port)
            yield Chain(
                server_names=(f"outbound_.{cluster.port}_.{cluster.subset}_.{cluster.host}",),
                is_tls=True,
                tunnel=StreamRoute(name="", action=Forward((destination,), 1), service=cluster.host),
                origin=cluster.origin,
            )


def to_service(host: str, port: int, service: str = "") -> StreamRoute:
    """What becomes of bytes for a service that no rule speaks of."""
    destination = Destination(cluster=cluster_name(port, "", host), host=host, port=port)
    return StreamRoute(name="", action=Forward((destination,), 1), service=service or host)


def _skipped(
    match: TLSMatchAttributes | L4MatchAttributes | None, index: int | None, scope: Scope, owner: str
) -> Skipped | None:
    """The match, where it can take nothing here, whatever the connection."""
    why = scope.why_not(match, owner) if match is not None else None
    if match is None or index is None or why is None:
        return None
    at = match.at.field(why[0])
    return Skipped(name="", origin=match.at.origin, match_index=index, reason=why[1], line=(at.file, at.line), before=0)


def _lines(match: TLSMatchAttributes | L4MatchAttributes, *fields: str) -> tuple[Line, ...]:
    """Where those of `fields` are written that have anything."""
    written = [match.at.field(name) for name in fields if getattr(match, name)]
    return tuple((origin.file, origin.line) for origin in written)


def _tunnel(rule: TLSRoute | TCPRoute, scope: Scope, owner: str) -> StreamRoute | None:
    try:
        action = _weighted(rule.route, scope, owner)
    except UnusableError as error:
        scope.report.unusable(error)
        return None
    service = scope.service or action.destinations[0].host
    return StreamRoute(name="", action=action, service=service, origin=rule.at.origin)


def _weighted(route: Sequence[RouteDestination], scope: Scope, owner: str) -> Forward:
    """As for HTTP rules: a single destination needs no weight, of several those with weight 0 get nothing."""
    destinations = [
        _destination(each, each.weight if len(route) > 1 else 1, scope, owner)
        for each in route
        if len(route) == 1 or each.weight > 0
    ]
    if not destinations:
        raise UnusableError("the route has no destination with a weight", route[0].at.origin)
    return Forward(tuple(destinations), sum(each.weight for each in destinations))


def _destination(written: RouteDestination, weight: int, scope: Scope, owner: str) -> Destination:
    if written.destination is None:
        raise UnusableError("destination is required", written.at.origin)
    host, port = scope.destination(written.destination, owner)
    subset = written.destination.subset
    return Destination(cluster=cluster_name(port, subset, host), host=host, subset=subset, port=port, weight=weight)


def _networks(written: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each, strict=False) for each in written)
