"""Subsets that select nothing, and subsets nobody routes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, Labels, View, full_host, selects
from meshproxy.model.hosts import is_wildcard
from meshproxy.model.problem import Problem
from meshproxy.model.service_entry import ServiceEntry


def check_labels(view: View) -> Iterator[Problem]:
    """IST0173, MPX0122: subsets that select nothing of what the files have."""
    for rule in view.catalog.destination_rules:
        hosts = view.look_up(full_host(rule), rule.meta.namespace, rule.export_to)
        if not hosts:
            continue
        endpoints = [labels for host in hosts for labels in view.endpoints(host)]
        resource = hosts[0].resource
        selector: Labels = {}
        if isinstance(resource, ServiceEntry) and resource.workload_selector is not None:
            selector = resource.workload_selector.labels
        for subset in rule.subsets:
            if not subset.labels or any(selects(subset.labels, labels) for labels in endpoints):
                continue
            wanted = ", ".join(f"{key}={value}" for key, value in sorted(subset.labels.items()))
            if view.catalog.pods and not view.pods({**selector, **subset.labels}):
                yield finding(
                    "IST0173", f'subset "{subset.name}" selects no Pod: none has {wanted}', subset.at.field("labels")
                )
            elif endpoints:
                message = (
                    f'subset "{subset.name}" selects none of the {len(endpoints)} endpoints of "{rule.host}": '
                    f"none has {wanted}{_there_are(subset.labels, endpoints)}"
                )
                yield finding("MPX0122", message, subset.at.field("labels"))


def _there_are(labels: Labels, endpoints: Sequence[Labels]) -> str:
    """The values the endpoints have in place of those wanted."""
    for key in sorted(labels):
        found = sorted({each[key] for each in endpoints if key in each})
        if found and labels[key] not in found:
            return f"; {key} is {', '.join(found[:5])} there"
    return ""


def check_unrouted(view: View) -> Iterator[Problem]:
    """MPX0121: a subset acts only where a route names it."""
    if not view.catalog.virtual_services:
        return
    routed = {
        (target.host, target.destination.subset)
        for service in view.catalog.virtual_services
        for target in view.targets(service)
    }
    for rule in view.catalog.destination_rules:
        host = full_host(rule)
        for subset in rule.subsets if not is_wildcard(host) else ():
            if (host, subset.name) not in routed:
                message = f'no route names subset "{subset.name}" of "{rule.host}": it and its policy do nothing'
                yield finding("MPX0121", message, subset.at.field("name"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0173", "MPX0122"), check_labels),
    (("MPX0121",), check_unrouted),
)
