"""Istio's annotations on Kubernetes objects: misspelt, misplaced, deprecated, or with a value that means nothing.

The tables are those of istio/api `annotation/annotations.yaml` (2026-07-21) and of the injector's validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from meshproxy.analysis.annotation_values import VALUES
from meshproxy.analysis.codes import finding
from meshproxy.analysis.membership import INJECT
from meshproxy.analysis.names import did_you_mean
from meshproxy.analysis.view import Check, View
from meshproxy.model.problem import Problem
from meshproxy.model.resource import Resource

_ANY = "Any"
_ON: Mapping[str, str] = {
    "Pod": """
        ambient.istio.io/bypass-inbound-capture ambient.istio.io/dns-capture ambient.istio.io/redirection
        inject.istio.io/templates istio.io/reroute-virtual-interfaces istio.io/rev prometheus.istio.io/merge-metrics
        proxy.istio.io/config proxy.istio.io/overrides readiness.status.sidecar.istio.io/applicationPorts
        readiness.status.sidecar.istio.io/failureThreshold readiness.status.sidecar.istio.io/initialDelaySeconds
        readiness.status.sidecar.istio.io/periodSeconds sidecar.istio.io/agentLogLevel
        sidecar.istio.io/bootstrapOverride sidecar.istio.io/componentLogLevel sidecar.istio.io/discoveryAddress
        sidecar.istio.io/extraStatTags sidecar.istio.io/inject sidecar.istio.io/interceptionMode
        sidecar.istio.io/logLevel sidecar.istio.io/nativeSidecar sidecar.istio.io/proxyCPU
        sidecar.istio.io/proxyCPULimit sidecar.istio.io/proxyImage sidecar.istio.io/proxyImageType
        sidecar.istio.io/proxyMemory sidecar.istio.io/proxyMemoryLimit sidecar.istio.io/rewriteAppHTTPProbers
        sidecar.istio.io/statsCompression sidecar.istio.io/statsEvictionInterval sidecar.istio.io/statsFlushInterval
        sidecar.istio.io/statsHistogramBins sidecar.istio.io/statsHistogramBuckets
        sidecar.istio.io/statsInclusionPrefixes sidecar.istio.io/statsInclusionRegexps
        sidecar.istio.io/statsInclusionSuffixes sidecar.istio.io/status sidecar.istio.io/userVolume
        sidecar.istio.io/userVolumeMount status.sidecar.istio.io/port traffic.sidecar.istio.io/excludeInboundPorts
        traffic.sidecar.istio.io/excludeInterfaces traffic.sidecar.istio.io/excludeOutboundIPRanges
        traffic.sidecar.istio.io/excludeOutboundPorts traffic.sidecar.istio.io/includeInboundPorts
        traffic.sidecar.istio.io/includeOutboundIPRanges traffic.sidecar.istio.io/includeOutboundPorts
        traffic.sidecar.istio.io/kubevirtInterfaces""",
    "Service": """
        alpha.istio.io/canonical-serviceaccounts alpha.istio.io/kubernetes-serviceaccounts
        networking.istio.io/exportTo traffic.istio.io/nodeSelector""",
    "Namespace Service ServiceEntry": """
        istio.io/use-waypoint-canary-weight networking.istio.io/traffic-distribution""",
    "Namespace": "topology.istio.io/controlPlaneClusters",
    "Gateway GatewayClass": "ambient.istio.io/waypoint-inbound-binding",
    "Gateway": "gateway.istio.io/name-override gateway.istio.io/service-account networking.istio.io/service-type",
    "WorkloadEntry": """
        istio.io/autoRegistrationGroup istio.io/connectedAt istio.io/disconnectedAt istio.io/workloadController""",
    "AuthorizationPolicy": "istio.io/dry-run",
    "Ingress": "kubernetes.io/ingress.class",
    _ANY: "galley.istio.io/analyze-suppress gateway.istio.io/controller-version",
}
_KINDS = {name: kinds.split() for kinds, names in _ON.items() for name in names.split()}
_DEPRECATED = frozenset(
    """alpha.istio.io/canonical-serviceaccounts alpha.istio.io/kubernetes-serviceaccounts
    sidecar.istio.io/discoveryAddress sidecar.istio.io/extraStatTags sidecar.istio.io/inject
    sidecar.istio.io/statsCompression sidecar.istio.io/statsInclusionPrefixes sidecar.istio.io/statsInclusionRegexps
    sidecar.istio.io/statsInclusionSuffixes traffic.sidecar.istio.io/kubevirtInterfaces""".split()
)
#: Written by Istio itself.
_WRITTEN_BY_ISTIO = frozenset(("sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"))


def check_annotations(view: View) -> Iterator[Problem]:
    """IST0107, IST0108, IST0125, IST0135."""
    catalog = view.catalog
    kinds: Sequence[Sequence[Resource]] = (catalog.namespaces, catalog.services, catalog.pods, catalog.deployments)
    for resources in kinds:
        for resource in resources:
            for name, value in resource.meta.annotations.items():
                if _is_istio(name) and name not in _WRITTEN_BY_ISTIO:
                    yield from _check(resource, name, value)


def _is_istio(name: str) -> bool:
    return name.partition("/")[0].endswith("istio.io") or name in _KINDS


def _check(resource: Resource, name: str, value: str) -> Iterator[Problem]:
    kinds, origin = _KINDS.get(name), resource.meta.at.field("annotations", name)
    if kinds is None:
        yield finding("IST0108", f'Unknown annotation: "{name}"{did_you_mean(name, _KINDS)}', origin)
        return
    if name in _DEPRECATED and not (name == INJECT and INJECT in resource.meta.labels):
        instead = ": use the label of the same name" if name == INJECT else ""
        yield finding("IST0135", f'the annotation "{name}" is deprecated{instead}', origin)
    if _ANY in kinds:
        return
    if resource.meta.kind not in kinds:
        where = " (of a Deployment, in spec.template.metadata)" if "Pod" in kinds else ""
        yield finding("IST0107", f'Misplaced annotation: "{name}" is for {", ".join(kinds)}{where}', origin)
    elif name in VALUES and (wrong := VALUES[name](value)):
        yield finding("IST0125", f'Invalid annotation "{name}": {wrong}', origin)


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = ((("IST0107", "IST0108", "IST0125", "IST0135"), check_annotations),)
