"""One route of the plan as Envoy's: its match, its action and its policies."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, assert_never

from meshproxy.base.origin import Origin
from meshproxy.export.cluster_policies import export_hashes
from meshproxy.export.matches import export_match
from meshproxy.export.messages import Json, duration, present, regex, text
from meshproxy.export.policies import export_filter_config, export_mirrors, export_operations, export_retry
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite
from meshproxy.plan.route import Destination, Forward, Route

_REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_NEVER = "0s"


def export_route(route: Route) -> Json:
    return present(
        {
            "name": route.name,
            "match": export_match(route),
            **_action(route),
            **export_operations(route.request_headers, route.response_headers),
            "typed_per_filter_config": export_filter_config(route.fault, route.cors),
            "metadata": _metadata(route.origin) if route.origin is not None else None,
        }
    )


def _metadata(origin: Origin) -> Json:
    """Where it was written, for who reads Envoy's configuration."""
    return {"filter_metadata": {"meshproxy": {"origin": str(origin), "resource": origin.resource}}}


def _action(route: Route) -> Json:
    action = route.action
    match action:
        case Forward():
            return {"route": _forward(route, action)}
        case Redirect():
            return {"redirect": _redirect(action)}
        case DirectResponse():
            return {"direct_response": _direct_response(action)}
    assert_never(action)


def _forward(route: Route, action: Forward) -> Json:
    return present(
        {
            **_clusters(action.destinations),
            "timeout": duration(route.timeout) if route.timeout is not None else _NEVER,
            "retry_policy": export_retry(route.retry),
            "hash_policy": export_hashes(route.hashes),
            "request_mirror_policies": export_mirrors(route.mirrors),
            **(_rewrite(route.rewrite) if route.rewrite is not None else {}),
        }
    )


def _clusters(destinations: tuple[Destination, ...]) -> Json:
    """A route's only destination may have header operations too: where the others have no weight."""
    if len(destinations) > 1 or destinations[0] != _bare(destinations[0]):
        return {"weighted_clusters": {"clusters": [_weighted(each) for each in destinations]}}
    return {"cluster": destinations[0].cluster}


def _bare(destination: Destination) -> Destination:
    return replace(destination, request_headers=None, response_headers=None, authority=None)


def _weighted(destination: Destination) -> Json:
    fields: Json = {"name": destination.cluster, "weight": destination.weight}
    if destination.authority is not None:
        fields["host_rewrite_literal"] = text(destination.authority)
    return {**fields, **export_operations(destination.request_headers, destination.response_headers)}


def _rewrite(rewrite: Rewrite) -> Json:
    """Envoy takes the part to replace from the match, as the plan took it from there."""
    fields: dict[str, Any] = {}
    if rewrite.regex is not None:
        fields["regex_rewrite"] = {"pattern": regex(rewrite.regex), "substitution": text(rewrite.substitution)}
    elif rewrite.path is not None:
        fields["prefix_rewrite"] = text(rewrite.path)
    if rewrite.authority is not None:
        fields["host_rewrite_literal"] = text(rewrite.authority)
    return fields


def _redirect(redirect: Redirect) -> Json:
    return present(
        {
            "scheme_redirect": text(redirect.scheme or b""),
            "host_redirect": text(redirect.authority or b""),
            "port_redirect": redirect.port,
            "path_redirect": text(redirect.path or b""),
            "prefix_rewrite": text(redirect.prefix_rewrite or b""),
            "response_code": _REDIRECT_CODES[redirect.status],
        }
    )


def _direct_response(response: DirectResponse) -> Json:
    body = {"inline_bytes": base64.b64encode(response.body).decode()} if response.body else None
    return present({"status": response.status, "body": body})
