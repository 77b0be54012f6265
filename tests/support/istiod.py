"""The tests' own small translator from VirtualServices to Envoy's routes, as istiod does it for a sidecar.

Written from the reference alone and blind to meshproxy's compiler: two readings of Istio that have to agree.
Knows only what `support.tables` writes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from support.envoy import forward

_FILTER = "type.googleapis.com/envoy.extensions.filters.http"
Message = dict[str, Any]


def routes(rules: Sequence[Mapping[str, Any]]) -> list[Message]:
    """One Envoy route for each rule and match block, in order."""
    return [_route(rule, block) for rule in rules for block in rule.get("match") or [{}]]


def cluster_name(destination: Mapping[str, Any]) -> str:
    return f"outbound|80|{destination.get('subset', '')}|{destination['host']}"


def _route(rule: Mapping[str, Any], block: Mapping[str, Any]) -> Message:
    route: Message = {"match": _match(block), **_operations([rule.get("headers", {})])}
    if "redirect" in rule:
        route["redirect"] = _redirect(rule["redirect"])
    elif "directResponse" in rule:
        route["direct_response"] = _direct(rule["directResponse"])
    else:
        route = {"match": _match(block), **_forwarding(rule)}
    filters: Message = {}
    if "fault" in rule:
        filters["envoy.filters.http.fault"] = _fault(rule["fault"]["abort"])
    if "corsPolicy" in rule:
        filters["envoy.filters.http.cors"] = _cors(rule["corsPolicy"])
    if filters:
        route["typed_per_filter_config"] = filters
    return route


def _match(block: Mapping[str, Any]) -> Message:
    match: Message = {}
    uri = block.get("uri", {"prefix": "/"})
    if "regex" in uri:
        match["safe_regex"] = {"regex": uri["regex"]}
    else:
        match["path" if "exact" in uri else "prefix"] = next(iter(uri.values()))
    if block.get("ignoreUriCase") and "regex" not in uri:
        match["case_sensitive"] = False
    headers = [_header(name, value) for name, value in block.get("headers", {}).items()]
    headers += [_without(name, value) for name, value in block.get("withoutHeaders", {}).items()]
    headers += [_header(f":{name}", block[name]) for name in ("method", "authority", "scheme") if name in block]
    if headers:
        match["headers"] = headers
    if "queryParams" in block:
        match["query_parameters"] = [
            {"name": name, **({"string_match": _string(value)} if value else {"present_match": True})}
            for name, value in block["queryParams"].items()
        ]
    return match


def _string(value: Mapping[str, str]) -> Message:
    return {"safe_regex": {"regex": value["regex"]}} if "regex" in value else dict(value)


def _header(name: str, value: Mapping[str, str]) -> Message:
    return {"name": name, **({"string_match": _string(value)} if value else {"present_match": True})}


def _without(name: str, value: Mapping[str, str]) -> Message:
    return {**_header(name, value), "invert_match": True, **({"treat_missing_header_as_empty": True} if value else {})}


def _forwarding(rule: Mapping[str, Any]) -> Message:
    destinations = rule["route"]
    if len(destinations) > 1:
        destinations = [one for one in destinations if one["weight"]]
        weighted = [
            {
                "name": cluster_name(one["destination"]),
                "weight": one["weight"],
                **_operations([one.get("headers", {})]),
            }
            for one in destinations
        ]
        action = forward("", **_rewriting(rule.get("rewrite", {})))
        del action["cluster"]
        action["weighted_clusters"] = {"clusters": weighted}
        return {"route": action, **_operations([rule.get("headers", {})])}
    (only,) = destinations
    action = forward(cluster_name(only["destination"]), **_rewriting(rule.get("rewrite", {})))
    return {"route": action, **_operations([rule.get("headers", {}), only.get("headers", {})])}


def _rewriting(rewrite: Mapping[str, Any]) -> Message:
    action: Message = {}
    if "uri" in rewrite:
        action["prefix_rewrite"] = rewrite["uri"]
    if "uriRegexRewrite" in rewrite:
        regex = rewrite["uriRegexRewrite"]
        action["regex_rewrite"] = {"pattern": {"regex": regex["match"]}, "substitution": regex["rewrite"]}
    if "authority" in rewrite:
        action["host_rewrite_literal"] = rewrite["authority"]
    return action


def _operations(levels: Sequence[Mapping[str, Any]]) -> Message:
    """Several levels are one list, in their order."""
    message: Message = {}
    for side in ("request", "response"):
        adds: list[Message] = []
        for verb, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD")):
            for level in levels:
                for name, value in sorted(level.get(side, {}).get(verb, {}).items()):
                    adds.append({"header": {"key": name, "value": value}, "append_action": action})
        removes = [name for level in levels for name in level.get(side, {}).get("remove", [])]
        if adds:
            message[f"{side}_headers_to_add"] = adds
        if removes:
            message[f"{side}_headers_to_remove"] = removes
    return message


def _redirect(redirect: Mapping[str, Any]) -> Message:
    names = {
        301: "MOVED_PERMANENTLY",
        302: "FOUND",
        303: "SEE_OTHER",
        307: "TEMPORARY_REDIRECT",
        308: "PERMANENT_REDIRECT",
    }
    message: Message = {"response_code": names[redirect.get("redirectCode", 301)]}
    if "uri" in redirect:
        message["path_redirect"] = redirect["uri"]
    if "prefixRewrite" in redirect:
        message["prefix_rewrite"] = redirect["prefixRewrite"]
    if "authority" in redirect:
        message["host_redirect"] = redirect["authority"]
    if "scheme" in redirect:
        message["scheme_redirect"] = redirect["scheme"]
    default = 443 if redirect.get("scheme") == "https" else 80
    if "port" in redirect and redirect["port"] != default:
        message["port_redirect"] = redirect["port"]
    return message


def _direct(direct: Mapping[str, Any]) -> Message:
    message: Message = {"status": direct["status"]}
    body = direct.get("body", {})
    if "string" in body:
        message["body"] = {"inline_string": body["string"]}
    if "bytes" in body:
        message["body"] = {"inline_string": base64.b64decode(body["bytes"]).decode()}
    return message


def _fault(abort: Mapping[str, Any]) -> Message:
    share = {"numerator": int(abort["percentage"]["value"] * 10_000), "denominator": "MILLION"}
    return {
        "@type": f"{_FILTER}.fault.v3.HTTPFault",
        "abort": {"http_status": abort["httpStatus"], "percentage": share},
    }


def _cors(policy: Mapping[str, Any]) -> Message:
    message: Message = {
        "@type": f"{_FILTER}.cors.v3.CorsPolicy",
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "allow_origin_string_match": [_string(origin) for origin in policy["allowOrigins"]],
        "forward_not_matching_preflights": policy.get("unmatchedPreflights", "FORWARD") == "FORWARD",
    }
    for ours, theirs in (
        ("allowMethods", "allow_methods"),
        ("allowHeaders", "allow_headers"),
        ("exposeHeaders", "expose_headers"),
    ):
        if ours in policy:
            message[theirs] = ",".join(policy[ours])
    if "maxAge" in policy:
        message["max_age"] = {"1h": "3600", "10s": "10"}[policy["maxAge"]]
    if policy.get("allowCredentials"):
        message["allow_credentials"] = True
    return message
