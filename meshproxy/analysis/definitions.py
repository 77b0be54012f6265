"""CustomResourceDefinitions that Istio does not know any more, or finds too old."""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, View
from meshproxy.model.problem import Problem

_REMOVED = frozenset(
    ("rbac.istio.io", kind) for kind in ("ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding")
)
_BUNDLE = "gateway.networking.k8s.io/bundle-version"
_LEAST = {
    "grpcroutes.gateway.networking.k8s.io": (1, 1, 0),
    "backendtlspolicies.gateway.networking.k8s.io": (1, 4, 0),
    "tlsroutes.gateway.networking.k8s.io": (1, 5, 0),
    "tcproutes.gateway.networking.k8s.io": (1, 6, 0),
}
_VERSION = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:[-+].+)?")


def check_removed(view: View) -> Iterator[Problem]:
    """IST0002: kinds that are gone."""
    for definition in view.catalog.definitions:
        kind = definition.names.kind if definition.names is not None else ""
        if definition.names is not None and (definition.group, kind) in _REMOVED:
            message = f"the kind {definition.group} {kind} is removed"
            yield finding("IST0002", message, definition.names.at.field("kind"))


def check_versions(view: View) -> Iterator[Problem]:
    """IST0176: kinds of the Gateway API of a version that Istio does not read."""
    for definition in view.catalog.definitions:
        least = _LEAST.get(definition.meta.name)
        found = _VERSION.fullmatch(definition.meta.annotations.get(_BUNDLE, ""))
        if least is not None and found and tuple(int(part or 0) for part in found.groups()) < least:
            message = f"version {found[0]} is not read by Istio: it needs {'.'.join(map(str, least))}"
            yield finding("IST0176", message, definition.meta.at.field("annotations", _BUNDLE))


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0002",), check_removed),
    (("IST0176",), check_versions),
)
