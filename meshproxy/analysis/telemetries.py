"""Telemetry objects that contradict each other, select nothing, or log to nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.selectors import ALL_FOR_EVERY, rivals, selects_nothing
from meshproxy.analysis.view import Check, View
from meshproxy.model.problem import Problem
from meshproxy.model.telemetry import Telemetry


def check_defaults(view: View) -> Iterator[Problem]:
    """IST0160: several for all workloads of a namespace. Those with targets are not for all, as istiod has it."""
    found: dict[str, list[Telemetry]] = defaultdict(list)
    for telemetry in view.catalog.telemetries:
        if telemetry.selector is None and not telemetry.has_targets:
            found[telemetry.meta.namespace].append(telemetry)
    yield from rivals("IST0160", found, ALL_FOR_EVERY, "")


def check_selectors(view: View) -> Iterator[Problem]:
    """IST0101 selector, IST0159: Telemetry objects and the Pods they select."""
    selecting: dict[str, list[Telemetry]] = defaultdict(list)
    for telemetry in view.catalog.telemetries if view.catalog.pods else ():
        if telemetry.selector is None or not telemetry.labels:
            continue
        namespace = telemetry.meta.namespace
        pods = view.pods(telemetry.labels, namespace)
        if not pods:
            yield selects_nothing(telemetry.labels, namespace, telemetry.selector.at.field("match_labels"))
        for pod in pods:
            selecting[pod.meta.full_name].append(telemetry)
    message = '{names} all select Pod "{group}": which of them wins is not defined'
    yield from rivals("IST0159", selecting, message, "selector")


def check_providers(view: View) -> Iterator[Problem]:
    """IST0157: access logging without providers, where the mesh config has no default ones."""
    for telemetry in view.catalog.telemetries if not view.mesh.has_log_providers else ():
        for logging in telemetry.access_logging:
            if not logging.providers and not logging.disabled:
                message = "this accessLogging is ignored: it names no providers, and the mesh config has none"
                yield finding("IST0157", message, logging.at.origin)


def check_lightstep(view: View) -> Iterator[Problem]:
    """IST0002: traces to a Lightstep provider of the mesh config."""
    for telemetry in view.catalog.telemetries:
        for tracing in telemetry.tracing:
            for provider in tracing.providers:
                if provider.name in view.mesh.lightstep_providers:
                    message = f'the Lightstep provider "{provider.name}" is deprecated: use an OpenTelemetry provider'
                    yield finding("IST0002", message, provider.at.field("name"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0160",), check_defaults),
    (("IST0101", "IST0159"), check_selectors),
    (("IST0157",), check_providers),
    (("IST0002",), check_lightstep),
)
