"""Rules of VirtualServices and requests near their edges, for hypothesis: small vocabularies, so that things meet.

Everything generated is valid for Istio. Hosts and destinations are those of `support.oracle`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

NAMES = ["x-a", "x-b", "X-C", "accept", "x-forwarded-host"]
VALUES = ["", "1", "one", "one-two", "a,b", "Ünï", "TWO"]
VALUE_REGEXES = [".*", "", "[a-z]+", "one(-two)?", "1|TWO", "(?i)two", "a,b", "."]
PATHS = ["/", "/a", "/A", "/a/b", "/api/v1", "/a%2Fb", "/a.b", "/~x"]
PATH_REGEXES = [".*", "/a/[0-9]+", "/(a|api)/.*", "(?i)/A.*", "/a.", "/[^/]*/b?", "/a%2Fb"]
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]
QUERY = ["q", "Q", "p"]
ORIGINS = ["http://x.test", "https://x.test", "http://x.test:8080", "null"]
LIVE = ["up0", "up1", "up2"]
"""Services that answer; `up2` has the subsets v1 and v2."""
SCRIPTS = ["200"] * 8 + "404 503 500 409 503,200 502,503,200 reset reset,200 429 204 304".split()
TIMED = ["delay=0.9", "delay=0.9,200", "503,delay=0.9"]

names, values = st.sampled_from(NAMES), st.sampled_from(VALUES)
maybe = st.sampled_from([True, False])


def often(strategy: st.SearchStrategy[Any], other: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, st.just(other))


def seldom(strategy: st.SearchStrategy[Any], other: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(other), st.just(other), st.just(other), strategy)


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """A message without the fields that come out as None or empty."""
    return st.fixed_dictionaries(strategies).map(
        lambda found: {name: value for name, value in found.items() if value not in (None, {}, [])}
    )


# ---- matches


def string_match(exacts: list[str], regexes: list[str], *, presence: bool) -> st.SearchStrategy[Json]:
    kinds = [
        st.sampled_from(exacts).map(lambda text: {"exact": text}),
        st.sampled_from([text for text in exacts if text]).map(lambda text: {"prefix": text[:3]}),
        st.sampled_from([text for text in regexes if text]).map(lambda text: {"regex": text}),
    ]
    return st.one_of(*kinds, *([st.just({})] if presence else []))


value_match = string_match(VALUES, VALUE_REGEXES, presence=True)
uri_match = st.one_of(
    st.sampled_from(PATHS).map(lambda text: {"exact": text}),
    st.sampled_from(["", *PATHS]).map(lambda text: {"prefix": text}),
    st.sampled_from(PATH_REGEXES).map(lambda text: {"regex": text}),
)
#: A proxy says itself what a client does not.
proto_match = string_match(["http", "https"], ["https?", "f.*"], presence=True).map(
    lambda match: {"x-forwarded-proto": match}
)
block = fields(
    uri=often(uri_match),
    ignoreUriCase=seldom(st.just(True)),
    headers=seldom(st.dictionaries(names, value_match, max_size=2) | proto_match),
    withoutHeaders=seldom(st.dictionaries(names, value_match, max_size=1)),
    queryParams=seldom(st.dictionaries(st.sampled_from(QUERY), value_match, max_size=2)),
    method=seldom(string_match(METHODS, ["GET|POST", "P.*", "[A-Z]{4}"], presence=False)),
    scheme=seldom(st.sampled_from([{"exact": "https"}, {"prefix": "http"}, {"regex": "https?"}])),
    authority=seldom(
        st.sampled_from([{"prefix": "h"}, {"regex": ".*:80"}, {"regex": "[a-z0-9.]+"}, {"regex": "(?i)H.*"}])
    ),
    name=seldom(st.sampled_from(["m", "n"])),
    port=seldom(seldom(st.sampled_from([80, 81, 8080]))),
)


# ---- header operations

TEMPLATES = [
    "v",
    "%REQ(x-a)%",
    "pre-%REQ(:path)%",
    "%REQ(:authority)%",
    "%REQ(:method)%-%PROTOCOL%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "100%%",
    "%REQ(x-missing?x-b)%",
    "%ROUTE_NAME%",
    "",
]
RESPONSE_TEMPLATES = [*TEMPLATES, "%RESPONSE_CODE%", "%RESP(x-upstream)%", "%UPSTREAM_CLUSTER%"]
OPERATED = ["x-a", "x-b", "x-new", "X-New2"]


def operations(templates: list[str], more_removed: list[str]) -> st.SearchStrategy[Json]:
    pairs = st.dictionaries(st.sampled_from(OPERATED), st.sampled_from(templates), max_size=2)
    return fields(
        set=seldom(pairs),
        add=often(pairs),
        remove=seldom(st.lists(st.sampled_from([*OPERATED, *more_removed]), max_size=2, unique=True)),
    )


headers = fields(
    request=often(operations(TEMPLATES, ["accept"])),
    response=often(operations(RESPONSE_TEMPLATES, ["x-upstream", "content-type"])),
)


@st.composite
def hosted_headers(draw: st.DrawFn) -> Json:
    """Header operations of which one may name the Host."""
    found: Json = draw(headers)
    if draw(seldom(st.just(True))):
        found.setdefault("request", {}).setdefault("set", {})["Host"] = draw(st.sampled_from(["set.test", "set:81"]))
    return found


# ---- policies

percentages = st.sampled_from([0, 100, 100, 100, 50])
rewrite = st.one_of(
    fields(uri=st.sampled_from(["/", "/new", "/new/", "new", "/new?x=1"]), authority=seldom(st.just("re.test:99"))),
    st.just({"authority": "re.test"}),
    st.sampled_from([(r"/([^/]*)", r"/<\1>"), ("a", "b"), (r"^/a(.*)$", r"\1/\0"), ("b?", "-")]).map(
        lambda pair: {"uriRegexRewrite": {"match": pair[0], "rewrite": pair[1]}}
    ),
)
retries = st.one_of(
    st.just({"attempts": 0}),
    fields(
        attempts=st.sampled_from([1, 2, 3]),
        retryOn=often(
            st.sampled_from(
                [
                    "5xx",
                    "gateway-error",
                    "reset",
                    "connect-failure",
                    "retriable-4xx",
                    "503",
                    "404,429",
                    "5xx,reset",
                    "retriable-status-codes",
                    "gateway-error,409,connect-failure",
                    "reset-before-request",
                ]
            )
        ),
        perTryTimeout=seldom(st.just("0.3s")),
        backoff=st.sampled_from([None, "1ms", "30ms"]),
        retryIgnorePreviousHosts=st.sampled_from([None, True, False]),
    ),
)
fault = fields(
    delay=seldom(fields(fixedDelay=st.just("0.01s"), percentage=seldom(percentages.map(lambda v: {"value": v})))),
    abort=often(
        st.one_of(
            fields(
                httpStatus=st.sampled_from([200, 400, 503, 555]),
                percentage=often(percentages.map(lambda v: {"value": v})),
            ),
            fields(
                grpcStatus=st.sampled_from(["UNAVAILABLE", "OK"]),
                percentage=often(percentages.map(lambda v: {"value": v})),
            ),
        )
    ),
)
cors = fields(
    allowOrigins=often(
        st.lists(
            st.one_of(
                st.sampled_from([*ORIGINS, "*"]).map(lambda text: {"exact": text}),
                st.just({"prefix": "http://"}),
                st.sampled_from([r"https?://.*\.test", ".*"]).map(lambda text: {"regex": text}),
            ),
            max_size=2,
        )
    ),
    allowOrigin=seldom(st.lists(st.sampled_from([*ORIGINS, "*"]), max_size=2)),
    allowMethods=often(st.sampled_from([["GET", "POST"], ["*"], []])),
    allowHeaders=often(st.sampled_from([["x-a", "X-B"], ["*"], []])),
    exposeHeaders=seldom(st.sampled_from([["x-upstream"], ["*"]])),
    maxAge=seldom(st.sampled_from(["24h", "3s"])),
    allowCredentials=st.sampled_from([None, True, False]),
    unmatchedPreflights=st.sampled_from([None, "FORWARD", "IGNORE"]),
)


# ---- actions

destination = st.one_of(
    st.sampled_from(LIVE).map(lambda name: {"host": f"{name}.test"}),
    st.sampled_from(LIVE).map(lambda name: {"host": f"{name}.test"}),
    st.sampled_from(["v1", "v2"]).map(lambda name: {"host": "up2.test", "subset": name}),
    st.sampled_from(
        [
            {"host": "dead.test"},
            {"host": "empty.test"},
            {"host": "up2.test", "subset": "none"},
            {"host": "up2.test", "subset": "missing"},
            {"host": "unknown.test"},
            {"host": "up0.test", "port": {"number": 81}},
            {"host": "up0.test", "port": {"number": 80}},
        ]
    ),
)


def cluster_of(destination: Json) -> tuple[str, str, int]:
    return destination["host"], destination.get("subset", ""), destination.get("port", {}).get("number", 80)


mirror = fields(
    destination=st.sampled_from([{"host": "mirror.test"}, {"host": "unknown.test"}, {"host": "empty.test"}]),
    percentage=seldom(st.just({"value": 100})),
)


@st.composite
def routed(draw: st.DrawFn) -> Json:
    """A rule that forwards."""
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    # what was drawn is told by the cluster, so no cluster twice
    destinations = draw(st.lists(destination, min_size=count, max_size=count, unique_by=cluster_of))
    route = [
        draw(
            fields(
                destination=st.just(each),
                weight=st.just(1) if count > 1 and each is destinations[0] else st.sampled_from([0, 1, 3]),
                headers=seldom(hosted_headers()),
            )
        )
        for each in destinations
    ]
    rule: Json = {
        "route": route,
        **draw(
            fields(
                headers=seldom(hosted_headers()),
                rewrite=seldom(rewrite),
                retries=seldom(retries),
                fault=seldom(fault.filter(bool)),
                corsPolicy=seldom(cors.filter(bool)),
                mirrors=seldom(st.lists(mirror, min_size=1, max_size=2)),
            )
        ),
    }
    if draw(seldom(st.just(True))):
        rule["timeout"] = "0.4s"
    if rule.get("rewrite", {}).get("authority"):
        # Istio refuses two sources of one Host
        for each in (rule, *route):
            each.get("headers", {}).get("request", {}).get("set", {}).pop("Host", None)
    elif "Host" in rule.get("headers", {}).get("request", {}).get("set", {}):
        for each in route:
            each.get("headers", {}).get("request", {}).get("set", {}).pop("Host", None)
    return rule


redirect = fields(
    uri=seldom(st.sampled_from(["/other", "other", "/other?y=2"])),
    authority=seldom(st.sampled_from(["r.test", "r.test:8443"])),
    scheme=seldom(st.sampled_from(["https", "http"])),
    redirectCode=seldom(st.sampled_from([301, 302, 303, 307, 308])),
    port=seldom(st.sampled_from([80, 443, 8443])),
).filter(lambda found: found.keys() & {"uri", "authority", "scheme", "port"})
redirecting = fields(
    redirect=st.one_of(
        redirect,
        st.sampled_from(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]).map(lambda how: {"derivePort": how}),
    ),
    headers=seldom(headers),
    corsPolicy=seldom(cors.filter(bool)),
)
direct = fields(
    directResponse=st.one_of(
        fields(
            status=st.sampled_from([200, 201, 404, 503]),
            body=seldom(st.sampled_from([{"string": "hello"}, {"bytes": "AAEC/w=="}, {"string": ""}])),
        ),
        st.sampled_from([204, 302, 304]).map(lambda status: {"status": status}),
    ),
    headers=seldom(headers),
)


@st.composite
def rule(draw: st.DrawFn) -> Json:
    found: Json = dict(draw(st.one_of(routed(), routed(), routed(), routed(), redirecting, direct)))
    found["match"] = draw(st.lists(block, max_size=2))
    if not found["match"]:
        del found["match"]
    if draw(seldom(st.just(True))):
        found["name"] = draw(st.sampled_from(["first", "second"]))
    return found


# ---- requests


def near(text: str) -> st.SearchStrategy[str]:
    """A value beside another."""
    return st.sampled_from([text, text, text + "x", text[:-1], text.swapcase(), f"x{text}", text + "/"])


@st.composite
def path_near(draw: st.DrawFn, blocks: list[Json]) -> str:
    wanted = [each["uri"] for each in blocks if each.get("uri")]
    if not wanted or draw(seldom(st.just(True))):
        path = draw(st.sampled_from(PATHS))
    else:
        kind, text = next(iter(draw(st.sampled_from(wanted)).items()))
        path = text if kind != "regex" else draw(st.sampled_from(["/a/12", "/api/x", "/Ab", "/x/b", "/a%2Fb"]))
        path = draw(near(path))
        if kind == "prefix":
            path += draw(st.sampled_from(["", "", "/", "b", "/b/c", "%20d"]))
    path = path if path.startswith("/") else f"/{path}"
    return path + draw(st.sampled_from([""] * 8 + ["/./x", "/../a", "//", "%61", "/%2e%2e/a", "%c3%bc", ";p=1"]))


@st.composite
def query_near(draw: st.DrawFn, blocks: list[Json]) -> str:
    wanted = {name: match for each in blocks for name, match in each.get("queryParams", {}).items()}
    pairs = [(name, draw(value_near(match))) for name, match in wanted.items() if draw(often(st.just(True)))]
    if draw(seldom(st.just(True))):
        pairs.append((draw(st.sampled_from(QUERY)), draw(st.sampled_from(["", "1", "%31", "one"]))))
    text = "&".join(name if not value and draw(maybe) else f"{name}={value}" for name, value in pairs)
    return f"?{text}" if text or draw(seldom(st.just(True))) else ""


@st.composite
def value_near(draw: st.DrawFn, match: Json) -> str:
    text = match.get("exact", match.get("prefix"))
    return str(draw(near(text))) if text and draw(often(st.just(True))) else str(draw(st.sampled_from(VALUES)))


@st.composite
def request(draw: st.DrawFn, host: str, rules: list[Json]) -> Json:
    """Method, target, host, header lines and body of a request that one of the rules may take."""
    chosen = draw(st.sampled_from(rules))
    blocks = chosen.get("match", [])
    aimed = [draw(st.sampled_from(blocks))] if blocks else []
    method = draw(st.sampled_from(["GET", "GET", *METHODS]))
    for each in aimed:
        method = each.get("method", {}).get("exact", method)
    wanted = {name: match for each in aimed for name, match in each.get("headers", {}).items()}
    lines = [(name, draw(value_near(match))) for name, match in wanted.items() if draw(often(st.just(True)))]
    lines += draw(seldom(st.lists(st.tuples(names, values), max_size=2), []))
    if "x-forwarded-proto" not in wanted and draw(seldom(st.just(True))):
        lines.append(("x-forwarded-proto", draw(st.sampled_from(["http", "https", "HTTPS", "ftp"]))))
    if "corsPolicy" in chosen and draw(often(st.just(True))):
        lines.append(("Origin", draw(st.sampled_from(ORIGINS))))
        if draw(maybe):
            method = "OPTIONS"
            lines.append(("Access-Control-Request-Method", draw(st.sampled_from(["GET", ""]))))
            lines.append(("Access-Control-Request-Headers", "x-a, x-b"))
    elif draw(seldom(seldom(st.just(True)))):
        lines.append(("content-type", "application/grpc"))
    timed = "timeout" in chosen or "perTryTimeout" in chosen.get("retries", {})
    scripts = SCRIPTS + (TIMED if timed else [])
    script = draw(st.sampled_from(scripts))
    if script != "200":
        lines.append(("x-script", script))
    body = draw(st.sampled_from(["", "body"])) if method in ("POST", "PUT", "DELETE") else ""
    shown = draw(st.sampled_from([host] * 5 + [f"{host}:80", host.swapcase(), f"{host}:81", f"a.{host}", "no.test"]))
    target = draw(path_near(aimed)) + draw(query_near(aimed))
    return {"method": method, "target": target, "host": shown, "lines": lines, "body": body}


@st.composite
def example(draw: st.DrawFn) -> Json:
    """The rules of one VirtualService for the host `{h}` (in capitals `{H}`), and requests to it."""
    rules = draw(st.lists(rule(), min_size=1, max_size=3))
    for early in rules[:-1]:
        early.setdefault("match", [draw(block.filter(bool))])
    requests = draw(st.lists(request("{h}", rules), min_size=8, max_size=12))
    hosts = draw(st.sampled_from([["{h}"], ["{h}"], ["{h}", "*.{h}"]]))
    return {"hosts": hosts, "rules": rules, "requests": requests}
