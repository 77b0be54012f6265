"""What a rule does with its requests, policy by policy (virtual-service.md, 7 to 15)."""

import pytest
from support.plans import REVIEWS, built, listener, plan, routes_of, virtual_service

from meshproxy.plan.match import Exact, Pattern, Prefix
from meshproxy.plan.regex import Regex
from meshproxy.plan.retry import DEFAULT
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite
from meshproxy.plan.route import Mirror

TO_REVIEWS = "route: [{destination: {host: reviews}}]"


def compiled(rule):
    (route,) = routes_of(plan(REVIEWS, virtual_service(f"- {rule}")))
    return route


def with_policy(policy):
    return compiled(f"{policy}\n  {TO_REVIEWS}")


# --- rewrite


@pytest.mark.parametrize(
    ("match", "path", "expected"),
    [
        ("{uri: {prefix: /ratings}}", b"/ratings/7", b"/new/7"),
        ("{uri: {prefix: /ratings}, ignoreUriCase: true}", b"/RATINGS/7", b"/new/7"),
        ("{uri: {exact: /ratings}}", b"/ratings", b"/new"),
        ("{uri: {regex: '/rat.*'}}", b"/ratings/7", b"/new"),
        ("{method: {exact: GET}}", b"/a/b", b"/newa/b"),
    ],
)
def test_a_rewrite_replaces_the_matched_part(match, path, expected):
    route = compiled(f"match: [{match}]\n  rewrite: {{uri: /new}}\n  {TO_REVIEWS}")
    assert route.rewrite.apply(path) == expected


def test_a_rewrite_without_match_prepends():
    assert with_policy("rewrite: {uri: /new}").rewrite == Rewrite(prefix=b"/", path=b"/new")


def test_a_rewrite_by_pattern():
    rewrite = with_policy(r"rewrite: {uriRegexRewrite: {match: '^/a/(\d+)', rewrite: '/b/\1'}}").rewrite
    assert rewrite.apply(b"/a/7/c") == b"/b/7/c"


def test_the_rewrites_authority_comes_with_its_path():
    route = with_policy("rewrite: {authority: a.com, uri: /x}")
    assert route.rewrite == Rewrite(prefix=b"/", path=b"/x", authority=b"a.com")
    assert with_policy("rewrite: {authority: a.com}").rewrite == Rewrite(authority=b"a.com")


# --- redirect and direct response


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("uri: /new", Redirect(path=b"/new")),
        ("uri: new?a=1", Redirect(path=b"/new?a=1")),
        ("authority: 'a.com:8080', redirectCode: 308", Redirect(status=308, authority=b"a.com:8080")),
        ("scheme: https", Redirect(scheme=b"https")),
        ("port: 8443", Redirect(port=8443)),
        ("port: 80", Redirect()),
        ("port: 80, scheme: https", Redirect(port=80, scheme=b"https")),
        ("port: 443, scheme: https", Redirect(scheme=b"https")),
        ("port: 443", Redirect(port=443)),
        ("authority: a.com, derivePort: FROM_REQUEST_PORT", Redirect(authority=b"a.com", port=9080)),
        ("authority: a.com, derivePort: FROM_PROTOCOL_DEFAULT", Redirect(authority=b"a.com")),
    ],
)
def test_redirects(written, expected):
    assert compiled(f"redirect: {{{written}}}").action == expected


def test_a_prefix_redirect_knows_the_prefix_it_replaces():
    action = compiled("match: [{uri: {prefix: /old}}]\n  redirect: {prefixRewrite: /new}").action
    assert action == Redirect(prefix=b"/old", prefix_rewrite=b"/new")


def test_a_redirect_code_without_redirect_leaves_the_rule_out_and_is_a_finding():
    snapshot, findings = built(REVIEWS, virtual_service("- redirect: {uri: /a, redirectCode: 304}"))
    assert "redirectCode 304" in str(findings[0])
    assert routes_of(snapshot)[0].name == "default"


def test_direct_responses():
    assert compiled("directResponse: {status: 503}").action == DirectResponse(status=503)
    text = compiled('directResponse: {status: 200, body: {string: "é"}}').action
    assert text == DirectResponse(status=200, body="é".encode())
    octets = compiled("directResponse: {status: 200, body: {bytes: AAH/}}").action
    assert octets == DirectResponse(status=200, body=b"\x00\x01\xff")


def test_answers_of_our_own_have_response_operations_and_no_policies():
    route = compiled("directResponse: {status: 200}\n  headers: {response: {set: {content-type: text/plain}}}")
    assert route.response_headers is not None
    assert (route.retry, route.timeout, route.rewrite, route.fault, route.cors) == (None,) * 5


# --- timeout and retries


def test_timeouts_are_seconds():
    assert with_policy("timeout: 1.5s").timeout == 1.5
    assert with_policy("name: a").timeout is None


@pytest.mark.parametrize(
    ("written", "conditions", "statuses"),
    [
        ("", DEFAULT.conditions, set()),
        (", retryOn: 5xx", {"5xx"}, set()),
        (", retryOn: '5xx,reset'", {"5xx", "reset"}, set()),
        (", retryOn: '503,502'", {"retriable-status-codes"}, {502, 503}),
        (", retryOn: '503,reset'", {"reset", "retriable-status-codes"}, {503}),
        (", retryOn: unavailable", {"unavailable"}, set()),
    ],
)
def test_retry_conditions(written, conditions, statuses):
    retry = with_policy(f"retries: {{attempts: 3{written}}}").retry
    assert (retry.attempts, retry.conditions, retry.statuses) == (3, conditions, statuses)


def test_istios_retry_policy_where_none_is_written():
    assert with_policy("name: a").retry == DEFAULT


@pytest.mark.parametrize("written", ["{attempts: 0}", "{}"])
def test_no_attempts_no_retries(written):
    assert with_policy(f"retries: {written}").retry is None


def test_backoff_is_capped_at_ten_times_its_base():
    retry = with_policy("retries: {attempts: 1, backoff: 100ms}").retry
    assert (retry.base, retry.maximum) == (0.1, 1.0)
    assert (DEFAULT.base, DEFAULT.maximum) == (0.025, 0.25)


@pytest.mark.parametrize(("per_try", "expected"), [("1s", 1.0), ("2s", None), ("3s", None)])
def test_a_per_try_timeout_not_below_the_timeout_is_ignored(per_try, expected):
    retry = with_policy(f"timeout: 2s\n  retries: {{attempts: 1, perTryTimeout: {per_try}}}").retry
    assert retry.per_try_timeout == expected


def test_a_per_try_timeout_without_timeout_stands():
    assert with_policy("retries: {attempts: 1, perTryTimeout: 3s}").retry.per_try_timeout == 3.0


def test_previous_hosts_are_avoided_unless_told_otherwise():
    assert with_policy("retries: {attempts: 1}").retry.avoid_previous_hosts
    assert not with_policy("retries: {attempts: 1, retryIgnorePreviousHosts: false}").retry.avoid_previous_hosts


# --- fault


@pytest.mark.parametrize(
    ("written", "delay", "abort"),
    [
        ("delay: {fixedDelay: 7s, percentage: {value: 100}}", (7.0, 1_000_000), (0, None, 0)),
        ("delay: {fixedDelay: 1s, percentage: {value: 0.0001}}", (1.0, 1), (0, None, 0)),
        ("delay: {fixedDelay: 1s, percent: 10}", (1.0, 100_000), (0, None, 0)),
        ("abort: {httpStatus: 503, percentage: {value: 12.5}}", (0.0, 0), (503, None, 125_000)),
        ("abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}", (0.0, 0), (0, 14, 10_000)),
    ],
)
def test_faults_in_millionths(written, delay, abort):
    fault = with_policy(f"fault: {{{written}}}").fault
    assert (fault.delay, fault.delay_share) == delay
    assert (fault.abort_status, fault.abort_grpc_status, fault.abort_share) == abort


@pytest.mark.parametrize("written", ["delay: {fixedDelay: 7s}", "abort: {httpStatus: 500}"])
def test_a_fault_without_percentage_is_none(written):
    assert with_policy(f"fault: {{{written}}}").fault is None


def test_delay_and_abort_together():
    fault = with_policy(
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 10}}, abort: {httpStatus: 500, percentage: {value: 20}}}"
    ).fault
    assert (fault.delay_share, fault.abort_share) == (100_000, 200_000)


# --- mirrors


@pytest.mark.parametrize(
    ("written", "share"),
    [
        ("", 1_000_000),
        ("\n  mirrorPercentage: {value: 0.5}", 5_000),
        ("\n  mirrorPercent: 10", 100_000),
        ("\n  mirrorPercentage: {value: 20}\n  mirrorPercent: 10", 200_000),
    ],
)
def test_mirror_shares(written, share):
    route = with_policy(f"mirror: {{host: reviews, subset: v2}}{written}")
    cluster = "outbound|9080|v2|reviews.default.svc.cluster.local"
    host = "reviews.default.svc.cluster.local"
    assert route.mirrors == (Mirror(cluster=cluster, host=host, subset="v2", port=9080, share=share),)


@pytest.mark.parametrize("written", ["mirrorPercentage: {value: 0}", "mirrorPercent: 0"])
def test_a_share_of_nothing_mirrors_nothing(written):
    assert with_policy(f"mirror: {{host: reviews}}\n  {written}").mirrors == ()


def test_several_mirrors():
    first = "{destination: {host: reviews, subset: a}}"
    second = "{destination: {host: b.com, port: {number: 1}}, percentage: {value: 50}}"
    route = with_policy(f"mirrors: [{first}, {second}]")
    assert [(each.subset, each.port, each.share) for each in route.mirrors] == [
        ("a", 9080, 1_000_000),
        ("", 1, 500_000),
    ]


# --- CORS


def test_cors():
    cors = with_policy(
        """corsPolicy:
    allowOrigins: [{exact: https://a}, {prefix: https://b}, {regex: 'https://.*[.]c'}]
    allowMethods: [GET, POST]
    allowHeaders: [x, y]
    exposeHeaders: [z]
    maxAge: 24h
    allowCredentials: true
    unmatchedPreflights: IGNORE"""
    ).cors
    assert cors.origins == (Exact(b"https://a"), Prefix(b"https://b"), Pattern(Regex(b"https://.*[.]c")))
    assert (cors.methods, cors.headers, cors.expose_headers) == (b"GET,POST", b"x,y", b"z")
    assert (cors.max_age, cors.credentials, cors.forward_unmatched_preflights) == (86400, True, False)


def test_allow_origin_counts_only_without_allow_origins():
    assert with_policy("corsPolicy: {allowOrigin: ['https://old']}").cors.allows(b"https://old")
    both = with_policy("corsPolicy: {allowOrigin: ['https://old'], allowOrigins: [{exact: 'https://new'}]}").cors
    assert not both.allows(b"https://old")


def test_unmatched_preflights_are_forwarded_unless_told_otherwise():
    for written in ("", ", unmatchedPreflights: FORWARD", ", unmatchedPreflights: UNSPECIFIED"):
        cors = with_policy(f"corsPolicy: {{allowOrigins: [{{exact: a}}]{written}}}").cors
        assert cors.forward_unmatched_preflights and cors.max_age is None and not cors.credentials


def test_a_gateways_redirect_speaks_of_the_servers_port():
    gateway = """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: gw}
    spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
    """
    rule = "- redirect: {authority: a.com, derivePort: FROM_REQUEST_PORT, scheme: https}"
    snapshot = plan(gateway, virtual_service(rule, gateways="[gw]", hosts="['r.com']"))
    assert listener(snapshot, "0.0.0.0_80").port == 8080
    assert routes_of(snapshot, "r.com", "0.0.0.0_80")[0].action.port == 80
