"""Random route tables, as Istio users could write them, and requests near the edges of their conditions.

Small alphabets on purpose: prefixes that meet, values that differ by one letter. Everything comes from one
`random.Random`, so a seed names a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

#: Destinations that exist (host, subset), one endpoint each; `e9` does not, nor does the subset `v9`.
DESTINATIONS = [("e0.test", "v1"), ("e0.test", "v2"), ("e1.test", ""), ("e2.test", ""), ("e3.test", "")]
MISSING = [("e9.test", ""), ("e0.test", "v9")]
_PATHS = ["/", "/a", "/a/", "/a/b", "/ab", "/A", "/a.b", "/aa/bb", "/b", "/a/b/c", "/a%2fb", "/a;x", "/a-b_c~d"]
_REGEXES = [
    "/a.*",
    "/[ab]+",
    "(?i)/ab",
    r"/a/\w+",
    ".*",
    "/a|/b",
    "/[^/]*",
    r"/\d+",
    "/a/?",
    "(/a)+",
    r"/a\.b",
    "/.{2}",
]
_VALUES = ["one", "One", "on", "one,two", "two", "on e", "1", "ünï".encode().decode("latin-1")]
_VALUE_REGEXES = ["one|two", ".*", "o.*", "[a-z]+", "(one,)?two", "^one$", r"\d", "(?i)ONE", ".+", "[^,]*"]
_NAMES = ["x-a", "x-b", "X-Long-Name", "accept", "user-agent", "cookie", "x-forwarded-for", "cache-control"]
_METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]
_PARAMETERS = ["q", "Q", "p", "q1"]
_ORIGINS = ["https://good.example", "https://bad.example", "http://good.example"]
_CODES = [301, 302, 303, 307, 308]


@dataclass
class Wish:
    """One request to send."""

    host: str
    method: str = "GET"
    path: str = "/"
    query: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    @property
    def target(self) -> str:
        return self.path if self.query is None else f"{self.path}?{self.query}"


def table(random: Random) -> list[dict[str, Any]]:
    """The `http` list of a VirtualService."""
    rules = [_rule(random) for _ in range(random.randint(1, 6))]
    if random.random() < 0.4:
        rules.append(_with_action(random, {}))
    return rules


def _rule(random: Random) -> dict[str, Any]:
    rule: dict[str, Any] = {"match": [_block(random) for _ in range(random.choice([1, 1, 1, 2, 3]))]}
    return _with_action(random, rule)


def _block(random: Random) -> dict[str, Any]:
    """One to three conditions."""
    block: dict[str, Any] = {}
    if random.random() < 0.75:
        block["uri"] = _uri(random)
        if random.random() < 0.2:
            block["ignoreUriCase"] = True
    for condition, make in _CONDITIONS.items():
        if random.random() < 0.15:
            block[condition] = make(random)
    return block or {"uri": _uri(random)}


def _uri(random: Random) -> dict[str, str]:
    kind = random.choice(["exact", "prefix", "prefix", "regex"])
    return {kind: random.choice(_REGEXES if kind == "regex" else _PATHS)}


def _value(random: Random, values: list[str], regexes: list[str] = _VALUE_REGEXES) -> dict[str, str]:
    kind = random.choice(["exact", "exact", "prefix", "regex"])
    value = random.choice(regexes if kind == "regex" else values)
    return {kind: value[: random.randint(1, len(value))] if kind == "prefix" else value}


def _map(random: Random, names: list[str], *, presence: bool = True) -> dict[str, dict[str, str]]:
    chosen = random.sample(names, random.choice([1, 1, 2]))
    return {n: {} if presence and random.random() < 0.3 else _condition_value(random) for n in chosen}


def _condition_value(random: Random) -> dict[str, str]:
    return {"exact": ""} if random.random() < 0.1 else _value(random, _VALUES)


_CONDITIONS: dict[str, Any] = {
    "method": lambda random: _value(random, _METHODS, ["GET|POST", "P.*", "[A-Z]+"]),
    "scheme": lambda random: _value(random, ["http", "https"], ["https?", "http"]),
    "authority": lambda random: _value(
        random, ["t0.test", "t0.test:80", "T0.test"], [r".*\.test", r"[^:]+", r".*:\d+"]
    ),
    "headers": lambda random: _map(random, _NAMES),
    "withoutHeaders": lambda random: _map(random, _NAMES),
    "queryParams": lambda random: _map(random, _PARAMETERS),
}


def _with_action(random: Random, rule: dict[str, Any]) -> dict[str, Any]:
    draw = random.random()
    if draw < 0.12:
        rule["redirect"] = _redirect(random, rule)
    elif draw < 0.2:
        body = random.choice([None, {"string": "direct"}, {"bytes": "aGVsbG8="}])
        rule["directResponse"] = {"status": random.choice([200, 404, 418, 503]), **({"body": body} if body else {})}
    else:
        rule["route"] = _route(random)
        if random.random() < 0.3:
            rule["rewrite"] = _rewrite(random)
        if random.random() < 0.12:
            rule["fault"] = {"abort": {"httpStatus": random.choice([400, 555]), "percentage": {"value": 100}}}
        if random.random() < 0.25:
            rule["corsPolicy"] = _cors(random)
    if random.random() < 0.35:
        rule["headers"] = _operations(random)
    return rule


def _route(random: Random) -> list[dict[str, Any]]:
    """One destination, or several of which one has all the weight: the outcome is certain."""
    count = random.choice([1, 1, 1, 2, 3])
    chosen = random.sample(DESTINATIONS, count)
    if random.random() < 0.05:
        chosen[0] = random.choice(MISSING)
    route = []
    for index, (host, subset) in enumerate(chosen):
        one: dict[str, Any] = {"destination": {"host": host, **({"subset": subset} if subset else {})}}
        if count > 1:
            one["weight"] = random.choice([1, 7, 100]) if index == 0 else 0
        if random.random() < 0.2:
            one["headers"] = _operations(random)
        route.append(one)
    random.shuffle(route)
    return route


def _redirect(random: Random, rule: Mapping[str, Any]) -> dict[str, Any]:
    redirect: dict[str, Any] = {}
    by_prefix = rule.get("match") and all("prefix" in block.get("uri", {}) for block in rule["match"])
    if by_prefix and random.random() < 0.3:
        redirect["prefixRewrite"] = random.choice(["/new", "/", "/new/"])
    elif random.random() < 0.6:
        redirect["uri"] = random.choice(["/new", "/new?own=1", "/"])
    if random.random() < 0.4:
        redirect["authority"] = random.choice(["other.example", "other.example:8080"])
    if random.random() < 0.4:
        redirect["scheme"] = random.choice(["http", "https"])
    if random.random() < 0.3 and "authority" not in redirect:
        redirect["port"] = random.choice([80, 443, 8443])
    if random.random() < 0.5:
        redirect["redirectCode"] = random.choice(_CODES)
    return redirect if set(redirect) - {"redirectCode"} else {**redirect, "uri": "/new"}


def _rewrite(random: Random) -> dict[str, Any]:
    rewrite: dict[str, Any] = {}
    draw = random.random()
    if draw < 0.6:
        rewrite["uri"] = random.choice(["/", "/new", "/new/", "/n?ew"][:3])
    elif draw < 0.85:
        pattern, text = random.choice(
            [("/([^/]+)", r"/\1\1"), ("a", "xx"), (r"(/)(\w)", r"\1_\2"), ("b*", "-"), ("^/a", "")]
        )
        rewrite["uriRegexRewrite"] = {"match": pattern, "rewrite": text or "/z"}
    if random.random() < 0.3 or not rewrite:
        rewrite["authority"] = random.choice(["other.example", "other.example:81"])
    return rewrite


def _operations(random: Random) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    for side, names in (
        ("request", ["x-a", "x-b", "x-new", "user-agent"]),
        ("response", ["x-upstream", "x-new", "server"]),
    ):
        if random.random() < 0.6:
            operations: dict[str, Any] = {}
            if random.random() < 0.6:
                operations["set"] = {random.choice(names): random.choice(["set", "other", "100%%"])}
            if random.random() < 0.6:
                # Envoy joins what is added to its own inline headers, such as user-agent, by a comma: not looked at
                operations["add"] = {random.choice(names[:2]): random.choice(["added", "more"])}
            if random.random() < 0.4:
                operations["remove"] = [random.choice(names)]
            if operations:
                headers[side] = operations
    return headers or {"request": {"set": {"x-new": "set"}}}


def _cors(random: Random) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "allowOrigins": random.choice(
            [[{"exact": _ORIGINS[0]}], [{"prefix": "https://"}], [{"regex": "https?://good.*"}], [{"exact": "*"}]]
        )
    }
    for key, choices in (
        ("allowMethods", [["GET"], ["GET", "POST"], ["*"]]),
        ("allowHeaders", [["x-a"], ["x-a", "x-b"], ["*"]]),
        ("exposeHeaders", [["x-e"], ["x-e", "x-f"]]),
        ("maxAge", ["1h", "10s"]),
        ("allowCredentials", [True, False]),
        ("unmatchedPreflights", ["FORWARD", "IGNORE"]),
    ):
        if random.random() < 0.5:
            policy[key] = random.choice(choices)
    return policy


# requests


def wish(random: Random, host: str, rules: list[dict[str, Any]]) -> Wish:
    """A request that some block of the table wants, and up to two steps beside it."""
    request = Wish(host)
    blocks = [block for rule in rules for block in rule.get("match", [])]
    if blocks and random.random() < 0.9:
        _satisfy(random, request, random.choice(blocks))
    else:
        request.path = random.choice(_PATHS)
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        random.choice(_STEPS)(random, request)
    if random.random() < 0.15:
        request.headers.append(("origin", random.choice(_ORIGINS)))
        if random.random() < 0.6:
            request.method = "OPTIONS"
            request.headers.append(("access-control-request-method", random.choice(["GET", "PATCH"])))
        if random.random() < 0.3:
            request.headers.append(("access-control-request-headers", "x-a,x-z"))
    if request.method in ("POST", "PUT") and random.random() < 0.5:
        request.body = "body"
    return request


def _satisfy(random: Random, request: Wish, block: Mapping[str, Any]) -> None:
    request.path = _fitting(random, block.get("uri", {}), _PATHS)
    if not request.path.startswith("/"):
        request.path = "/" + request.path
    request.method = _fitting(random, block.get("method", {"exact": request.method}), _METHODS) or "GET"
    if request.method not in _METHODS:
        request.method = "GET"
    if "scheme" in block:
        request.headers.append(("x-forwarded-proto", _fitting(random, block["scheme"], ["http", "https"]) or "http"))
    for name, match in block.get("headers", {}).items():
        request.headers.append((name, _fitting(random, match, _VALUES)))
    parts = [f"{name}={_fitting(random, match, _VALUES)}" for name, match in block.get("queryParams", {}).items()]
    if parts:
        request.query = "&".join(parts).replace(" ", "+").encode("ascii", "ignore").decode()


def _fitting(random: Random, match: Mapping[str, str], pool: list[str]) -> str:
    if "exact" in match:
        return match["exact"]
    if "prefix" in match:
        return match["prefix"] + random.choice(["", "", "x", "/x", "/"])
    return random.choice(pool)


def _path_step(random: Random, request: Wish) -> None:
    path = request.path
    request.path = random.choice(
        [
            path + "/",
            path + "x",
            path.rstrip("/") or "/",
            path[:-1] or "/",
            path.swapcase(),
            path + "/../" + path.lstrip("/"),
            "/z/.." + path,
            path.replace("a", "%61"),
            path.replace("/", "//", 1),
            path + "/.",
            path + "%2e",
            path.replace("/", "\\", 2).replace("\\", "/", 1),
            path + "#f",
            random.choice(_PATHS),
        ]
    )


def _header_step(random: Random, request: Wish) -> None:
    draw = random.random()
    if request.headers and draw < 0.3:
        request.headers.pop(random.randrange(len(request.headers)))
    elif request.headers and draw < 0.6:
        index = random.randrange(len(request.headers))
        name, value = request.headers[index]
        changed = random.choice([value + "x", value[:-1], value.swapcase(), "", random.choice(_VALUES)])
        if name == "x-forwarded-proto":
            changed = changed or "http"  # Envoy finds no route at all for an empty scheme
        request.headers[index] = (random.choice([name, name.upper(), name.title()]), changed)
    else:
        request.headers.append((random.choice(_NAMES), random.choice([*_VALUES, ""])))


def _query_step(random: Random, request: Wish) -> None:
    part = random.choice(
        ["q", "q=", "q=one", "q=One", "Q=one", "p=1&q=one", "q=two&q=one", "q1=one", "q=%6fne", "&", "q=one#x"]
    )
    request.query = random.choice([part, part if request.query is None else f"{request.query}&{part}"])


def _method_step(random: Random, request: Wish) -> None:
    request.method = random.choice(_METHODS)


def _host_step(random: Random, request: Wish) -> None:
    host = request.host.removesuffix(":80")
    request.host = random.choice([host.upper(), host + ":80", host.title(), "a." + host])


_STEPS = [_path_step, _path_step, _header_step, _header_step, _query_step, _method_step, _host_step]
