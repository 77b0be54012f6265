"""What a workload may reach: the Sidecar that is ours, the services and rules it imports, hosts that no service has.

Sidecars are for the mesh listener; gateways see everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from meshproxy.compiler.destination_rules import ROOT_NAMESPACE
from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.registry import Registry
from meshproxy.compiler.selection import has_labels
from meshproxy.compiler.virtual_services import Bound
from meshproxy.model.hosts import host_matches, resolve_host
from meshproxy.model.sidecar import Sidecar
from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.route import Destination, Forward, Route
from meshproxy.plan.stream_table import StreamRoute
from meshproxy.plan.table import RouteTable, VirtualHost

ALLOW_ANY, REGISTRY_ONLY = "ALLOW_ANY", "REGISTRY_ONLY"
PASSTHROUGH = "PassthroughCluster"
_DESTINATION = Destination(cluster=PASSTHROUGH, host="")


def chosen_sidecar(sidecars: Iterable[Sidecar], options: BuildOptions) -> Sidecar | None:
    """The oldest of our namespace whose selector chooses us, else that without one; else the root namespace's."""
    sidecars = tuple(sidecars)
    own = [each for each in sidecars if each.meta.namespace == options.namespace]
    for each in own:
        selector = each.workload_selector
        if selector is not None and selector.labels and has_labels(options.labels, selector.labels):
            return each
    root = [each for each in sidecars if each.meta.namespace == ROOT_NAMESPACE]
    whole = (each for each in (*own, *root) if each.workload_selector is None or not each.workload_selector.labels)
    return next(whole, None)


def outbound_policy(sidecar: Sidecar | None, options: BuildOptions) -> str:
    """An empty outboundTrafficPolicy is REGISTRY_ONLY, the enum's first value."""
    if sidecar is not None and sidecar.outbound_traffic_policy is not None:
        return sidecar.outbound_traffic_policy.mode or REGISTRY_ONLY
    return options.outbound_traffic_policy


@dataclass(frozen=True, slots=True)
class _Scoped:
    """One entry of egress.hosts: `namespace/dnsName`."""

    namespace: str  # * for all
    host: str

    def covers(self, namespace: str, hosts: Iterable[str]) -> bool:
        return self.namespace in ("*", namespace) and any(
            self.host == "*" or host_matches(host, self.host) or host_matches(self.host, host) for host in hosts
        )


class Imports:
    """What the egress listeners of a Sidecar import, all of them taken together."""

    def __init__(self, sidecar: Sidecar, namespace: str) -> None:
        written = [host for listener in sidecar.egress for host in listener.hosts]
        self._included = [
            _scoped(each, namespace) for each in written if not each.startswith("~") and each.partition("/")[0]
        ]
        self._excluded = [
            _scoped(each.removeprefix("~"), namespace) for each in written if each.startswith("~") and each != "~/*"
        ]
        # only exclusions are subtracted from everything there is
        if not self._included and self._excluded:
            self._included = [_Scoped("*", "*")]

    def covers(self, namespace: str, hosts: Iterable[str]) -> bool:
        hosts = tuple(hosts)
        return any(each.covers(namespace, hosts) for each in self._included) and not any(
            each.covers(namespace, hosts) for each in self._excluded
        )


def _scoped(written: str, namespace: str) -> _Scoped:
    owner, _, host = written.partition("/")
    return _Scoped({".": namespace, "": "*"}.get(owner, owner), host.lower())


def restricted(
    sidecar: Sidecar | None, registry: Registry, bound: list[Bound], namespace: str
) -> tuple[Registry, list[Bound]]:
    """The services and VirtualServices that a workload sees. Where an imported rule sends to is imported with it."""
    if sidecar is None or not sidecar.egress:
        return registry, bound
    imports = Imports(sidecar, namespace)
    rules = [each for each in bound if imports.covers(each.namespace, each.hosts)]
    needed = {host for each in rules for host in _destinations(each)}
    services = {
        host: service
        for host, service in registry.services.items()
        if host in needed or imports.covers(service.namespace, (host,))
    }
    return replace(registry, services=services), rules


def _destinations(bound: Bound) -> Iterator[str]:
    service = bound.service
    targets = [route.destination for rule in service.http for route in rule.route]
    targets += [route.destination for rule in service.tls for route in rule.route]
    targets += [route.destination for rule in service.tcp for route in rule.route]
    yield from (resolve_host(each.host, bound.namespace) for each in targets if each is not None)


def passthrough_cluster() -> Cluster:
    """Calls whoever is asked for: the Host of a request, as there is no original destination for a forward proxy."""
    return Cluster(name=PASSTHROUGH, host="*", port=0, resolution=Resolution.DYNAMIC)


def allow_any() -> VirtualHost:
    """Of hosts that nobody else has: no time-out, no retries."""
    route = Route(name="allow_any", origin=None, action=Forward((_DESTINATION,), 1))
    return VirtualHost(name="allow_any", domains=("*",), routes=RouteTable((route,)))


def passthrough() -> StreamRoute:
    """The same for bytes."""
    return StreamRoute(name="allow_any", action=Forward((_DESTINATION,), 1))
