"""Namespaces and Pods, and whether sidecars are injected.

A Pod in a file may not have been admitted yet: that it lacks its sidecar is said of those only that a cluster made.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.membership import INJECT, INJECTION, MODE, PROXY, REVISION, containers_of, has_proxy
from meshproxy.analysis.view import ROOT_NAMESPACE, Check, View
from meshproxy.model.kubernetes import Pod
from meshproxy.model.problem import Problem

_AUTO = "auto"


def check_namespaces(view: View) -> Iterator[Problem]:
    """IST0102, IST0123, IST0148: the labels for injection."""
    for namespace in view.catalog.namespaces:
        name, labels = namespace.meta.name, namespace.meta.labels
        if name == ROOT_NAMESPACE:
            continue
        injection = labels.get(INJECTION)
        rivals = (REVISION, MODE) if injection in (None, "enabled") else ()
        asked = [f"{label}={labels[label]}" for label in (INJECTION, *rivals) if label in labels]
        if len(asked) > 1:
            message = f"several labels for injection, {', '.join(asked)}: which of them counts is not defined"
            yield finding("IST0123", message, namespace.meta.at.field("labels"))
        if injection or REVISION in labels or labels.get(MODE) == "ambient":
            continue
        origin = namespace.meta.at.field("name")
        if view.injects_by_default:
            yield finding("IST0148", "sidecars are injected, as enableNamespacesByDefault says", origin)
        else:
            message = (
                f"no sidecars are injected: label it {INJECTION}=enabled, or {INJECTION}=disabled if that is meant"
            )
            yield finding("IST0102", message, origin)


def check_pods(view: View) -> Iterator[Problem]:
    """IST0103, IST0147: Pods that were made without their sidecar."""
    for pod in view.catalog.pods:
        if not pod.meta.creation_timestamp or pod.spec is None:
            continue
        for container in pod.spec.containers:
            if container.name == PROXY and container.image == _AUTO:
                message = "the image auto was not replaced: the Pod matched no webhook for injection"
                yield finding("IST0147", message, container.at.field("image"))
        if _misses_proxy(view, pod):
            message = (
                f'no container {PROXY}, though namespace "{pod.meta.namespace}" has {INJECTION}=enabled: restart it'
            )
            yield finding("IST0103", message, pod.meta.at.field("name"))


def _misses_proxy(view: View, pod: Pod) -> bool:
    namespace = view.namespaces.get(pod.meta.namespace)
    if namespace is None or namespace.meta.labels.get(INJECTION) != "enabled" or namespace.meta.name == ROOT_NAMESPACE:
        return False
    asked = pod.meta.labels.get(INJECT, pod.meta.annotations.get(INJECT, ""))
    on_host = pod.spec is not None and pod.spec.host_network
    return asked.lower() != "false" and not on_host and not has_proxy(containers_of(pod))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0102", "IST0123", "IST0148"), check_namespaces),
    (("IST0103", "IST0147"), check_pods),
)
