"""Virtual hosts and the names they are found by.

We look for `host:port` before `host`. Envoy either ignores ports or compares them: where no port decides anything it
ignores them, as istiod has it; else every name gets its forms with a port.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.export.messages import Json, present
from meshproxy.export.routes import export_route
from meshproxy.plan.listener import Listener
from meshproxy.plan.rewrite import Redirect
from meshproxy.plan.table import VirtualHost

_MAX_BODY = 1 << 20
_USUAL_PORTS = frozenset((80, 443))


def export_routes(listener: Listener) -> Json:
    """The whole route configuration of a listener."""
    hosts = listener.virtual_hosts.hosts
    owners = _owners(hosts)
    portless = all(owners.get(_split(domain)[0]) == owner for domain, owner in owners.items())
    domains = _without_ports(owners) if portless else _with_ports(owners, _USUAL_PORTS | {listener.server_port})
    names: dict[int, list[str]] = {}
    for domain, owner in domains.items():
        names.setdefault(owner, []).append(domain)
    return {
        "name": listener.name,
        "validate_clusters": False,
        "ignore_port_in_host_matching": portless,
        "max_direct_response_body_size_bytes": _MAX_BODY,
        "virtual_hosts": [
            _virtual_host(f"{index}|{hosts[index].name}", hosts[index], found) for index, found in sorted(names.items())
        ],
    }


def _virtual_host(name: str, host: VirtualHost, domains: list[str]) -> Json:
    actions = [route.action for route in host.routes.routes]
    if actions and all(isinstance(action, Redirect) and action.keep_host for action in actions):
        return {"name": name, "domains": domains, "require_tls": "ALL"}
    routes = [export_route(route) for route in host.routes.routes]
    return present({"name": name, "domains": domains, "routes": routes, "include_request_attempt_count": True})


def _owners(hosts: tuple[VirtualHost, ...]) -> dict[str, int]:
    """Who has a domain: the first that claims it."""
    owners: dict[str, int] = {}
    for index, host in enumerate(hosts):
        for domain in host.domains:
            owners.setdefault(domain.lower(), index)
    return owners


def _split(domain: str) -> tuple[str, int | None]:
    """Name and port."""
    name, colon, port = domain.rpartition(":")
    return (name, int(port)) if colon and port.isdigit() and not name.endswith(":") else (domain, None)


def _without_ports(owners: dict[str, int]) -> dict[str, int]:
    return {domain: owner for domain, owner in owners.items() if _split(domain)[1] is None}


def _with_ports(owners: dict[str, int], usual: frozenset[int]) -> dict[str, int]:
    """A name without a port stands for all ports that nobody claims: `name:*`. Envoy has no such form for a wildcard,
    and asks wildcards of this kind last: for the ports in use every name is written out."""
    ports = usual | {port for _, port in map(_split, owners) if port is not None}
    found = dict(owners)
    for domain, owner in owners.items():
        if _split(domain)[1] is None and domain != "*":
            for each in _forms(domain, ports):
                found.setdefault(each, owner)
    return found


def _forms(domain: str, ports: frozenset[int]) -> Iterator[str]:
    yield from (f"{domain}:{port}" for port in sorted(ports))
    if "*" not in domain:
        yield f"{domain}:*"
