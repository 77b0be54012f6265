"""VirtualServices' tls and tcp rules to where the bytes of a connection go: gateways' filter chains, and tunnels."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from meshproxy.compiler.report import UnusableError
from meshproxy.compiler.scope import Scope
from meshproxy.compiler.selection import has_labels
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.destination import RouteDestination
from meshproxy.model.hosts import cluster_name, host_matches, resolve_gateway
from meshproxy.model.virtual_service import L4MatchAttributes, TCPRoute, TLSMatchAttributes, TLSRoute
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.route import Destination, Forward
from meshproxy.plan.server_tls import ServerTls
from meshproxy.plan.stream_table import Chain, Network, StreamRoute


def tls_chains(bound: Iterable[Bound], scope: Scope, *, is_tls: bool = True) -> Iterator[Chain]:
    """A chain for every match of every tls rule that can apply in `scope`, in order."""
    for each in bound:
        for rule in each.service.tls:
            for match in rule.match:
                if _applies(match, scope, each.namespace):
                    tunnel = _tunnel(rule, scope, each.namespace)
                    if tunnel is not None:
                        yield Chain(
                            server_names=tuple(name.lower() for name in match.sni_hosts),
                            networks=_networks(match.destination_subnets),
                            is_tls=is_tls,
                            tunnel=tunnel,
                            origin=match.at.origin,
                        )


def tcp_chains(bound: Iterable[Bound], scope: Scope) -> Iterator[Chain]:
    """The tcp rules that can apply, in order; the first one that asks for no network ends the list."""
    for each in bound:
        for rule in each.service.tcp:
            for match in rule.match or (None,):
                if match is not None and not _applies(match, scope, each.namespace):
                    continue
                tunnel = _tunnel(rule, scope, each.namespace)
                if tunnel is None:
                    continue
                networks = _networks(match.destination_subnets) if match is not None else ()
                yield Chain(networks=networks, tunnel=tunnel, origin=(match or rule).at.origin)
                if not networks:
                    return


def first_tcp(
    bound: Iterable[Bound], scope: Scope, server_names: Sequence[str] = (), tls: ServerTls | None = None
) -> Chain | None:
    """A gateway's server of bytes: one rule for all its connections, whatever networks it asks for."""
    found = next(tcp_chains(bound, scope), None)
    if found is None or found.tunnel is None:
        return None
    return Chain(
        server_names=tuple(server_names), is_tls=tls is not None, tls=tls, tunnel=found.tunnel, origin=found.origin
    )


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


def _applies(match: TLSMatchAttributes | L4MatchAttributes, scope: Scope, owner: str) -> bool:
    """What does not depend on the connection; `gateways` overrides the source conditions."""
    if match.gateways:
        if scope.gateway not in (resolve_gateway(name, owner) for name in match.gateways):
            return False
    elif not has_labels(scope.labels, match.source_labels) or match.source_namespace not in ("", scope.namespace):
        return False
    return match.port in (0, scope.port)


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
