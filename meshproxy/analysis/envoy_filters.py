"""EnvoyFilters whose patches are ignored, or act only by luck of the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.view import Check, View
from meshproxy.model.envoy_filter import EnvoyConfigObjectPatch, Patch
from meshproxy.model.problem import Problem

_ROUTES = frozenset(("ROUTE_CONFIGURATION", "HTTP_ROUTE"))
_REPLACEABLE = frozenset(("NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST"))
#: Operations that need what an earlier patch or Istio itself has put there.
_RELATIVE = frozenset(("REMOVE", "REPLACE", "INSERT_BEFORE", "INSERT_AFTER"))

_Name = tuple[str, str]
"""Where a patch has its name from (its value, or the filter it looks for), and the name."""


def check_patches(view: View) -> Iterator[Problem]:
    """IST0151 to IST0155."""
    by_version: list[_Name] = []
    for envoy_filter in view.catalog.envoy_filters:
        for patched in envoy_filter.config_patches:
            if patched.patch is None:
                continue
            name = _name(patched, patched.patch)
            operation = patched.patch.operation
            if wrong := _ignored(patched.apply_to, patched.patch):
                yield wrong
            elif operation in _RELATIVE and not envoy_filter.priority:
                yield _relative(patched.patch, name, by_version)
            if patched.match is not None and patched.match.proxy is not None and patched.match.proxy.proxy_version:
                by_version.append(name)


def _name(patched: EnvoyConfigObjectPatch, patch: Patch) -> _Name:
    if patch.name:
        return "value", patch.name
    if patch.value is not None and patched.match is not None and patched.match.filter_name:
        return "match", patched.match.filter_name
    return "", ""


def _ignored(apply_to: str, patch: Patch) -> Problem | None:
    """IST0152 to IST0154: operations that mean nothing for what they are applied to."""
    operation, origin = patch.operation, patch.at.field("operation")
    if operation == "REPLACE" and apply_to not in _REPLACEABLE:
        known = "HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST"
        return finding("IST0152", f"REPLACE is for {known} only, not for {apply_to or 'INVALID'}", origin)
    if operation == "ADD" and apply_to in _ROUTES:
        return finding("IST0153", f"ADD is ignored for {apply_to}", origin)
    if operation == "REMOVE" and apply_to in _ROUTES:
        return finding("IST0154", f"REMOVE is ignored for {apply_to}", origin)
    return None


def _relative(patch: Patch, name: _Name, by_version: Sequence[_Name]) -> Problem:
    """IST0155 where an earlier patch of this name is for one proxyVersion, else IST0151."""
    origin = patch.at.field("operation")
    message = f"{patch.operation} acts only on what is there already, and without priority that may come later"
    if name in by_version:
        message += f"; an earlier patch{f' of {name[1]}' if name[1] else ''} is for one proxyVersion only"
        return finding("IST0155", message + ", so an upgrade may undo this one: set priority", origin)
    return finding("IST0151", message + ": set priority, or use INSERT_FIRST or ADD", origin)


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0151", "IST0152", "IST0153", "IST0154", "IST0155"), check_patches),
)
