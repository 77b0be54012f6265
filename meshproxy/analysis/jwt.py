"""Routing by the claims of a JWT that nobody verifies."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import ROOT_NAMESPACE, Check, View
from meshproxy.base.origin import Origin
from meshproxy.model.checks import is_jwt_claim
from meshproxy.model.hosts import resolve_gateway
from meshproxy.model.kubernetes import Pod
from meshproxy.model.problem import Problem
from meshproxy.model.virtual_service import VirtualService


def check_claims(view: View) -> Iterator[Problem]:
    """IST0149: a gateway's Pods that no RequestAuthentication is for."""
    for service in view.catalog.virtual_services if view.catalog.pods else ():
        claim = next(_claims(service), None)
        if claim is None:
            continue
        key, origin = claim
        for name in service.gateways:
            full = resolve_gateway(name, service.meta.namespace)
            gateway = view.gateways.get(full)
            for pod in view.pods(gateway.selector) if gateway is not None else ():
                if not _is_covered(view, pod):
                    message = (
                        f'the claim "{key}" is matched on gateway "{full}", and no RequestAuthentication is for its '
                        f'Pod "{pod.meta.full_name}"'
                    )
                    yield finding("IST0149", message, origin)


def _claims(service: VirtualService) -> Iterator[tuple[str, Origin]]:
    for rule in service.http:
        for block in rule.match:
            for field in ("headers", "without_headers"):
                yield from ((key, block.at.field(field, key)) for key in getattr(block, field) if is_jwt_claim(key))


def _is_covered(view: View, pod: Pod) -> bool:
    labels = view.pod_labels(pod).items()
    return any(
        policy.meta.namespace in (pod.meta.namespace, ROOT_NAMESPACE) and policy.labels.items() <= labels
        for policy in view.catalog.request_authentications
    )


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = ((("IST0149",), check_claims),)
