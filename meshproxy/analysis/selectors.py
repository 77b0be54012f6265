"""Selectors of policies: those that select no Pod, and those that Gateways of the Kubernetes API do not heed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from meshproxy.analysis.codes import finding
from meshproxy.analysis.names import quoted
from meshproxy.analysis.view import Check, Labels, View
from meshproxy.base.origin import Origin
from meshproxy.model.policy import Policy
from meshproxy.model.problem import Problem
from meshproxy.model.resource import Resource

T = TypeVar("T", bound=Resource)
_GATEWAY = "gateway.networking.k8s.io/gateway-name"


def shown(selector: Labels) -> str:
    """`app=a,version=v1`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def selects_nothing(selector: Labels, namespace: str, origin: Origin) -> Problem:
    """IST0101 of a selector of one namespace."""
    message = f'Referenced selector not found: "{shown(selector)}" selects no Pod of namespace "{namespace}"'
    return finding("IST0101", message, origin)


ALL_FOR_EVERY = '{names} are all for every workload of namespace "{group}": the first of them alone acts'


def rivals(code: str, groups: Mapping[str, Sequence[T]], message: str, field: str) -> Iterator[Problem]:
    """A finding for each of several policies that are for the same; `message` has their {names} and the {group},
    `field` is where it is said, if it is."""
    for group, policies in groups.items():
        names = quoted(policy.meta.name for policy in policies)
        for policy in policies if len(policies) > 1 else ():
            origin = policy.at.field(field) if field else policy.at.origin
            yield finding(code, message.format(names=names, group=group), origin)


def check_gateways(view: View) -> Iterator[Problem]:
    """IST0166: a policy for the Pods of a Kubernetes Gateway has to name the Gateway."""
    catalog = view.catalog
    policies: tuple[Policy, ...] = (
        *catalog.authorization_policies,
        *catalog.request_authentications,
        *catalog.telemetries,
        *catalog.wasm_plugins,
    )
    for policy in policies if catalog.pods else ():
        if policy.selector is None or policy.has_targets:
            continue
        for pod in view.pods(policy.labels, policy.meta.namespace):
            if gateway := pod.meta.labels.get(_GATEWAY):
                message = (
                    f'the selector has no effect on the Kubernetes Gateway "{gateway}", whose Pod '
                    f'"{pod.meta.name}" it selects: name the Gateway in targetRefs'
                )
                yield finding("IST0166", message, policy.at.field("selector"))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = ((("IST0166",), check_gateways),)
