"""Pods and Deployments: the Services they are behind, the user they run as, and istiod's own settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.membership import PROXY, has_sidecar
from meshproxy.analysis.names import quoted
from meshproxy.analysis.view import Check, View, selects
from meshproxy.model.kubernetes import Deployment, PodSpec, Service, TemplateMetadata
from meshproxy.model.problem import Problem
from meshproxy.model.resource import Metadata

_PROXY_USER = 1337
_ISTIOS_OWN = frozenset((PROXY, "istio-operator"))
_BLOCKED = "BLOCKED_CIDRS_IN_JWKS_URIS"
_MANAGED = ("gateway.istio.io/managed", "istio.io-mesh-controller")


def check_services(view: View) -> Iterator[Problem]:
    """IST0116, IST0137: what Services of one Deployment do not agree upon."""
    for deployment in view.catalog.deployments:
        services = _services(view, deployment)
        if services and _is_in_mesh(view, deployment):
            yield from _protocols(deployment, services)
            yield from _target_ports(deployment, services)


def _services(view: View, deployment: Deployment) -> list[Service]:
    template = deployment.template
    labels = template.metadata.labels if template is not None and template.metadata is not None else {}
    return [
        service
        for service in view.services_by_namespace.get(deployment.meta.namespace, ())
        if service.selector and selects(service.selector, labels)
    ]


def _is_in_mesh(view: View, deployment: Deployment) -> bool:
    template = deployment.template
    if template is None or deployment.meta.labels.get(_MANAGED[0]) == _MANAGED[1]:
        return False
    meta = template.metadata or TemplateMetadata()
    containers = template.spec.containers if template.spec is not None else ()
    return has_sidecar(view, deployment.meta.namespace, meta.labels, meta.annotations, containers)


def _protocols(deployment: Deployment, services: Sequence[Service]) -> Iterator[Problem]:
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for service in services:
        for port in service.ports:
            found[port.port][port.protocol or "TCP"].append(service.meta.full_name)
    for number, by_protocol in found.items():
        if len(by_protocol) > 1:
            names = quoted(sorted({name for names in by_protocol.values() for name in names}))
            message = f"port {number} of its Services {names} has several protocols: {', '.join(sorted(by_protocol))}"
            yield finding("IST0116", message, deployment.meta.at.field("name"))


def _target_ports(deployment: Deployment, services: Sequence[Service]) -> Iterator[Problem]:
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for service in services:
        for port in service.ports:
            found[str(port.target_port or port.port)][port.port] = service.meta.full_name
    for target, by_port in found.items():
        if len(by_port) > 1:
            names, ports = quoted(sorted(set(by_port.values()))), ", ".join(map(str, sorted(by_port)))
            message = f'its Services {names} reach targetPort "{target}" by different ports: {ports}'
            yield finding("IST0137", message, deployment.meta.at.field("name"))


def check_user(view: View) -> Iterator[Problem]:
    """IST0144: whose traffic the sidecar takes for its own, and lets pass."""
    for pod in view.catalog.pods:
        yield from _check_user(pod.meta, pod.spec)
    for deployment in view.catalog.deployments:
        yield from _check_user(deployment.meta, deployment.template.spec if deployment.template is not None else None)


def _check_user(meta: Metadata, spec: PodSpec | None) -> Iterator[Problem]:
    if spec is None or "istio" in meta.labels or meta.labels.get("release") == "istio":
        return
    contexts = (container.security_context for container in spec.containers if container.name not in _ISTIOS_OWN)
    for context in (spec.security_context, *contexts):
        if context is not None and context.run_as_user == _PROXY_USER:
            message = f"the user {_PROXY_USER} is the sidecar's: its traffic is not captured"
            yield finding("IST0144", message, context.at.field("run_as_user"))


def check_istiod(view: View) -> Iterator[Problem]:
    """IST0175: an istiod that fetches the keys of RequestAuthentications from anywhere."""
    names = [policy.meta.full_name for policy in view.catalog.request_authentications]
    for deployment in view.catalog.deployments if names else ():
        if deployment.meta.labels.get("app") != "istiod":
            continue
        spec = deployment.template.spec if deployment.template is not None else None
        containers = spec.containers if spec is not None else ()
        if not any(entry.name == _BLOCKED and entry.value for each in containers for entry in each.env):
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            message = f"{_BLOCKED} is not set, so jwksUri of RequestAuthentication {quoted(names[:5])}{more} may be any"
            yield finding("IST0175", message, deployment.meta.at.field("name"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0116", "IST0137"), check_services),
    (("IST0144",), check_user),
    (("IST0175",), check_istiod),
)
