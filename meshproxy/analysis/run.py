"""All analyzers on one catalog: what they find, suppressed, without repetition, in Istio's order."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.analysis import (
    annotation_names,
    authorization,
    claims,
    definitions,
    envoy_filters,
    gateways,
    injection,
    jwt,
    policies,
    references,
    routes,
    rules,
    selectors,
    services,
    sidecars,
    statuses,
    subsets,
    telemetries,
    workloads,
)
from meshproxy.analysis.view import Check, View, resources
from meshproxy.model.catalog import Catalog
from meshproxy.model.problem import Problem

SUPPRESS = "galley.istio.io/analyze-suppress"
#: Namespaces that Istio does not analyse.
_KUBERNETES = frozenset(("kube-system", "kube-public", "kube-node-lease", "local-path-storage"))

#: Every analyzer with the codes it may give.
CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    *references.CHECKS,
    *claims.CHECKS,
    *routes.CHECKS,
    *rules.CHECKS,
    *policies.CHECKS,
    *subsets.CHECKS,
    *gateways.CHECKS,
    *jwt.CHECKS,
    *services.CHECKS,
    *sidecars.CHECKS,
    *selectors.CHECKS,
    *authorization.CHECKS,
    *telemetries.CHECKS,
    *envoy_filters.CHECKS,
    *statuses.CHECKS,
    *annotation_names.CHECKS,
    *workloads.CHECKS,
    *injection.CHECKS,
    *definitions.CHECKS,
)


def check(catalog: Catalog) -> tuple[Problem, ...]:
    """The findings of all analyzers, but for those on what is Kubernetes' own."""
    view = View(catalog)
    kubernetes = {str(each) for each in resources(catalog) if (each.meta.namespace or each.meta.name) in _KUBERNETES}
    found = (problem for _, analyzer in CHECKS for problem in analyzer(view))
    return arranged((problem for problem in found if problem.origin.resource not in kubernetes), catalog)


def arranged(problems: Iterable[Problem], catalog: Catalog) -> tuple[Problem, ...]:
    """Without what the objects' annotations suppress and without repetition: errors first, then by code, resource
    and text."""
    suppressed = _suppressed(catalog)
    kept = {p: None for p in problems if not suppressed.get(p.origin.resource, frozenset()) & {"*", p.code}}
    return tuple(sorted(kept, key=_order))


def _order(problem: Problem) -> tuple[object, ...]:
    origin = problem.origin
    return -problem.level, problem.code, origin.resource, origin.file, origin.line, origin.column, problem.message


def _suppressed(catalog: Catalog) -> dict[str, frozenset[str]]:
    """The codes suppressed on each resource, `*` for all of them."""
    return {
        str(resource): frozenset(part.strip() for part in codes.split(","))
        for resource in resources(catalog)
        if (codes := resource.meta.annotations.get(SUPPRESS))
    }
