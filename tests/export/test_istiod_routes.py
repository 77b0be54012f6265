"""Facts of istiod's translation, case by case: a rule as it is written, and what istiod makes of it in Envoy's words.

Read in istio/istio 86c9f01, `pilot/pkg/networking/core/route/route.go`, `route/retry/retry.go`, `httproute.go` and
`gateway.go`. The oracle cannot show that we misread Istio, since its Envoy runs our own export: this can.
"""

from __future__ import annotations

import pytest
from support.exported import Json, exported, holds
from support.plans import REVIEWS, virtual_service

RATINGS = "apiVersion: v1\nkind: Service\nmetadata: {name: ratings}\nspec: {ports: [{name: http, port: 9080}]}\n"
PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
CLUSTER = "outbound|9080||reviews.default.svc.cluster.local"
RATINGS_CLUSTER = "outbound|9080||ratings.default.svc.cluster.local"
TO = "route: [{destination: {host: reviews}}]"
SPLIT = (
    "route: [{destination: {host: reviews, subset: v1}, weight: 30, headers: {%s}}, "
    "{destination: {host: ratings}, weight: 60}]"
)


def routes_of(*rules: str) -> list[Json]:
    """The routes of a VirtualService for reviews, without names and origins that nobody asked for."""
    text = virtual_service("\n".join(f"- {{{rule}}}" for rule in rules))
    hosts = exported(REVIEWS, RATINGS, text)["route_config"]["virtual_hosts"]
    (host,) = [each for each in hosts if "reviews" in each["domains"]]
    found: list[Json] = host["routes"]
    return found


def route_of(rule: str) -> Json:
    return routes_of(rule)[0]


def match(text: str) -> str:
    return f"match: [{{{text}}}], {TO}"


MATCHES = {
    "no match is the prefix /": (TO, {"prefix": "/", "headers": None}),
    "exact": (match("uri: {exact: /a}"), {"path": "/a"}),
    "prefix is a plain prefix": (match("uri: {prefix: /a}"), {"prefix": "/a", "path_separated_prefix": None}),
    "an empty prefix stays": (match('uri: {prefix: ""}'), {"prefix": ""}),
    "regex": (match("uri: {regex: '/a.*'}"), {"safe_regex": {"regex": "/a.*"}}),
    "ignoreUriCase": (match("uri: {prefix: /A}, ignoreUriCase: true"), {"case_sensitive": False}),
    "only conditions: the prefix / with them": (
        match("method: {exact: GET}"),
        {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
    ),
    "authority and scheme": (
        match("authority: {prefix: r}, scheme: {exact: https}"),
        {
            "headers": [
                {"name": ":scheme", "string_match": {"exact": "https"}},
                {"name": ":authority", "string_match": {"prefix": "r"}},
            ]
        },
    ),
    "presence of a header": (match("headers: {X-A: {}}"), {"headers": [{"name": "x-a", "present_match": True}]}),
    "the pattern * of a header left out is presence": (
        match("withoutHeaders: {x-a: {regex: '*'}}"),
        {"headers": [{"present_match": True, "invert_match": True, "treat_missing_header_as_empty": None}]},
    ),
    "an exact empty value is no presence": (
        match("headers: {x-a: {exact: ''}}"),
        {"headers": [{"string_match": {"exact": ""}, "present_match": None}]},
    ),
    "without: presence inverted": (
        match("withoutHeaders: {x-a: {}}"),
        {"headers": [{"present_match": True, "invert_match": True, "treat_missing_header_as_empty": None}]},
    ),
    "without a value: a missing header counts as empty": (
        match("withoutHeaders: {x-a: {prefix: b}}"),
        {"headers": [{"string_match": {"prefix": "b"}, "invert_match": True, "treat_missing_header_as_empty": True}]},
    ),
    "query parameters": (
        match("queryParams: {q: {exact: ''}}"),
        {"query_parameters": [{"name": "q", "string_match": {"exact": ""}}]},
    ),
    "presence of a query parameter": (
        match("queryParams: {q: {}}"),
        {"query_parameters": [{"name": "q", "present_match": True}]},
    ),
}


@pytest.mark.parametrize(("rule", "wanted"), MATCHES.values(), ids=MATCHES)
def test_matches(rule: str, wanted: Json) -> None:
    assert holds(wanted, route_of(rule)["match"]), route_of(rule)["match"]


DEFAULT_RETRY = {
    "retry_on": "cancelled,connect-failure,refused-stream,retriable-status-codes,unavailable",
    "retriable_status_codes": None,
    "num_retries": 2,
    "host_selection_retry_max_attempts": 5,
    "retry_host_predicate": [{"name": PREVIOUS_HOSTS}],
}
ACTIONS = {
    "no timeout is 0, not Envoy's 15 s": (TO, {"timeout": "0s", "cluster": CLUSTER}),
    "timeout": (f"{TO}, timeout: 1.5s", {"timeout": "1.5s"}),
    "default retries": (TO, {"retry_policy": DEFAULT_RETRY}),
    "attempts 0 is no policy": (f"{TO}, retries: {{attempts: 0}}", {"retry_policy": None}),
    "retries without retryOn inherit the default's": (
        f"{TO}, retries: {{attempts: 5}}",
        {"retry_policy": {**DEFAULT_RETRY, "num_retries": 5}},
    ),
    "numbers move to the codes, and switch them on": (
        f"{TO}, retries: {{attempts: 1, retryOn: '503,reset,404'}}",
        {"retry_policy": {"retry_on": "reset,retriable-status-codes", "retriable_status_codes": [404, 503]}},
    ),
    "perTryTimeout and backoff": (
        f"{TO}, retries: {{attempts: 1, perTryTimeout: 2s, backoff: 100ms}}",
        {"retry_policy": {"per_try_timeout": "2s", "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}},
    ),
    "previous hosts may be tried again": (
        f"{TO}, retries: {{attempts: 1, retryIgnorePreviousHosts: false}}",
        {"retry_policy": {"retry_host_predicate": None}},
    ),
    "prefix rewrite": (
        f"match: [{{uri: {{prefix: /a}}}}], rewrite: {{uri: /b}}, {TO}",
        {"prefix_rewrite": "/b", "host_rewrite_literal": None},
    ),
    "a rewrite of what a pattern matched is a prefix rewrite too": (
        f"match: [{{uri: {{regex: '/a.*'}}}}], rewrite: {{uri: /b}}, {TO}",
        {"prefix_rewrite": "/b", "regex_rewrite": None},
    ),
    "regex rewrite": (
        f"rewrite: {{uriRegexRewrite: {{match: '^/a(.*)', rewrite: '/b\\1'}}}}, {TO}",
        {"regex_rewrite": {"pattern": {"regex": "^/a(.*)"}, "substitution": "/b\\1"}, "prefix_rewrite": None},
    ),
    "authority rewrite": (f"rewrite: {{authority: b.test}}, {TO}", {"host_rewrite_literal": "b.test"}),
    "Host in headers is a rewrite": (
        f"headers: {{request: {{set: {{Host: b.test}}}}}}, {TO}",
        {"host_rewrite_literal": "b.test"},
    ),
    "the only destination's Host counts where the rule has none": (
        "route: [{destination: {host: reviews}, headers: {request: {set: {Host: d}}}}]",
        {"host_rewrite_literal": "d", "cluster": CLUSTER},
    ),
    "weights are as written, not of 100": (
        SPLIT % "",
        {"weighted_clusters": {"clusters": [{"weight": 30}, {"name": RATINGS_CLUSTER, "weight": 60}]}, "cluster": None},
    ),
    "a weighted destination has its own Host and operations": (
        SPLIT % "request: {set: {Host: d, x-a: b}}",
        {
            "weighted_clusters": {
                "clusters": [
                    {
                        "host_rewrite_literal": "d",
                        "request_headers_to_add": [{"header": {"key": "x-a", "value": "b"}}],
                    },
                    {"host_rewrite_literal": None, "request_headers_to_add": None},
                ]
            },
            "host_rewrite_literal": None,
        },
    ),
    "weight 0 among others is dropped": (
        "route: [{destination: {host: reviews}, weight: 0}, {destination: {host: ratings}, weight: 1}]",
        {"cluster": RATINGS_CLUSTER},
    ),
    "a single destination's weight does not matter": (
        "route: [{destination: {host: ratings}, weight: 0}]",
        {"cluster": RATINGS_CLUSTER},
    ),
    "an unknown subset is named all the same": (
        "route: [{destination: {host: reviews, subset: v9}}]",
        {"cluster": "outbound|9080|v9|reviews.default.svc.cluster.local"},
    ),
    "mirror without a percentage is all": (
        f"mirror: {{host: ratings}}, {TO}",
        {
            "request_mirror_policies": [
                {
                    "cluster": RATINGS_CLUSTER,
                    "runtime_fraction": {"default_value": {"numerator": 100}},
                    "trace_sampled": False,
                    "disable_shadow_host_suffix_append": True,
                }
            ]
        },
    ),
    "mirrorPercentage beats mirrorPercent": (
        f"mirror: {{host: ratings}}, mirrorPercent: 7, mirrorPercentage: {{value: 0.5}}, {TO}",
        {
            "request_mirror_policies": [
                {"runtime_fraction": {"default_value": {"numerator": 5000, "denominator": "MILLION"}}}
            ]
        },
    ),
    "a mirror of 0 per cent is none": (
        f"mirrors: [{{destination: {{host: ratings}}, percentage: {{value: 0}}}}], {TO}",
        {"request_mirror_policies": None},
    ),
}


@pytest.mark.parametrize(("rule", "wanted"), ACTIONS.values(), ids=ACTIONS)
def test_forwarding(rule: str, wanted: Json) -> None:
    assert holds(wanted, route_of(rule)["route"]), route_of(rule)["route"]


def add(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def overwrite(name: str, value: str) -> Json:
    return add(name, value, "OVERWRITE_IF_EXISTS_OR_ADD")


FAULT, CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"
ROUTES = {
    "sets before adds, each by name": (
        f"headers: {{request: {{add: {{b: '1'}}, set: {{d: '2', c: '3'}}, remove: [x]}}}}, {TO}",
        {
            "request_headers_to_add": [overwrite("c", "3"), overwrite("d", "2"), add("b", "1")],
            "request_headers_to_remove": ["x"],
        },
    ),
    "the only destination's operations follow the rule's": (
        "headers: {response: {set: {a: '1'}}}, "
        "route: [{destination: {host: reviews}, headers: {response: {set: {a: '2'}, remove: [b]}}}]",
        {
            "response_headers_to_add": [overwrite("a", "1"), overwrite("a", "2")],
            "response_headers_to_remove": ["b"],
        },
    ),
    "Host is no operation": (
        f"headers: {{request: {{set: {{Host: b}}}}}}, {TO}",
        {"request_headers_to_add": None},
    ),
    "name of rule and block": (f"name: r, match: [{{name: m, uri: {{exact: /a}}}}], {TO}", {"name": "r.m"}),
    "name of a block alone": (f"match: [{{name: m, uri: {{exact: /a}}}}], {TO}", {"name": ".m"}),
    "redirect": (
        "redirect: {uri: /b, authority: b.test, redirectCode: 308}",
        {
            "redirect": {
                "path_redirect": "/b",
                "host_redirect": "b.test",
                "response_code": "PERMANENT_REDIRECT",
                "port_redirect": None,
                "scheme_redirect": None,
            },
            "route": None,
        },
    ),
    "redirect is 301": ("redirect: {authority: b}", {"redirect": {"response_code": "MOVED_PERMANENTLY"}}),
    "redirect to the request's port is the listener's": (
        "redirect: {derivePort: FROM_REQUEST_PORT}",
        {"redirect": {"port_redirect": 9080}},
    ),
    "port 443 of https is not named": (
        "redirect: {scheme: https, port: 443}",
        {"redirect": {"port_redirect": None, "scheme_redirect": "https"}},
    ),
    "port 80 of http is not named": ("redirect: {port: 80}", {"redirect": {"port_redirect": None}}),
    "port 80 of https is": ("redirect: {scheme: https, port: 80}", {"redirect": {"port_redirect": 80}}),
    "prefix redirect": (
        "match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}",
        {"redirect": {"prefix_rewrite": "/b", "path_redirect": None}},
    ),
    "direct response": (
        "directResponse: {status: 418, body: {string: tea}}",
        {"direct_response": {"status": 418, "body": {"inline_bytes": "dGVh"}}},
    ),
    "direct response of bytes": (
        "directResponse: {status: 200, body: {bytes: AAEC}}",
        {"direct_response": {"body": {"inline_bytes": "AAEC"}}},
    ),
    "a fault's shares are of a million": (
        f"fault: {{abort: {{httpStatus: 503, percentage: {{value: 0.0001}}}}}}, {TO}",
        {
            "typed_per_filter_config": {
                FAULT: {"abort": {"http_status": 503, "percentage": {"numerator": 1, "denominator": "MILLION"}}}
            }
        },
    ),
    "a delay by the deprecated percent": (
        f"fault: {{delay: {{fixedDelay: 5s, percent: 50}}}}, {TO}",
        {
            "typed_per_filter_config": {
                FAULT: {"delay": {"fixed_delay": "5s", "percentage": {"numerator": 500000, "denominator": "MILLION"}}}
            }
        },
    ),
    "an abort without a percentage does nothing": (
        f"fault: {{abort: {{httpStatus: 503}}}}, {TO}",
        {"typed_per_filter_config": None},
    ),
    "gRPC abort": (
        f"fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 100}}}}}}, {TO}",
        {"typed_per_filter_config": {FAULT: {"abort": {"grpc_status": 14, "http_status": None}}}},
    ),
    "CORS": (
        f"corsPolicy: {{allowOrigins: [{{exact: a}}, {{regex: b.*}}], allowMethods: [GET, PUT], maxAge: 1m}}, {TO}",
        {
            "typed_per_filter_config": {
                CORS: {
                    "allow_origin_string_match": [{"exact": "a"}, {"safe_regex": {"regex": "b.*"}}],
                    "allow_methods": "GET,PUT",
                    "max_age": "60",
                    "filter_enabled": {"default_value": {"numerator": 100}},
                    "forward_not_matching_preflights": True,
                }
            }
        },
    ),
    "allowOrigin counts only without allowOrigins": (
        f"corsPolicy: {{allowOrigins: [{{prefix: a}}], allowOrigin: [b], unmatchedPreflights: IGNORE}}, {TO}",
        {
            "typed_per_filter_config": {
                CORS: {"allow_origin_string_match": [{"prefix": "a"}], "forward_not_matching_preflights": False}
            }
        },
    ),
}


@pytest.mark.parametrize(("rule", "wanted"), ROUTES.values(), ids=ROUTES)
def test_routes(rule: str, wanted: Json) -> None:
    assert holds(wanted, route_of(rule)), route_of(rule)


# ---- which routes there are


def paths_of(*rules: str) -> list[str]:
    return [each["match"].get("prefix") or each["match"].get("path") or "?" for each in routes_of(*rules)]


def test_each_block_is_a_route_in_order() -> None:
    rule = f"match: [{{uri: {{prefix: /b}}}}, {{uri: {{prefix: /a}}}}], {TO}"
    assert paths_of(rule, match("uri: {exact: /a/c}")) == ["/b", "/a", "/a/c"]


def test_nothing_follows_what_catches_all() -> None:
    assert paths_of(match("uri: {prefix: /a}"), TO, match("uri: {prefix: /b}")) == ["/a", "/"]
    assert paths_of(match("uri: {prefix: /}"), match("uri: {prefix: /b}")) == ["/"]


def test_a_condition_keeps_a_prefix_from_catching_all() -> None:
    assert paths_of(match("uri: {prefix: /}, headers: {x: {}}"), match("uri: {prefix: /b}")) == ["/", "/b"]
    assert paths_of(match('uri: {prefix: ""}'), match("uri: {prefix: /b}")) == ["?", "/b"]


def test_blocks_for_other_ports_and_workloads_are_not_there() -> None:
    rule = f"match: [{{port: 80}}, {{sourceLabels: {{app: x}}}}, {{sourceNamespace: y}}, {{uri: {{exact: /a}}}}], {TO}"
    assert paths_of(rule) == ["/a"]
