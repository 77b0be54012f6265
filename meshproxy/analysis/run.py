"""All analyzers on one catalog: what they find, suppressed, without repetition, in Istio's order."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.analysis import (
    authorization,
    claims,
    envoy_filters,
    gateways,
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
)
from meshproxy.analysis.view import Check, View, resources
from meshproxy.model.catalog import Catalog
from meshproxy.model.problem import Problem

SUPPRESS = "galley.istio.io/analyze-suppress"

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
)


def check(catalog: Catalog) -> tuple[Problem, ...]:
    """The findings of all analyzers."""
    view = View(catalog)
    return arranged((problem for _, analyzer in CHECKS for problem in analyzer(view)), catalog)


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
