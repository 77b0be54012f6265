"""Every row of Istio's validation of a VirtualService, with the place of the finding (marked «)."""

import pytest

from meshproxy.model.problem import Level
from meshproxy.model.virtual_service import HTTPRoute
from tests.support.written import assert_accepted, assert_found, object_of, read

ROUTE = "route: [{destination: {host: reviews}}]"
RULE = "hosts: [reviews]\nhttp:\n- route: [{destination: {host: reviews}}]\n  "
HTTP = "hosts: [reviews]\nhttp:\n- "
GATEWAY_RULE = "hosts: [reviews.com]\ngateways: [gw]\nhttp:\n- route: [{destination: {host: reviews}}]\n  "
TLS = "hosts: ['*.com']\ntls:\n- route: [{destination: {host: reviews}}]\n  "
TCP = "hosts: [reviews]\ntcp:\n- route: [{destination: {host: reviews}}]\n  "


ERRORS = [
    # the whole
    ("«hosts: [reviews]", "spec", "needs http, tls or tcp rules"),
    (f"hosts: [reviews]\nhttp:\n- {ROUTE}\n- «null", "spec.http[1]", "must not be null"),
    (f"hosts: [«'*']\nhttp:\n- {ROUTE}", "spec.hosts[0]", "only for VirtualServices of gateways"),
    (f"hosts: [«'*']\ngateways: [mesh, gw]\nhttp:\n- {ROUTE}", "spec.hosts[0]", "only for VirtualServices of gateways"),
    (f"hosts: [«a_b]\nhttp:\n- {ROUTE}", "spec.hosts[0]", "is not a host name"),
    (f"hosts: [«'a.*.com']\nhttp:\n- {ROUTE}", "spec.hosts[0]", "is not a host name"),
    (f"hosts: [«a.b.1]\nhttp:\n- {ROUTE}", "spec.hosts[0]", "must not be a number"),
    (f"hosts: [«{'a' * 64}]\nhttp:\n- {ROUTE}", "spec.hosts[0]", "is not a host name"),
    (f"hosts: [«'']\nhttp:\n- {ROUTE}", "spec.hosts[0]", "must not be empty"),
    (f"hosts: [a.foo.com, «'*.foo.com']\nhttp:\n- {ROUTE}", "spec.hosts[1]", "overlaps with"),
    (f"hosts: [reviews, «reviews]\nhttp:\n- {ROUTE}", "spec.hosts[1]", "overlaps with"),
    (f"gateways: «[gw]\nhttp:\n- {ROUTE}", "spec.gateways", "is a delegate and has no gateways"),
    ("tcp: «[{route: [{destination: {host: a}}]}]", "spec.tcp", "is a delegate and has no tcp"),
    ("http:\n- delegate: «{name: a}", "spec.http[0].delegate", "cannot delegate further"),
    (f"hosts: [a]\nexportTo: [b, «b]\nhttp:\n- {ROUTE}", "spec.exportTo[1]", "stands here twice"),
    (f"hosts: [a]\nexportTo: [., «here]\nhttp:\n- {ROUTE}", "spec.exportTo[1]", "are the same"),
    (f"hosts: [a]\nexportTo: «['*', b]\nhttp:\n- {ROUTE}", "spec.exportTo", "excludes other entries"),
    (f"hosts: [a]\nexportTo: [«'~']\nhttp:\n- {ROUTE}", "spec.exportTo[0]", "only for ServiceEntries"),
    (f"hosts: [a]\nexportTo: [«a.b]\nhttp:\n- {ROUTE}", "spec.exportTo[0]", "not a DNS label"),
    (f"hosts: [a]\ngateways: [«./gw]\nhttp:\n- {ROUTE}", "spec.gateways[0]", "the namespace of ./gw"),
    (f"hosts: [a]\ngateways: [ns/gw, «ns/]\nhttp:\n- {ROUTE}", "spec.gateways[1]", "namespace/name"),
    (f"hosts: [a]\ngateways: [«g_w]\nhttp:\n- {ROUTE}", "spec.gateways[0]", "not a host name"),
    (f"hosts: [a]\n«htp:\n- {ROUTE}\nhttp:\n- {ROUTE}", "spec.htp", 'did you mean "http"?'),
    # actions and what they exclude
    (HTTP + "«name: a", "spec.http[0].route", "a rule needs a route"),
    (HTTP + f"delegate: {{name: a}}\n  route: «{ROUTE[7:]}", "spec.http[0].route", "route and delegate exclude"),
    (HTTP + "delegate: {name: a}\n  redirect: «{uri: /}", "spec.http[0].redirect", "redirect and delegate exclude"),
    (HTTP + f"redirect: {{uri: /}}\n  route: «{ROUTE[7:]}", "spec.http[0].route", "route and redirect exclude"),
    (HTTP + "redirect: {uri: /}\n  rewrite: «{uri: /}", "spec.http[0].rewrite", "rewrite and redirect exclude"),
    (HTTP + "redirect: {uri: /}\n  fault: «{abort: {httpStatus: 500}}", "spec.http[0].fault", "fault and redirect"),
    (
        HTTP + "redirect: {uri: /}\n  directResponse: «{status: 200}",
        "spec.http[0].directResponse",
        "exclude each other",
    ),
    (HTTP + f"directResponse: {{status: 200}}\n  route: «{ROUTE[7:]}", "spec.http[0].route", "exclude each other"),
    (HTTP + "directResponse: {status: 200}\n  rewrite: «{uri: /}", "spec.http[0].rewrite", "exclude each other"),
    (RULE + "mirror: {host: a}\n  mirrors: «[{destination: {host: a}}]", "spec.http[0].mirrors", "mirror and mirrors"),
    # matches
    (RULE + "match: [{headers: {«'a b': {exact: c}}}]", "spec.http[0].match[0].headers.a b", "not a header name"),
    (RULE + "match: [{headers: {«'': {exact: c}}}]", "spec.http[0].match[0].headers", "must not be empty"),
    (RULE + "match: [{headers: {a: «null}}]", "spec.http[0].match[0].headers.a", "must not be null"),
    (RULE + "match: [{headers: {a: {prefix: «''}}}]", "spec.http[0].match[0].headers.a.prefix", "empty prefix"),
    (RULE + "match: [{headers: {a: {regex: «'*'}}}]", "spec.http[0].match[0].headers.a.regex", "not an RE2 regex"),
    (RULE + "match: [{uri: {regex: «''}}]", "spec.http[0].match[0].uri.regex", "must not be empty"),
    (RULE + "match: [{uri: {regex: «'(?=a)'}}]", "spec.http[0].match[0].uri.regex", "not an RE2 regex"),
    (RULE + f"match: [{{uri: {{regex: «{'a' * 1025}}}}}]", "spec.http[0].match[0].uri.regex", "1024 are allowed"),
    (RULE + "match: [{uri: {exact: /, prefix: «/}}]", "spec.http[0].match[0].uri.prefix", "exclude each other"),
    (RULE + "match: [{method: {prefix: «''}}]", "spec.http[0].match[0].method.prefix", "empty prefix"),
    (RULE + "match: [{queryParams: {a: {regex: «'['}}}]", "spec.http[0].match[0].queryParams.a.regex", "RE2"),
    (RULE + "match: [{withoutHeaders: {a: {regex: «'+'}}}]", "spec.http[0].match[0].withoutHeaders.a.regex", "RE2"),
    (RULE + "match: [{port: «65536}]", "spec.http[0].match[0].port", "range 0 to 65535"),
    (RULE + "match: [{sourceLabels: {a: «'b c'}}]", "spec.http[0].match[0].sourceLabels.a", "not a label value"),
    (RULE + "match: [{sourceLabels: {«a b: c}}]", "spec.http[0].match[0].sourceLabels.a b", "not a label key"),
    (RULE + "match: [{sourceNamespace: «a.b}]", "spec.http[0].match[0].sourceNamespace", "not a DNS label"),
    (RULE + "match: [{gateways: [«a/b/c]}]", "spec.http[0].match[0].gateways[0]", "not a DNS label"),
    (
        RULE + "match: [{headers: {'@request.auth.claims.a': «{exact: b}}}]",
        "spec.http[0].match[0].headers.@request.auth.claims.a",
        "only be matched on gateways",
    ),
    # destinations
    (HTTP + "route: [{destination: {host: «'*'}}]", "spec.http[0].route[0].destination.host", "not a destination"),
    (HTTP + "route: [{destination: «{subset: v1}}]", "spec.http[0].route[0].destination", "host is required"),
    (HTTP + "route: [«{weight: 1}]", "spec.http[0].route[0]", "destination is required"),
    (HTTP + "route: [«null, {destination: {host: a}}]", "spec.http[0].route[0]", "must not be null"),
    (HTTP + "route: [{destination: {host: a, subset: «v_1}}]", "spec.http[0].route[0].destination.subset", "DNS label"),
    (
        HTTP + "route: [{destination: {host: a, port: {number: «0}}}]",
        "spec.http[0].route[0].destination.port.number",
        "range 1 to 65535",
    ),
    (HTTP + "route: [{destination: {host: a}, weight: «-1}]", "spec.http[0].route[0].weight", "must not be negative"),
    (
        HTTP + "route: «[{destination: {host: a}}, {destination: {host: b}}]",
        "spec.http[0].route",
        "the weights of the destinations add up to 0",
    ),
    # headers
    (RULE + "headers: {request: {set: {':path': «x}}}", "spec.http[0].headers.request.set.:path", "pseudo header"),
    (
        RULE + "headers: {request: {remove: [«host]}}",
        "spec.http[0].headers.request.remove[0]",
        "Host cannot be changed",
    ),
    (RULE + "headers: {response: {add: {Host: «x}}}", "spec.http[0].headers.response.add.Host", "Host cannot be"),
    (RULE + "headers: {response: {set: {a: «'10%'}}}", "spec.http[0].headers.response.set.a", 'lone "%"'),
    (RULE + 'headers: {request: {add: {a: «"b\\nc"}}}', "spec.http[0].headers.request.add.a", "control characters"),
    (
        RULE + "headers: {request: {set: {Host: a, ':authority': «b}}}",
        "spec.http[0].headers.request.set.:authority",
        "already rewritten",
    ),
    (
        RULE + "rewrite: {authority: a}\n  headers: {request: {add: {host: «b}}}",
        "spec.http[0].headers.request.add.host",
        "already rewritten",
    ),
    # rewrite, redirect, direct response
    (RULE + "rewrite: «{}", "spec.http[0].rewrite", "a rewrite needs"),
    (
        RULE + "rewrite: {uri: /, uriRegexRewrite: «{match: a, rewrite: b}}",
        "spec.http[0].rewrite.uriRegexRewrite",
        "exclude each other",
    ),
    (
        RULE + "rewrite: {uriRegexRewrite: «{match: a}}",
        "spec.http[0].rewrite.uriRegexRewrite",
        "rewrite is required",
    ),
    (
        RULE + "rewrite: {uriRegexRewrite: {match: «'(', rewrite: b}}",
        "spec.http[0].rewrite.uriRegexRewrite.match",
        "RE2",
    ),
    (HTTP + "redirect: «{}", "spec.http[0].redirect", "a redirect needs"),
    (HTTP + "redirect: {uri: /, prefixRewrite: «/}", "spec.http[0].redirect.prefixRewrite", "exclude each other"),
    (HTTP + "redirect: {uri: /, redirectCode: «200}", "spec.http[0].redirect.redirectCode", "not a redirect"),
    (HTTP + "redirect: {scheme: «ftp}", "spec.http[0].redirect.scheme", "not a scheme"),
    (HTTP + "redirect: {port: 1, derivePort: «FROM_REQUEST_PORT}", "spec.http[0].redirect.derivePort", "exclude"),
    (HTTP + "redirect: {port: «70000}", "spec.http[0].redirect.port", "range"),
    (
        HTTP + "redirect: {prefixRewrite: /}\n  match: [{uri: «{exact: /}}]",
        "spec.http[0].match[0].uri",
        "needs prefix matches",
    ),
    (HTTP + "directResponse: «{body: {string: a}}", "spec.http[0].directResponse", "status is required"),
    (HTTP + "directResponse: {status: «199}", "spec.http[0].directResponse.status", "not an HTTP status"),
    (
        HTTP + "directResponse: {status: 200, body: {string: a, bytes: «YQ==}}",
        "spec.http[0].directResponse.body.bytes",
        "",
    ),
    (HTTP + "directResponse: {status: 200, body: {bytes: «'a?'}}", "spec.http[0].directResponse.body.bytes", "base64"),
    # timeout, retries, fault, mirror, cors
    (RULE + "timeout: «0.0001s", "spec.http[0].timeout", "at least 1ms"),
    (RULE + "timeout: «-1s", "spec.http[0].timeout", "at least 1ms"),
    (RULE + "timeout: «1.0001s", "spec.http[0].timeout", "whole number of milliseconds"),
    (RULE + "timeout: «5", "spec.http[0].timeout", 'write "5s"'),
    (RULE + "timeout: «soon", "spec.http[0].timeout", "is not a duration"),
    (RULE + "retries: {attempts: «-1}", "spec.http[0].retries.attempts", "must not be negative"),
    (RULE + "retries: {attempts: 0, retryOn: «5xx}", "spec.http[0].retries.retryOn", "switches retries off"),
    (RULE + "retries: {perTryTimeout: «2s}", "spec.http[0].retries.perTryTimeout", "switches retries off"),
    (RULE + "retries: {attempts: 1, retryOn: «'503, reset'}", "spec.http[0].retries.retryOn", "no spaces"),
    (RULE + "retries: {attempts: 1, retryOn: «'5xx,never'}", "spec.http[0].retries.retryOn", '"never"'),
    (RULE + "retries: {attempts: 1, backoff: «0s}", "spec.http[0].retries.backoff", "at least 1ms"),
    (RULE + "fault: «{}", "spec.http[0].fault", "a fault needs"),
    (RULE + "fault: {delay: {fixedDelay: «0s}}", "spec.http[0].fault.delay.fixedDelay", "at least 1ms"),
    (RULE + "fault: {delay: {exponentialDelay: «1s}}", "spec.http[0].fault.delay.exponentialDelay", "not support"),
    (
        RULE + "fault: {delay: {fixedDelay: 1s, percentage: {value: «0.00001}}}",
        "spec.http[0].fault.delay.percentage.value",
        "neither 0 nor",
    ),
    (RULE + "fault: {abort: {httpStatus: «601}}", "spec.http[0].fault.abort.httpStatus", "not an HTTP status"),
    (RULE + "fault: {abort: {grpcStatus: «unavailable}}", "spec.http[0].fault.abort.grpcStatus", "not a gRPC status"),
    (RULE + "fault: {abort: {http2Error: «x}}", "spec.http[0].fault.abort.http2Error", "does not support"),
    (RULE + "mirror: {host: a}\n  mirrorPercentage: {value: «101}", "spec.http[0].mirrorPercentage.value", "0 to 100"),
    (RULE + "mirrors: [«{percentage: {value: 1}}]", "spec.http[0].mirrors[0]", "destination is required"),
    (
        RULE + "mirrors: [{destination: {host: a}, percentage: {value: «-1}}]",
        "spec.http[0].mirrors[0].percentage.value",
        "0 to 100",
    ),
    (RULE + "corsPolicy: {allowOrigins: [«{}]}", "spec.http[0].corsPolicy.allowOrigins[0]", "must not be empty"),
    (
        RULE + "corsPolicy: {allowOrigins: [{regex: «'('}]}",
        "spec.http[0].corsPolicy.allowOrigins[0].regex",
        "RE2",
    ),
    (RULE + "corsPolicy: {allowMethods: [«get]}", "spec.http[0].corsPolicy.allowMethods[0]", "not an HTTP method"),
    (RULE + "corsPolicy: {allowHeaders: [«'a b']}", "spec.http[0].corsPolicy.allowHeaders[0]", "not a header name"),
    (RULE + "corsPolicy: {maxAge: «1.5s}", "spec.http[0].corsPolicy.maxAge", "whole seconds"),
    # tls and tcp
    ("hosts: [a]\ntls:\n- «route: [{destination: {host: a}}]", "spec.tls[0]", "match is required"),
    ("hosts: ['*.com']\ntls:\n- «match: [{sniHosts: [a.com]}]", "spec.tls[0]", "route is required"),
    (TLS + "match: [«{port: 443}]", "spec.tls[0].match[0]", "sniHosts is required"),
    (TLS + "match: [{sniHosts: [«a.org]}]", "spec.tls[0].match[0].sniHosts[0]", "not covered by the hosts"),
    (TLS + "match: [{sniHosts: [«a_b.com]}]", "spec.tls[0].match[0].sniHosts[0]", "not a host name"),
    (
        TLS + "match: [{sniHosts: [a.com], destinationSubnets: [«x]}]",
        "spec.tls[0].match[0].destinationSubnets[0]",
        "CIDR",
    ),
    ("hosts: [a]\ntcp:\n- «match: [{port: 1}]", "spec.tcp[0]", "route is required"),
    (TCP + "match: [«null]", "spec.tcp[0].match[0]", "must not be null"),
    (TCP + "match: [{destinationSubnets: [«10.0.0.0/33]}]", "spec.tcp[0].match[0].destinationSubnets[0]", "CIDR"),
]
WARNINGS = [
    (RULE + "timeout: «0s", "spec.http[0].timeout", "switches the timeout off"),
    (RULE + "mirror: {host: a}\n  mirror_percent: «5", "spec.http[0].mirrorPercent", "deprecated"),
    (RULE + "fault: {abort: «{percentage: {value: 1}}}", "spec.http[0].fault.abort", "does nothing"),
    (HTTP + "redirect: {uri: /, redirectCode: «304}", "spec.http[0].redirect.redirectCode", "cannot redirect"),
    (
        f"hosts: [a]\ngateways: [«gw.ns.svc.cluster.local]\nhttp:\n- {ROUTE}",
        "spec.gateways[0]",
        'write "ns/gw"',
    ),
    (TLS + "match: [{sniHosts: [«1.2.3.4]}]", "spec.tls[0].match[0].sniHosts[0]", "do not send an IP address"),
]
ACCEPTED = [
    RULE
    + "match: [{uri: {prefix: ''}, headers: {a: {}, ':path': {exact: /}}, withoutHeaders: {b: {regex: '*'}, c: null}}]",
    RULE + "match: [{}]",
    GATEWAY_RULE + "match: [{headers: {'@request.auth.claims[a][b]': {exact: c}}}]",
    f"hosts: ['*']\ngateways: [gw]\nhttp:\n- {ROUTE}",
    f"hosts: [1.2.3.4, '*-foo.com', a.b.]\nhttp:\n- {ROUTE}",
    f"hosts: [a]\ngateways: [mesh, ./gw]\nhttp:\n- {ROUTE}",
    f"http:\n- {ROUTE}",
    HTTP + "route: [{destination: {host: a}, weight: 0}]",
    HTTP + "delegate: {name: a, namespace: b}\n  match: [{uri: {prefix: /}}]",
    RULE + "retries: {attempts: 0}",
    RULE + "retries: {attempts: 3, retryOn: '5xx,503,unavailable', perTryTimeout: 100ms, backoff: 25ms}",
    RULE + "headers: {request: {set: {Host: a, x: '%REQ(y)% 100%%'}}, response: {remove: [a]}}",
    RULE + "timeout: 1h30m",
    RULE + "fault: {delay: {fixedDelay: 7s, percentage: {value: 100}}, abort: {httpStatus: 500}}",
    TLS + "match: [{sniHosts: ['*.com', a.com], port: 443}]",
]


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS, ids=[path for _, path, _ in ERRORS])
def test_what_the_webhook_refuses_is_an_error_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("VirtualService", spec, Level.ERROR, path, message)


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS, ids=[path for _, path, _ in WARNINGS])
def test_what_the_webhook_warns_of_is_a_warning_at_its_place(spec: str, path: str, message: str) -> None:
    assert_found("VirtualService", spec, Level.WARNING, path, message)


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_the_webhook_accepts_is_accepted(spec: str) -> None:
    assert_accepted("VirtualService", spec)


def first_rule(fields: str) -> HTTPRoute:
    catalog, _ = read(object_of("VirtualService", RULE + fields))
    return catalog.virtual_services[0].http[0]


def test_all_fields_are_read_in_both_spellings() -> None:
    one = first_rule("match: [{ignoreUriCase: true, queryParams: {a: {exact: b}}}]\n  mirrorPercentage: {value: 12.5}")
    other = first_rule(
        "match: [{ignore_uri_case: true, query_params: {a: {exact: b}}}]\n  mirror_percentage: {value: 12.5}"
    )
    assert one == other
    assert one.mirror_percentage is not None
    assert one.mirror_percentage.value == 12.5
    assert one.match[0].query_params["a"].exact == "b"


def test_an_empty_condition_is_not_an_absent_one() -> None:
    block = first_rule("match: [{headers: {a: {}, b: {exact: ''}}}]").match[0]
    assert block.headers["a"].exact is None
    assert block.headers["b"].exact == ""
    assert block.uri is None


def test_origins_name_the_rule() -> None:
    catalog, _ = read(object_of("VirtualService", f"hosts: [a]\nhttp:\n- {ROUTE}\n- {ROUTE}"))
    destination = catalog.virtual_services[0].http[1].route[0].destination
    assert destination is not None
    origin = destination.at.field("host")
    assert (origin.rule, origin.path, origin.line) == (1, "spec.http[1].route[0].destination.host", 10)
    assert str(origin) == "it.yaml:10"
