"""Several VirtualServices for one host, and hosts no client of a gateway will ever ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, View, covers_either_way, scopes
from meshproxy.model.hosts import MESH, is_ip, is_wildcard, resolve_gateway, resolve_host
from meshproxy.model.problem import Problem
from meshproxy.model.virtual_service import VirtualService

Claims = dict[tuple[str, str], list[tuple[VirtualService, int]]]
"""Who claims a host, and as the how-manieth of its hosts: by scope (`*` or a namespace) and full name."""


def check_mesh(view: View) -> Iterator[Problem]:
    """IST0109, MPX0113: in the mesh the first VirtualService of a host is the only one."""
    claims = _mesh_claims(view)
    wide = [(host, who) for (scope, host), who in claims.items() if scope == "*" and is_wildcard(host)]
    told: set[int] = set()
    for (scope, host), own in claims.items():
        others = [] if scope == "*" else _public(claims, wide, host)
        services = {id(service): service for service, _ in (*own, *others)}
        if len(services) < 2:
            continue
        names = ", ".join(sorted(service.meta.full_name for service in services.values()))
        message = f'VirtualServices {names} all define rules of the mesh for host "{scope}/{host}": merge them'
        for service, index in (*own, *others):
            if id(service) not in told:
                told.add(id(service))
                yield finding("IST0109", message, service.at.field("hosts", index))
        for service, index in own[1:]:
            if service is not own[0][0]:
                yield _loses(service, own[0][0], host, index)


def _mesh_claims(view: View) -> Claims:
    claims: Claims = defaultdict(list)
    for service in view.catalog.virtual_services:
        if service.gateways and MESH not in service.gateways:
            continue
        for index, name in enumerate(service.hosts):
            host = resolve_host(name, service.meta.namespace)
            for scope in dict.fromkeys(scopes(service.export_to, service.meta.namespace)):
                claims[scope, host].append((service, index))
    return claims


def _public(
    claims: Claims, wide: list[tuple[str, list[tuple[VirtualService, int]]]], host: str
) -> list[tuple[VirtualService, int]]:
    """The claims everybody sees on a host of which a namespace sees its own."""
    if is_wildcard(host):
        matching = (who for (scope, other), who in claims.items() if scope == "*" and covers_either_way(host, other))
        return [claim for who in matching for claim in who]
    found = list(claims.get(("*", host), ()))
    return found + [claim for pattern, who in wide if covers_either_way(host, pattern) for claim in who]


def _loses(service: VirtualService, winner: VirtualService, host: str, index: int) -> Problem:
    ages = winner.meta.creation_timestamp, service.meta.creation_timestamp
    if ages[0] != ages[1]:
        why = "it is older" if ages[0] else "it has no creationTimestamp"
    else:
        why = "its name comes first" if winner.meta.name != service.meta.name else "its namespace comes first"
    message = (
        f'in the mesh {winner} ({winner.meta.at.origin}) alone answers for "{host}", as {why}: the rules here are '
        f"never used for this host"
    )
    return finding("MPX0113", message, service.at.field("hosts", index))


def check_gateways(view: View) -> Iterator[Problem]:
    """MPX0114: on a gateway the rules of all VirtualServices of a host follow each other."""
    claims: dict[tuple[str, str], VirtualService] = {}
    for service in view.catalog.virtual_services:
        for name in service.gateways:
            gateway = resolve_gateway(name, service.meta.namespace)
            for index, host in enumerate(service.hosts if gateway != MESH else ()):
                first = claims.setdefault((gateway, host.lower()), service)
                if first is not service:
                    message = (
                        f'{first} ({first.meta.at.origin}) has rules for "{host}" on gateway "{gateway}" too: these '
                        f"come after them, and those that match everything last of all"
                    )
                    yield finding("MPX0114", message, service.at.field("hosts", index))


def check_short_hosts(view: View) -> Iterator[Problem]:
    """MPX0112: what clients send to a gateway is the name they know."""
    for service in view.catalog.virtual_services:
        gateways = [name for name in service.gateways if name != MESH]
        short = [host for host in service.hosts if "." not in host and not is_wildcard(host) and not is_ip(host)]
        if gateways and short and len(short) == len(service.hosts):
            full = resolve_host(short[0], service.meta.namespace)
            message = (
                f'"{short[0]}" means "{full}", a name clients of gateway "{gateways[0]}" hardly send: write the host '
                f"they ask for"
            )
            yield finding("MPX0112", message, service.at.field("hosts", service.hosts.index(short[0])))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0109", "MPX0113"), check_mesh),
    (("MPX0114",), check_gateways),
    (("MPX0112",), check_short_hosts),
)
