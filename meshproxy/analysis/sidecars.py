"""Sidecars that contradict each other, select nothing, or do not act."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.membership import is_ambient, is_ambient_namespace
from meshproxy.analysis.selectors import ALL_FOR_EVERY, rivals, selects_nothing
from meshproxy.analysis.view import Check, Labels, View
from meshproxy.model.problem import Problem
from meshproxy.model.sidecar import Sidecar


def _selector(sidecar: Sidecar) -> Labels:
    return sidecar.workload_selector.labels if sidecar.workload_selector is not None else {}


def check_defaults(view: View) -> Iterator[Problem]:
    """IST0111: several Sidecars for all workloads of a namespace."""
    found: dict[str, list[Sidecar]] = defaultdict(list)
    for sidecar in view.catalog.sidecars:
        if not _selector(sidecar) and not is_ambient_namespace(view, sidecar.meta.namespace):
            found[sidecar.meta.namespace].append(sidecar)
    yield from rivals("IST0111", found, ALL_FOR_EVERY, "")


def check_selectors(view: View) -> Iterator[Problem]:
    """IST0101 selector, IST0110, IST0167: Sidecars and the Pods they select."""
    selecting: dict[str, list[Sidecar]] = defaultdict(list)
    for sidecar in view.catalog.sidecars:
        labels = _selector(sidecar)
        if not labels:
            if is_ambient_namespace(view, sidecar.meta.namespace):
                yield _ineffective(sidecar, f'namespace "{sidecar.meta.namespace}"')
            continue
        pods = view.pods(labels, sidecar.meta.namespace) if view.catalog.pods else []
        if view.catalog.pods and not pods:
            assert sidecar.workload_selector is not None
            yield selects_nothing(labels, sidecar.meta.namespace, sidecar.workload_selector.at.field("labels"))
        ambient = next((pod for pod in pods if is_ambient(view, pod)), None)
        if ambient is not None:
            yield _ineffective(sidecar, f'Pod "{ambient.meta.name}"')
        for pod in pods:
            if not is_ambient(view, pod):
                selecting[pod.meta.full_name].append(sidecar)
    message = '{names} all select Pod "{group}": the first of them alone acts'
    yield from rivals("IST0110", selecting, message, "workload_selector")


def _ineffective(sidecar: Sidecar, what: str) -> Problem:
    message = f"a Sidecar does nothing in ambient mode, and {what} is in it"
    return finding("IST0167", message, sidecar.at.origin)


def check_egress_proxy(view: View) -> Iterator[Problem]:
    """IST0002: outboundTrafficPolicy.egressProxy."""
    for sidecar in view.catalog.sidecars:
        policy = sidecar.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            message = "outboundTrafficPolicy.egressProxy is deprecated and ignored"
            yield finding("IST0002", message, policy.at.field("egress_proxy"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0111",), check_defaults),
    (("IST0101", "IST0110", "IST0167"), check_selectors),
    (("IST0002",), check_egress_proxy),
)
