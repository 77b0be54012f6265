"""AuthorizationPolicies for workloads that are not there, and by namespaces that are not."""

from __future__ import annotations

from collections.abc import Iterator, Set

from meshproxy.analysis.codes import finding
from meshproxy.analysis.membership import is_in_mesh
from meshproxy.analysis.names import did_you_mean
from meshproxy.analysis.selectors import shown
from meshproxy.analysis.view import Check, View
from meshproxy.model.authorization_policy import AuthorizationPolicy
from meshproxy.model.problem import Problem


def check_workloads(view: View) -> Iterator[Problem]:
    """IST0127: a policy for no workload of the mesh. That of the root namespace is for those of all namespaces."""
    for policy in view.catalog.authorization_policies if view.catalog.pods else ():
        everywhere = policy.meta.namespace == view.root_namespace
        if policy.selector is None and (everywhere or policy.has_targets):
            continue
        pods = view.pods(policy.labels, None if everywhere else policy.meta.namespace)
        if any(is_in_mesh(view, pod) for pod in pods):
            continue
        where = "" if everywhere else f' of namespace "{policy.meta.namespace}"'
        with_labels = f' with the labels "{shown(policy.labels)}"' if policy.labels else ""
        message = f"No matching workloads: no Pod{where}{with_labels} is in the mesh"
        origin = policy.selector.at.field("match_labels") if policy.selector is not None else policy.at.origin
        yield finding("IST0127", message, origin)


def check_namespaces(view: View) -> Iterator[Problem]:
    """IST0101 namespace: callers from a namespace nobody has heard of."""
    for policy in view.catalog.authorization_policies if view.catalog.namespaces else ():
        yield from _check_namespaces(policy, view.known_namespaces)


def _check_namespaces(policy: AuthorizationPolicy, known: Set[str]) -> Iterator[Problem]:
    sources = (source.source for rule in policy.rules_ for source in rule.from_ if source.source is not None)
    for source in sources:
        for field in ("namespaces", "not_namespaces"):
            for index, name in enumerate(getattr(source, field)):
                if not any(_matches(each, name) for each in known):
                    message = f'Referenced namespace not found: "{name}"{did_you_mean(name, known)}'
                    yield finding("IST0101", message, source.at.field(field, index))


def _matches(namespace: str, name: str) -> bool:
    """`*`, `*-end` and `start-*` are patterns; a name is compared in any case."""
    if name.startswith("*"):
        return namespace.endswith(name[1:])
    if name.endswith("*"):
        return namespace.startswith(name[:-1])
    return namespace.casefold() == name.casefold()


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0127",), check_workloads),
    (("IST0101",), check_namespaces),
)
