"""Endpoints of services: who answers at which address, with which labels, from every resource that can say so.

Of a Kubernetes Service: its EndpointSlices, else its Endpoints, else the Pods its selector chooses; and the
WorkloadEntries its selector chooses. Of a ServiceEntry: its endpoints, or the WorkloadEntries and Pods it selects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from meshproxy.base.origin import Origin
from meshproxy.compiler.registry import Service, ServicePort
from meshproxy.compiler.selection import Labelled
from meshproxy.model.catalog import Catalog
from meshproxy.model.hosts import is_ip, is_wildcard
from meshproxy.model.kubernetes import Endpoint as SliceEndpoint
from meshproxy.model.kubernetes import EndpointAddress, EndpointPort, EndpointSlice, ObjectReference, Pod
from meshproxy.model.kubernetes import Service as KubernetesService
from meshproxy.model.service_entry import ServiceEntry, WorkloadEntry
from meshproxy.plan.cluster import Endpoint, Resolution

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
UNIX = "unix://"


class Workloads:
    """All that can be an endpoint, indexed by what is asked for: the owner's name, labels, a Pod's address."""

    def __init__(self, catalog: Catalog) -> None:
        self._slices: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
        for each in catalog.endpoint_slices:
            self._slices[each.meta.namespace, each.service_name].append(each)
        self._endpoints = {(each.meta.namespace, each.meta.name): each for each in catalog.endpoints}
        self._entries = Labelled((each.meta.namespace, each.labels, each) for each in catalog.workload_entries)
        self._pods = Labelled((each.meta.namespace, each.meta.labels, each) for each in catalog.pods)
        self._pods_by_name = {(each.meta.namespace, each.meta.name): each for each in catalog.pods}
        self._pods_by_ip = {
            (each.meta.namespace, each.status.pod_ip): each for each in catalog.pods if each.status is not None
        }
        self._nodes = {each.meta.name: each.meta.labels for each in catalog.nodes}

    def endpoints(self, service: Service, port: ServicePort) -> tuple[Endpoint, ...]:
        """The endpoints of one port, each address once, in the order they were met."""
        found: dict[tuple[str, int], Endpoint] = {}
        if service.resolution is Resolution.DYNAMIC:
            # a pattern of the endpoints that will be met: only the port is known
            return (Endpoint(address="*", port=_number(port)),)
        for source in service.sources:
            endpoints = (
                self._of_service(source, port)
                if isinstance(source, KubernetesService)
                else self._of_service_entry(source, port, service.host)
            )
            for endpoint in endpoints:
                found.setdefault((endpoint.address, endpoint.port), endpoint)
        return tuple(found.values())

    def _of_service(self, service: KubernetesService, port: ServicePort) -> Iterator[Endpoint]:
        owner = (service.meta.namespace, service.meta.name)
        if owner in self._slices:
            for each in self._slices[owner]:
                yield from self._of_slice(each, port, service.publish_not_ready_addresses)
        elif owner in self._endpoints:
            yield from self._of_endpoints(owner, port, service.publish_not_ready_addresses)
        else:
            yield from _of_pods(self._pods.selected(service.meta.namespace, service.selector), port, self._locality)
        yield from _of_entries(self._entries.selected(service.meta.namespace, service.selector), port)

    def _of_service_entry(self, entry: ServiceEntry, port: ServicePort, host: str) -> Iterator[Endpoint]:
        if entry.resolution != "STATIC":
            yield from self._of_names(entry, port, host)
            return
        yield from _of_entries(entry.endpoints, port)
        if entry.workload_selector is not None:
            labels = entry.workload_selector.labels
            yield from _of_entries(self._entries.selected(entry.meta.namespace, labels), port)
            yield from _of_pods(self._pods.selected(entry.meta.namespace, labels), port, self._locality)

    def _of_names(self, entry: ServiceEntry, port: ServicePort, host: str) -> Iterator[Endpoint]:
        """Endpoints to be looked up: those written or selected, else the host itself."""
        yield from _of_entries(entry.endpoints, port, names=True)
        if entry.workload_selector is not None:
            selected = self._entries.selected(entry.meta.namespace, entry.workload_selector.labels)
            yield from _of_entries(selected, port, names=True)
        elif not entry.endpoints and not is_wildcard(host):
            yield Endpoint(address=host, port=_number(port), origin=entry.at.origin)

    def _of_slice(self, each: EndpointSlice, port: ServicePort, publish_not_ready: bool) -> Iterator[Endpoint]:
        number = _target(each.ports, port)
        if number is None or each.address_type == "FQDN":
            return
        for endpoint in each.endpoints:
            ready, gone = _readiness(endpoint, publish_not_ready)
            if not gone and endpoint.addresses:
                address = endpoint.addresses[0]
                pod = self._pod(each.meta.namespace, address, endpoint.target_ref)
                node = endpoint.node_name or (pod.spec.node_name if pod is not None and pod.spec is not None else "")
                locality = self._locality(node, endpoint.zone)
                yield _endpoint(address, number, pod, locality, ready, endpoint.at.origin)

    def _of_endpoints(self, owner: tuple[str, str], port: ServicePort, publish_not_ready: bool) -> Iterator[Endpoint]:
        for subset in self._endpoints[owner].subsets:
            number = _target(subset.ports, port)
            if number is None:
                continue
            unready: Iterable[EndpointAddress] = subset.not_ready_addresses
            for addresses, ready in ((subset.addresses, True), (unready, publish_not_ready)):
                for each in addresses:
                    pod = self._pod(owner[0], each.ip, each.target_ref)
                    yield _endpoint(each.ip, number, pod, self._locality(each.node_name), ready, each.at.origin)

    def _pod(self, namespace: str, address: str, reference: ObjectReference | None) -> Pod | None:
        """The Pod behind an address: by reference, else by its IP."""
        if reference is not None and reference.kind in ("Pod", ""):
            found = self._pods_by_name.get((reference.namespace or namespace, reference.name))
            if found is not None:
                return found
        return self._pods_by_ip.get((namespace, address))

    def _locality(self, node: str, zone: str = "") -> str:
        """`region/zone` as far as known; the region from the node."""
        labels: Mapping[str, str] = self._nodes.get(node, {})
        region, zone = labels.get(REGION, ""), zone or labels.get(ZONE, "")
        return f"{region}/{zone}" if zone else region


def _number(port: ServicePort) -> int:
    """What endpoints listen on that say nothing of their own."""
    return port.target if isinstance(port.target, int) and port.target else port.number


def _target(ports: Iterable[EndpointPort], port: ServicePort) -> int | None:
    """The number behind the service port `port`: joined by name. A slice port without a number means all."""
    for each in ports:
        if each.name == port.name:
            return each.port or _number(port)
    return None


def _readiness(endpoint: SliceEndpoint, publish_not_ready: bool) -> tuple[bool, bool]:
    """Whether it gets traffic, and whether it is gone: what is not ready and terminates is not even counted."""
    conditions = endpoint.conditions
    if conditions is None or conditions.ready is not False or publish_not_ready:
        return True, False
    return False, bool(conditions.terminating)


def _endpoint(address: str, port: int, pod: Pod | None, locality: str, ready: bool, origin: Origin) -> Endpoint:
    labels = _pairs(pod.meta.labels) if pod is not None else ()
    return Endpoint(address=address, port=port, labels=labels, locality=locality, healthy=ready, origin=origin)


def _of_entries(entries: Iterable[WorkloadEntry], port: ServicePort, *, names: bool = False) -> Iterator[Endpoint]:
    """`names`: addresses may be names."""
    for entry in entries:
        is_unix = entry.address.startswith(UNIX)
        if not is_unix and not is_ip(entry.address) and not (names and entry.address):
            continue
        number = entry.ports.get(port.name) or _number(port)
        yield Endpoint(
            address=entry.address,
            port=0 if is_unix else number,
            weight=entry.weight or 1,
            labels=_pairs(entry.labels),
            locality=entry.locality,
            origin=entry.at.origin,
        )


def _of_pods(pods: Iterable[Pod], port: ServicePort, locality_of: Callable[[str], str]) -> Iterator[Endpoint]:
    for pod in pods:
        status = pod.status
        number = _container_port(pod, port)
        if status is None or not status.pod_ip or number is None or status.phase in ("Succeeded", "Failed"):
            continue
        node = pod.spec.node_name if pod.spec is not None else ""
        ready = status.phase in ("", "Running")
        yield _endpoint(status.pod_ip, number, pod, locality_of(node), ready, pod.at.origin)


def _container_port(pod: Pod, port: ServicePort) -> int | None:
    """The number of a Service's targetPort, which may be a container port's name."""
    if isinstance(port.target, int):
        return port.target or port.number
    containers = pod.spec.containers if pod.spec is not None else ()
    return next(
        (each.container_port for container in containers for each in container.ports if each.name == port.target), None
    )


def _pairs(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
