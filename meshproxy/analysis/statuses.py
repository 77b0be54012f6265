"""What the cluster an object comes from said against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, View
from meshproxy.model.problem import Problem
from meshproxy.model.resource import Resource
from meshproxy.model.status import Condition

_WAYPOINT = frozenset(("istio.io/WaypointBound",))
_AUTHORIZATION = frozenset(("ZtunnelAccepted", "WaypointAccepted"))
_GATEWAY_API = frozenset(("Accepted", "Programmed", "ResolvedRefs"))


def check_conditions(view: View) -> Iterator[Problem]:
    """IST0171: conditions that are false and should not be."""
    catalog = view.catalog
    kinds: tuple[tuple[Sequence[Resource], frozenset[str]], ...] = (
        (catalog.services, _WAYPOINT),
        (catalog.service_entries, _WAYPOINT),
        (catalog.workload_entries, _WAYPOINT),
        (catalog.authorization_policies, _AUTHORIZATION),
        (catalog.kubernetes_gateways, _GATEWAY_API),
        (catalog.http_routes, _GATEWAY_API),
        (catalog.grpc_routes, _GATEWAY_API),
    )
    for resources, types in kinds:
        for resource in resources:
            for condition in resource.reported.all_conditions() if resource.reported is not None else ():
                if condition.type in types and _is_negative(condition, types):
                    said = "; ".join(filter(None, (condition.reason, condition.message)))
                    message = f"the cluster said {condition.type} is {condition.status}" + (f": {said}" if said else "")
                    yield finding("IST0171", message, condition.at.origin)


def _is_negative(condition: Condition, types: frozenset[str]) -> bool:
    """False, or for a waypoint's view of an AuthorizationPolicy true in part."""
    partly = types is _AUTHORIZATION and condition.type == "WaypointAccepted" and condition.reason == "PartiallyInvalid"
    return condition.status == "False" or partly


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = ((("IST0171",), check_conditions),)
