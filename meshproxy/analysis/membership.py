"""Which workloads are in the mesh, by a sidecar or in ambient mode, as far as files can tell.

Istio's analyzers look at Pods as a cluster has them, injected and enrolled. Pods in files are as they were written:
the labels tell what will be done to them, and a Pod of whose namespace nothing is known is taken to be in the mesh.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.analysis.view import Labels, View
from meshproxy.model.kubernetes import Container, Namespace, Pod

PROXY = "istio-proxy"
INJECT = "sidecar.istio.io/inject"
INJECTION = "istio-injection"
REVISION = "istio.io/rev"
MODE = "istio.io/dataplane-mode"
_REDIRECTION = "ambient.istio.io/redirection"
_SIDECAR_STATUS = "sidecar.istio.io/status"


def is_ambient_namespace(view: View, name: str) -> bool:
    namespace = view.namespaces.get(name)
    return namespace is not None and _is_ambient(namespace)


def _is_ambient(namespace: Namespace) -> bool:
    """A label for injection wins over that for ambient mode."""
    labels = namespace.meta.labels
    return labels.get(MODE) == "ambient" and labels.get(INJECTION) != "enabled" and not labels.get(REVISION)


def is_ambient(view: View, pod: Pod) -> bool:
    """Whether traffic of the Pod is redirected to ztunnel, or will be."""
    annotations, mode = pod.meta.annotations, pod.meta.labels.get(MODE)
    if annotations.get(_REDIRECTION) == "enabled":
        return True
    if mode == "none" or _SIDECAR_STATUS in annotations or has_proxy(containers_of(pod)):
        return False
    return mode == "ambient" or is_ambient_namespace(view, pod.meta.namespace)


def is_in_mesh(view: View, pod: Pod) -> bool:
    """Whether the Pod has a sidecar or is in ambient mode, or will."""
    if is_ambient(view, pod):
        return True
    return has_sidecar(view, pod.meta.namespace, pod.meta.labels, pod.meta.annotations, containers_of(pod))


def has_sidecar(
    view: View, namespace: str, labels: Labels, annotations: Labels, containers: Iterable[Container]
) -> bool:
    """Whether a workload has a sidecar, or will be given one."""
    if has_proxy(containers):
        return True
    for asked in (labels, annotations):
        if INJECT in asked:
            return asked[INJECT] == "true"
    found = view.namespaces.get(namespace)
    if found is None:
        return True
    if INJECTION in found.meta.labels:
        return found.meta.labels[INJECTION] == "enabled"
    return bool(found.meta.labels.get(REVISION))


def has_proxy(containers: Iterable[Container]) -> bool:
    return any(container.name == PROXY and container.image for container in containers)


def containers_of(pod: Pod) -> tuple[Container, ...]:
    """Its containers, native sidecars among them."""
    return (*pod.spec.containers, *pod.spec.init_containers) if pod.spec is not None else ()
